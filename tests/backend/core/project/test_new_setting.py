"""A new setting is one entry of the table and one migration: everything else follows from the entry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory

from scripts.settings_table import PAGE, written

ROOT = Path(__file__).resolve().parents[4]
TABLE = Path("backend/core/domain/settings.py")
VERSIONS = Path("backend/adapters/state/migrations/versions")
BEFORE = "    learn_from: str = setting("
ENTRY = '    suggest_from: float = setting(0.25, share(1.0), "surest guesses shown", installation=True, preset=True)\n'
MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9000", {head!r}


def upgrade() -> None:
    op.add_column("projects", sa.Column("suggest_from", sa.Double, nullable=False, server_default=sa.text("0.25")))
"""

LOOK = """
import json, sys
from pathlib import Path

from typer.testing import CliRunner

from backend import settings, wiring
from backend.cli.main import app
from backend.core.errors import BadSetting
from backend.core.project import tuning
from backend.core.project.register import register
from backend.core.project.strategy import switch
from backend.web import create_app
from scripts.settings_table import table
from tests.backend.world import KEY, LS_ID, World
from tests.fakes import LABEL_CONFIG

made = settings.load()
world = World(Path(sys.argv[1]), options=wiring.options(made))
found = {"installation": world.connect(1).suggest_from}
found["set"] = tuning.change(world.services, world.project, {"suggest_from": "0.75"})["suggest_from"]
try:
    tuning.checked({"suggest_from": 1.5})
except BadSetting as error:
    found["refused"] = str(error)
register(world.services, KEY, LABEL_CONFIG, '{"suggest_from": 0.5}')
found["extra"] = world.project.suggest_from
switch(world.services, world.project.id, "asvp-margin")
found["preset"] = world.project.before_preset["suggest_from"]
client, path = create_app(world.services, made).test_client(), f"/api/projects/{LS_ID}/settings"
found["put"] = client.put(path, json={"suggest_from": 1}).json["suggest_from"]
found["got"] = client.get(path).json["suggest_from"]
said = client.get("/api/openapi.json").json["paths"]["/api/projects/{number}/settings"]["put"]
found["taken"] = said["requestBody"]["content"]["application/json"]["schema"]["properties"]["suggest_from"]
found["config"] = [row.help for row in settings.rows(made) if row.name == "SUGGEST_FROM"]
found["help"] = CliRunner().invoke(app, ["set", "--help"]).output
found["docs"] = [line for line in table().splitlines() if "suggest_from" in line]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program shows of a setting that was added to a copy of it, as links to all other files."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "backend", folder / "backend", copy_function=os.symlink)
    (folder / TABLE).unlink()
    text = (ROOT / TABLE).read_text()
    assert text.count(BEFORE) == 1
    (folder / TABLE).write_text(text.replace(BEFORE, ENTRY + BEFORE))
    scripts = ScriptDirectory(str((ROOT / VERSIONS).parent), version_locations=[str(ROOT / VERSIONS)])
    head = scripts.get_current_head()
    (folder / VERSIONS / "v9000_suggest.py").write_text(MIGRATION.format(head=head))
    environ = os.environ | {
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "LABELQUEUE_HOME": str(folder / "home"),
        "SUGGEST_FROM": "0.125",
        "NO_COLOR": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-c", LOOK, str(folder)], cwd=folder, env=environ, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("where", "value"),
    [("installation", 0.125), ("set", 0.75), ("extra", 0.5), ("preset", 0.5), ("put", 1.0), ("got", 1.0)],
)
def test_a_new_entry_is_set_kept_and_answered_everywhere(found: dict[str, Any], where: str, value: float) -> None:
    assert found[where] == value


def test_a_new_entry_is_checked_and_told_everywhere(found: dict[str, Any]) -> None:
    assert found["refused"].startswith("suggest_from must be a share from 0")
    told = "surest guesses shown"
    assert found["taken"] == {"type": ["number", "string"], "minimum": 0, "maximum": 1.0, "description": told}
    assert found["config"] == ["Surest guesses shown (default of new projects)"]
    assert f"suggest_from=0.25    {told} (a share from 0 to 1.0)" in found["help"]
    assert len(found["docs"]) == 1 and told in found["docs"][0]


def test_the_table_in_the_documents_is_the_table_of_the_program() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page), "run: .venv/bin/python -m scripts.settings_table"
