"""(10-A5) Every route under thousands of generated requests: no 5xx, every 4xx in words, all as described."""

from __future__ import annotations

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from backend.core.project.catalog import catalog
from backend.core.project.ourselves import SECRET_HEADER
from backend.core.tasks.events import absorb
from backend.web import create_app
from backend.web.describe import LARGEST_ID
from tests.backend.requests import settings
from tests.backend.world import KEY, LS_ID, World

EXAMPLES = 20  # for each route, valid and invalid
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request, tmp_path_factory):
    """A project with failed tasks, labels, a live ranking and learning rounds."""
    database = str(request.getfixturevalue("postgres").database()) if request.param == "postgresql" else ""
    made = World(tmp_path_factory.mktemp("fuzz"), database_url=database)
    made.connect(40)
    made.services.tasks.finish(made.project.id, {}, {1: "truncated"})
    made.embed_all()
    made.rank()
    made.label(*range(2, 20))
    made.rank()
    yield made
    made.state.close()


@pytest.fixture(scope="module")
def app(world):
    return create_app(world.services, settings(world.folder))


PARAMS = {card.name: sorted(card.params) for card in catalog()}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
SWITCHES = st.sampled_from(sorted(PARAMS)).flatmap(
    lambda name: st.fixed_dictionaries(
        {
            "name": st.sampled_from([name, f"asvp-{name}", "activedc"]),
            "params": st.dictionaries(st.sampled_from([*PARAMS[name], "name", "self"]), JSON, max_size=2),
        }
    )
)


def lead(case, label, switch):
    """Point a request at our project, and a valid one (`switch`) at a strategy: random ones hardly ever exist."""
    number = case.path_parameters.get("number") if case.path_parameters else None
    if isinstance(number, int) and 0 <= number <= LARGEST_ID:
        case.path_parameters["number"] = LS_ID
    if switch is None:
        return
    if label == "PUT /api/projects/{number}/strategy":
        case.body = switch
    elif isinstance(case.body, dict) and "project" in case.body:
        case.body["project"] = {"id": LS_ID} if label == "POST /webhook" else KEY


def fuzz(operation, mode, secret, seen):
    """Generated requests to one route; `seen` counts the answers by status."""

    @effort(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode), st.sampled_from(range(4)), SWITCHES)
    def check(case, luck, switch):
        if luck:
            lead(case, operation.label, switch if mode is GenerationMode.POSITIVE else None)
        answer = case.call(headers=secret)
        seen[operation.label, answer.status_code] += 1
        assert answer.status_code < 500, answer.content
        if answer.status_code >= 400:
            assert answer.json()["error"]
        case.validate_response(answer, checks=CHECKS)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_breaks_a_route(app, world, mode, subtests):
    if mode is GenerationMode.NEGATIVE and world.database_url:
        return  # what is wrong is refused before any database
    secret = {SECRET_HEADER: world.services.projects.secret("webhook")}
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", app)
    seen = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        raw = operation.definition.raw
        if mode is GenerationMode.NEGATIVE and not ("parameters" in raw or "requestBody" in raw):
            continue  # nothing can be wrong in it
        with subtests.test(operation.label):
            fuzz(operation, mode, secret, seen)
    for (label, status), count in sorted(seen.items()):
        print(f"{label}: {status} x {count}")
    absorb(world.services)
