"""(10-A7) Nothing from the world acts on a terminal: control characters, bidi overrides, line breaks, rich's markup."""

from __future__ import annotations

import ast
import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import backend.cli
from backend.cli.base import progress
from backend.core.domain import JobView, RemoteTask, WorkerView
from backend.core.project.connect import connect
from backend.core.tasks import sync
from backend.core.text.printable import json_printable, printable, printable_lines
from backend.settings import Settings
from backend.web import create_app
from tests.backend.world import LS_ID, World

EVIL = "a\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202e\u2028\r\nforged [red]line[/] \\"
LOADED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
ACTS = set("\x00\x07\x08\x1b\x7f\x9b\r\u202e\u2028\u2066")


@LOADED
@given(st.text())
def test_a_text_becomes_one_line_that_acts_on_nothing(text: str) -> None:
    shown = printable(text)
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [char for char in shown if unicodedata.bidirectional(char) in ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI")]
    assert len(printable_lines(text).split("\n")) == len(text.split("\n"))
    shown.encode()


@LOADED
@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_json_says_the_same_without_acting(value: object) -> None:
    written = json_printable(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(written) == value
    assert not [char for char in written if unicodedata.category(char) in ("Cc", "Cs") and char != "\n"]


def test_what_people_read_stays() -> None:
    assert printable("naïve 猫 👩‍👩‍👧 שלום") == "naïve 猫 👩‍👩‍👧 שלום"
    assert printable("a\x1b[31m\nb\u202e") == "a\\x1b[31m\\nb\\u202e"


@pytest.fixture
def evil(commanded: World) -> World:
    """A live project whose every text is hostile."""
    config = replace(commanded.ls.config, target=replace(commanded.ls.config.target, classes=(EVIL, "one")))
    commanded.ls.config = config
    commanded.ls.add_project(LS_ID, 0, title=EVIL)
    commanded.ls.put(LS_ID, [RemoteTask(n, f"/data/{n}{EVIL}.png", (), 10.0) for n in range(1, 31)])
    return commanded


def test_no_command_prints_what_acts_on_a_terminal(evil: World, run) -> None:  # type: ignore[no-untyped-def]
    said = ["".join(run("connect", LS_ID)[1:]), "".join(run("connect", LS_ID, "--json")[1:])]
    evil.asked()
    evil.services.tasks.finish(evil.project.id, {}, {1: EVIL})
    evil.embed_all()
    for task in range(2, 8):
        evil.annotate(task, (EVIL, "one")[task % 2])
    sync.reconcile(evil.services, evil.project.id)
    evil.rank()
    evil.jobs.crew.append(WorkerView(EVIL, EVIL, 1, EVIL, "", 0.0))
    evil.jobs.views.append(JobView("e", "embed", evil.project.id, "failed", 0, 0, 0.0, 0.0, EVIL))
    evil.jobs.views.append(JobView("f", EVIL, evil.project.id, "running", 1, 2, 1.0, 0.0, ""))
    looks = [("status",), ("queue", LS_ID), ("tasks", LS_ID), ("features", LS_ID), ("curve", LS_ID), ("doctor",)]
    looks += [("strategy", LS_ID), ("set", LS_ID), ("config",), ("strategies",)]
    for words in looks:
        for form in ([], ["--json"]):
            said.append("".join(run(*words, *form)[1:]))
    said += ["".join(run("strategy", LS_ID, EVIL)[1:]), "".join(run("disconnect", LS_ID, "--yes")[1:])]
    for text in said:
        assert not set(text) & ACTS, text
        assert not [line for line in text.splitlines() if line.strip(" │").startswith("forged")], text
    assert all("[red]line[/]" in said[place] for place in (2, 6))  # status and tasks: no markup was read


def test_an_error_line_is_one_line(evil: World, run) -> None:  # type: ignore[no-untyped-def]
    code, _, err = run("simulate", f"{EVIL}/x")
    assert code == 2 and err.count("\n") == 1 and not set(err) & ACTS


def test_a_progress_bar_shows_no_markup_of_names(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("work") as report:
        report(1, 2, EVIL)
    assert not set(capsys.readouterr().err) & {"\x07", "\x9b"}


def test_the_page_escapes_what_it_shows(evil: World, tmp_path: Path) -> None:
    evil.ls.remote[LS_ID] = replace(evil.ls.remote[LS_ID], title="<script>x</script>")
    connect(evil.services, LS_ID)
    client = create_app(evil.services, Settings(home=tmp_path, label_studio_url="http://u:Zq7w@h")).test_client()
    text = client.get("/").text
    assert "<script" not in text and "&lt;script" in text and "Zq7w" not in text


def test_commands_print_by_the_border_only() -> None:
    """Whoever adds a command prints by `base.console()`, `base.tell`, `base.columns` or `base.print_json`."""
    folder = Path(backend.cli.__file__).parent
    found = []
    for file in [*folder.glob("*.py"), *(folder.parent / "local").glob("*.py")]:
        if file.name in ("terminal.py", "base.py"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("print", "typer.echo", "click.echo", "Console", "typer.secho") or "stdout.write" in name:
                found.append(f"{file.name}: {ast.unparse(node)}")
    assert found == ["main.py: typer.echo(f'labelqueue {__version__}')"]
