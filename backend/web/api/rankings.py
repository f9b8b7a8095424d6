"""Rankings: what comes next, and how well each round was learnt."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from backend.core.learning import curve
from backend.core.learning.curve import Round
from backend.core.project.status import QueueItem, queue
from backend.core.services import Services
from backend.web.body import query_integer
from backend.web.describe import LIMIT, describe


def add_routes(made: Blueprint, services: Services) -> None:
    """The routes of this noun."""
    find = services.projects.by_ls_id

    @made.get("/projects/<project:number>/queue")
    @describe(list[QueueItem], query={"limit": LIMIT})
    def next_tasks(number: int) -> ResponseReturnValue:
        """The next tasks, each with the reason for its place; at most 1,000."""
        limit = query_integer("limit", 20, most=1000)
        return jsonify([item.to_json() for item in queue(services, find(number), limit)])

    @made.get("/projects/<project:number>/curve")
    @describe(list[Round])
    def accuracies(number: int) -> ResponseReturnValue:
        """The accuracy at each learning round, oldest first."""
        return jsonify([item.to_json() for item in curve.curve(services, find(number))])
