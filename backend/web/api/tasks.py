"""Tasks: as we know them, and those that failed once more."""

from __future__ import annotations

from dataclasses import asdict
from typing import get_args

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from backend.core.domain import Task, TaskState
from backend.core.errors import UserError
from backend.core.queue.nudges import retry
from backend.core.services import Services
from backend.web.body import integer, json_object, query_integer
from backend.web.describe import ID, INTEGER, LIMIT, NULL, describe, either, many, shape

MOST_ROWS = 10_000

STATE = {"enum": list(get_args(TaskState))}
RETRY = shape(("ids",), ids=either(many(ID, maxItems=MOST_ROWS), NULL))


def add_routes(made: Blueprint, services: Services) -> None:
    """The routes of this noun."""
    find = services.projects.by_ls_id

    @made.get("/projects/<project:number>/tasks")
    @describe(list[Task], query={"state": STATE, "limit": LIMIT})
    def tasks(number: int) -> ResponseReturnValue:
        """The tasks as we know them; at most 10,000."""
        state = request.args.get("state")
        if state is not None and state not in get_args(TaskState):
            raise UserError(f"state must be one of: {', '.join(get_args(TaskState))}")
        limit = query_integer("limit", 1000, most=MOST_ROWS)
        found = services.tasks.list(find(number).id, state=state, limit=limit)  # type: ignore[arg-type]
        return jsonify([asdict(task) for task in found])

    @made.post("/projects/<project:number>/tasks/retry")
    @describe(shape(retried=INTEGER), body=RETRY)
    def retry_tasks(number: int) -> ResponseReturnValue:
        """Embed failed tasks again: all, or those of `ids`."""
        given = json_object("ids").get("ids")
        ids = None
        if given is not None:
            if not isinstance(given, list) or len(given) > MOST_ROWS:
                raise UserError(f"ids must be a list of at most {MOST_ROWS} task ids")
            ids = [integer(value, "a task id") for value in given]
        return jsonify({"retried": retry(services, find(number), ids)})
