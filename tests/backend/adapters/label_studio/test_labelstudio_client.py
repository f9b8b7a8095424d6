"""`ApiLabelStudio` against a real Label Studio, with a stub in the place of our web process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from backend.adapters.label_studio.client import ApiLabelStudio
from backend.core.domain import Guess, LabelConfig, Prediction
from backend.core.errors import LabelStudioDown, LabelStudioRefused
from scripts.label_studio_server import TOKEN, free_port
from tests.backend.backend_stub import stub
from tests.harness.labelstudio import CONFIG, RealLabelStudio, User

pytestmark = pytest.mark.e2e
TASKS = [{"image": f"http://images.example/{number}.png"} for number in range(12)]


Connect = Callable[[str, str], ApiLabelStudio]


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as opened:
        yield lambda url, token: opened.enter_context(closing(ApiLabelStudio(url, token)))


@pytest.fixture
def api(label_studio: RealLabelStudio, connect: Connect) -> ApiLabelStudio:
    return connect(label_studio.url, TOKEN)


@pytest.fixture
def project(label_studio: RealLabelStudio) -> Iterator[int]:
    number = label_studio.create_project()
    yield number
    label_studio.delete_project(number)


@pytest.fixture
def config(api: ApiLabelStudio) -> LabelConfig:
    return api.parse_config(CONFIG)


def test_the_server_tells_its_version_and_whose_token_we_hold(
    label_studio: RealLabelStudio, api: ApiLabelStudio
) -> None:
    assert (api.server().version, api.server().token) == ("1.23.2", "legacy")
    assert api.server().user == label_studio.admin.email


def test_a_personal_access_token_does_the_same_and_is_exchanged_anew_when_refused(
    label_studio: RealLabelStudio, project: int, connect: Connect
) -> None:
    api = connect(label_studio.url, label_studio.personal_token())
    assert api.server().token == "personal"
    api._api.auth._tokens._access_token += "spoilt"  # as if Label Studio had been set up anew meanwhile
    assert api.project(project).ls_id == project
    headers = api.auth_headers()
    assert headers["Authorization"].startswith("Bearer ")
    assert httpx.get(f"{label_studio.url}/api/projects/", headers=headers).status_code == 200


def test_a_revoked_personal_token_says_how_to_get_another(label_studio: RealLabelStudio, connect: Connect) -> None:
    revoked = label_studio.personal_token()
    label_studio.personal_token()
    with pytest.raises(LabelStudioRefused, match=r"revoked.*Personal Access Token") as refused:
        connect(label_studio.url, revoked).server()
    assert refused.value.status == 401


def test_a_disabled_legacy_token_says_that_a_personal_one_is_needed(
    label_studio: RealLabelStudio, api: ApiLabelStudio, connect: Connect
) -> None:
    personal = label_studio.personal_token()
    label_studio.allow_legacy_tokens(False, personal=personal)
    try:
        with pytest.raises(LabelStudioRefused, match="disabled for this organization; make a token in Account"):
            api.server()
        assert connect(label_studio.url, personal).server().token == "personal"
    finally:
        label_studio.allow_legacy_tokens(True, personal=personal)


def test_a_wrong_token_is_refused_with_the_cure(label_studio: RealLabelStudio, connect: Connect) -> None:
    with pytest.raises(LabelStudioRefused, match=r"401.*LABEL_STUDIO_API_KEY"):
        connect(label_studio.url, "0123456789abcdef").server()
    with pytest.raises(LabelStudioRefused, match="no Label Studio token"):
        connect(label_studio.url, "").server()


def test_nobody_listening_is_down_and_says_where_we_looked(connect: Connect) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(LabelStudioDown, match=rf"{url} does not answer GET .*LABEL_STUDIO_URL"):
        connect(url, TOKEN).server()


def test_another_programs_answer_is_refused_as_not_label_studio(
    label_studio: RealLabelStudio, connect: Connect
) -> None:
    with pytest.raises(LabelStudioRefused, match="not as Label Studio does; correct LABEL_STUDIO_URL"):
        connect(label_studio.url, TOKEN)._api.get("/user/login/")  # a page where JSON is expected


def test_an_unknown_project_is_refused_with_404(api: ApiLabelStudio) -> None:
    with pytest.raises(LabelStudioRefused, match=r"404.*deleted") as refused:
        api.project(10**6)
    assert refused.value.status == 404


def test_the_project_key_is_what_label_studio_sends_in_setup(api: ApiLabelStudio, project: int) -> None:
    with stub() as backend:
        row = api.add_backend(
            project, backend.url, "LabelQueue", auth=("we", "secret"), extra_params={"strategy": "margin"}
        )
        assert (row.url, row.title, row.state) == (backend.url, "LabelQueue", "CO")
        setup = backend.bodies["/setup"][-1]
        assert setup["project"] == api.project(project).key
        assert setup["extra_params"] == {"strategy": "margin"}
        assert backend.authorization[-1] == "Basic d2U6c2VjcmV0"
        assert api.project(project).model_version == "LabelQueue"
        assert [(hook.url, hook.headers) for hook in api.webhooks(project)] == [(f"{backend.url}/webhook", {})]
        assert [row.id for row in api.backends(project)] == [row.id]
        api.delete_backend(row.id)
        assert api.backends(project) == []


def test_a_backend_that_does_not_answer_leaves_no_row_behind(api: ApiLabelStudio, project: int) -> None:
    with pytest.raises(LabelStudioRefused, match=r"health check failed.*cannot reach LabelQueue"):
        api.add_backend(project, f"http://127.0.0.1:{free_port()}", "LabelQueue", auth=None, extra_params={})
    assert api.backends(project) == []


def test_webhook_headers_can_be_set_without_losing_the_actions(
    label_studio: RealLabelStudio, api: ApiLabelStudio, project: int
) -> None:
    body = {"project": project, "url": "http://127.0.0.1:9/webhook", "send_for_all_actions": False}
    label_studio.admin.http.post("/api/webhooks/", json={**body, "actions": ["TASKS_CREATED"]}).raise_for_status()
    (hook,) = api.webhooks(project)
    api.set_webhook_headers(hook.id, {"X-LabelQueue-Secret": "s3cret"})
    assert api.webhooks(project)[0].headers == {"X-LabelQueue-Secret": "s3cret"}
    assert label_studio.admin.http.get(f"/api/webhooks/{hook.id}/").json()["actions"] == ["TASKS_CREATED"]
    api.delete_webhook(hook.id)
    made = api.add_webhook(project, "http://127.0.0.1:9/webhook", {"X-A": "b"})
    assert (made.active, made.headers, [made]) == (True, {"X-A": "b"}, api.webhooks(project))


def test_the_queue_is_served_in_the_order_of_the_imported_scores(
    label_studio: RealLabelStudio, api: ApiLabelStudio, project: int, config: LabelConfig, other_user: User
) -> None:
    ids = label_studio.import_tasks(project, TASKS)
    order = [*ids[5:9], *ids[:4]]
    predictions = [Prediction(task, place / 8, Guess("7", 0.4)) for place, task in enumerate(order)]
    assert api.import_predictions(project, config, "round-1", predictions) == len(order)
    api.set_queue(project, "round-1")
    shown = api.project(project)
    assert (shown.sampling, shown.model_version, shown.tasks) == ("Uncertainty sampling", "round-1", len(TASKS))
    assert [label_studio.next_task(project), label_studio.next_task(project, other_user)] == order[:2]
    stored = label_studio.tasks(project)[order[0]]["predictions"][0]
    assert stored["result"][0]["value"] == {"choices": ["7"]} and stored["result"][0]["score"] == 0.4
    assert api.versions(project) == {"round-1": len(order)}
    api.delete_version(project, "round-1")
    assert api.versions(project) == {}


def test_predictions_without_a_guess_order_the_queue_too(
    label_studio: RealLabelStudio, api: ApiLabelStudio, project: int, config: LabelConfig
) -> None:
    ids = label_studio.import_tasks(project, TASKS)
    assert api.import_predictions(project, config, "bare", [Prediction(ids[6], 0.0, None)]) == 1
    api.set_queue(project, "bare")
    assert label_studio.next_task(project) == ids[6]
    assert label_studio.tasks(project)[ids[6]]["predictions"][0]["result"] == []


def test_a_class_that_the_config_lacks_is_dropped_silently_and_told_by_the_count(
    label_studio: RealLabelStudio, api: ApiLabelStudio, project: int, config: LabelConfig
) -> None:
    ids = label_studio.import_tasks(project, TASKS)
    predictions = [Prediction(ids[0], 0.0, Guess("7", 0.4)), Prediction(ids[1], 0.5, Guess("no digit", 0.4))]
    assert api.import_predictions(project, config, "r", predictions) == 1


def test_an_unknown_task_or_version_is_refused(
    label_studio: RealLabelStudio, api: ApiLabelStudio, project: int, config: LabelConfig
) -> None:
    label_studio.import_tasks(project, TASKS)
    with pytest.raises(LabelStudioRefused) as refused:
        api.import_predictions(project, config, "r", [Prediction(10**6, 0.0, None)])
    assert refused.value.status == 400
    with pytest.raises(LabelStudioRefused, match="Model version doesn't exist"):
        api.set_queue(project, "never imported")


def test_whatever_changes_a_task_shows_it_among_those_changed_since(
    label_studio: RealLabelStudio, api: ApiLabelStudio, project: int, config: LabelConfig
) -> None:
    ids = label_studio.import_tasks(project, TASKS)

    def newest() -> float:
        return max(task.updated_at for task in api.tasks(project, config))

    def changed(before: float) -> dict[int, list[tuple[str | None, bool]]]:
        seen = api.tasks(project, config, since=before + 1e-6)
        return {task.id: [(item.label, item.skipped) for item in task.annotations] for task in seen}

    start = newest()
    assert changed(start) == {}
    annotation = label_studio.annotate(ids[3], "4")
    assert changed(start) == {ids[3]: [("4", False)]}
    start = newest()
    label_studio.change(annotation, "5")
    assert changed(start) == {ids[3]: [("5", False)]}
    start = newest()
    label_studio.delete_annotation(annotation)
    label_studio.annotate(ids[4], None)
    assert changed(start) == {ids[3]: [], ids[4]: [(None, True)]}
    start = newest()
    (late,) = label_studio.import_tasks(project, [{"image": "http://images.example/late.png"}])
    assert changed(start) == {late: []}


def test_pages_begin_after_the_last_task_seen(
    label_studio: RealLabelStudio,
    api: ApiLabelStudio,
    project: int,
    config: LabelConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("backend.adapters.label_studio.client.PAGE", 5)
    monkeypatch.setattr("backend.adapters.label_studio.client.ID_PAGE", 5)
    ids = label_studio.import_tasks(project, [*TASKS, {"image": [TASKS[0]["image"]]}])
    assert api.task_ids(project) == ids
    monkeypatch.setattr("backend.adapters.label_studio.client.ASKED_FOR", 2)
    assert api.task_ids(project, [ids[3], 10**6, ids[0], ids[1]]) == [ids[0], ids[1], ids[3]]
    assert api.task_ids(project, []) == []
    stream = api.tasks(project, config)
    seen = [next(stream).id for _ in range(3)]
    label_studio.delete_tasks(project, ids[:2])  # with numbered pages two tasks would now be passed over
    rest = list(stream)
    assert seen + [task.id for task in rest] == ids
    assert rest[-1].refs == (TASKS[0]["image"],) and rest[0].refs == (TASKS[3]["image"],)


def test_an_empty_project_has_no_tasks(api: ApiLabelStudio, project: int, config: LabelConfig) -> None:
    assert api.task_ids(project) == [] and list(api.tasks(project, config)) == []
    assert api.project(project).tasks == 0


def test_a_label_studio_that_blocks_local_addresses_says_which_settings_it_needs(
    tmp_path: Path, connect: Connect
) -> None:
    blocked = {"SSRF_PROTECTION_ENABLED": "true"}
    with RealLabelStudio(tmp_path / "ls", tmp_path / "files", blocked) as strict, stub() as backend:
        project = strict.create_project()
        api = connect(strict.url, TOKEN)
        with pytest.raises(LabelStudioRefused, match="SSRF_PROTECTION_ENABLED=false and ML_BLOCK_LOCAL_IP=false"):
            api.add_backend(project, backend.url, "LabelQueue", auth=None, extra_params={})
        assert api.backends(project) == []
