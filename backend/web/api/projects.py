"""Projects: how they stand."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from backend.core.project.status import ProjectStatus, status
from backend.core.services import Services
from backend.web.describe import describe


def add_routes(made: Blueprint, services: Services) -> None:
    """The routes of this noun."""

    @made.get("/projects")
    @describe(list[ProjectStatus])
    def projects() -> ResponseReturnValue:
        """Status of all connected projects."""
        return jsonify([status(services, project).to_json() for project in services.projects.all()])

    @made.get("/projects/<project:number>")
    @describe(ProjectStatus)
    def project(number: int) -> ResponseReturnValue:
        """Status of a project: counts, strategy, live ranking, accuracy, jobs, workers."""
        return jsonify(status(services, services.projects.by_ls_id(number)).to_json())
