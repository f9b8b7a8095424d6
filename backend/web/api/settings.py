"""The settings of a project, as the table in `backend.core.domain.settings` has them."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from backend.core.domain import SETTINGS
from backend.core.project import tuning
from backend.core.services import Services
from backend.web.body import json_object
from backend.web.describe import describe, shape_of

TAKEN = shape_of(
    {name: {**item.kind.taken, "description": item.help} for name, item in SETTINGS.items()}, optional=SETTINGS
)
KEPT = shape_of({name: {**item.kind.kept, "description": item.help} for name, item in SETTINGS.items()})


def add_routes(made: Blueprint, services: Services) -> None:
    """The routes of this noun."""
    find = services.projects.by_ls_id

    @made.get("/projects/<project:number>/settings")
    @describe(KEPT)
    def settings(number: int) -> ResponseReturnValue:
        """The settings of a project; null stands for the default."""
        return jsonify(tuning.current(find(number)))

    @made.put("/projects/<project:number>/settings")
    @describe(KEPT, body=TAKEN)
    def change(number: int) -> ResponseReturnValue:
        """Change some settings; they act from the next learning round."""
        return jsonify(tuning.change(services, find(number), json_object()))
