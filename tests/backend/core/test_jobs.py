"""The table of jobs: what is submitted stands there and nowhere else."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from backend.core import jobs

BACKEND = Path(jobs.__file__).parents[1]
KEYS = {  # as they lie in Redis: a new version finds those of the one before
    "sync": "sync:1",
    "reconcile": "reconcile:1",
    "meet": "meet",
    "embed": "embed:1:2",
    "cycle": "cycle:1",
    "publish": "publish:1",
    "tidy": "tidy:1",
    "absorb": "absorb",
    "consider": "consider:1",
    "train": "train:1:2",
    "embed_version": "embed-version:1:2:3",
    "judge": "judge:1:2",
}


@pytest.mark.parametrize("name", sorted(jobs.ALL))
def test_a_job_carries_its_functions_name_and_arguments_under_a_known_key(name: str) -> None:
    given = {parameter: number for number, parameter in enumerate(inspect.signature(jobs.ALL[name]).parameters, 1)}
    job = jobs.ALL[name](**given)
    assert (job.name, job.arguments, job.key) == (name, given, KEYS[name])
    assert (job.at_once.lane, job.at_once.key) == ("urgent", job.key)


def test_no_other_module_makes_jobs() -> None:
    """Names, keys and urgency were texts at each call."""
    makers = {
        str(path.relative_to(BACKEND))
        for path in BACKEND.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Job", "jobs.Job")
    }
    assert makers == {"core/jobs.py"}
