"""Strategies: which there are, and which a project uses."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from backend.core.errors import UserError
from backend.core.project.catalog import StrategyCard, catalog
from backend.core.project.strategy import switch
from backend.core.services import Services
from backend.web.body import json_object
from backend.web.describe import ANY, NULL, STRING, describe, either, shape

STRATEGY = shape(("params",), name=STRING, params=either(ANY, NULL))


def add_routes(made: Blueprint, services: Services) -> None:
    """The routes of this noun."""
    find = services.projects.by_ls_id

    @made.put("/projects/<project:number>/strategy")
    @describe(shape(name=STRING, params=ANY, preset=either(STRING, NULL)), body=STRATEGY)
    def strategy(number: int) -> ResponseReturnValue:
        """Rank by another strategy or preset from now on."""
        body = json_object("name", "params")
        name, params = body.get("name"), body.get("params")
        if not isinstance(name, str) or not isinstance(params, dict | None):
            raise UserError('send {"name": "margin", "params": {}}')
        chosen = switch(services, find(number).id, name, params or {})
        return jsonify({"name": chosen.name, "params": dict(chosen.params), "preset": find(number).preset})

    @made.get("/strategies")
    @describe(list[StrategyCard])
    def strategies() -> ResponseReturnValue:
        """All strategies with what they need and their parameters."""
        return jsonify([card.to_json() for card in catalog()])
