"""The settings of a project."""

from __future__ import annotations

from typing import get_args

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from backend.core.domain import RenewalMode
from backend.core.project import tuning
from backend.core.services import Services
from backend.web.body import json_object
from backend.web.describe import INTEGER, NULL, STRING, describe, either, shape

COUNT = {"type": ["integer", "string"], "minimum": 1, "maximum": tuning.MOST}
SWITCH = {"enum": [True, False, *tuning.SWITCH]}
SHARE = {"minimum": 0, "maximum": tuning.MOST_AUDIT}
SETTINGS_TAKEN = shape(
    tuple(tuning.SETTINGS),
    batch_size=COUNT,
    min_interval={"type": ["number", "string"], "minimum": 0, "maximum": tuning.MOST},
    head_size={**COUNT, "type": ["integer", "string", "null"]},
    preannotate=SWITCH,
    audit_share={"type": ["number", "string"], **SHARE},
    renewal={"enum": [*get_args(RenewalMode), *tuning.DEFAULT]},
    calibrate=SWITCH,
    learn_from=either(STRING, NULL),
)
SETTINGS = shape(
    batch_size=INTEGER,
    min_interval={"type": "number"},
    head_size=either(INTEGER, NULL),
    preannotate={"type": "boolean"},
    audit_share={"type": "number", **SHARE},
    renewal={"enum": [*get_args(RenewalMode), None]},
    calibrate={"type": "boolean"},
    learn_from=STRING,
)


def add_routes(made: Blueprint, services: Services) -> None:
    """The routes of this noun."""
    find = services.projects.by_ls_id

    @made.get("/projects/<project:number>/settings")
    @describe(SETTINGS)
    def settings(number: int) -> ResponseReturnValue:
        """The settings of a project; null stands for the default."""
        return jsonify(tuning.current(find(number)))

    @made.put("/projects/<project:number>/settings")
    @describe(SETTINGS, body=SETTINGS_TAKEN)
    def change(number: int) -> ResponseReturnValue:
        """Change some settings; they act from the next learning round."""
        return jsonify(tuning.change(services, find(number), json_object()))
