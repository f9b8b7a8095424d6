"""Opening a database: addresses, migrations, several processes at once, outages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from backend.adapters.state import StateDown, StateError, migrations, open_state
from backend.adapters.state.tables import metadata
from backend.core.domain import Claim
from backend.core.errors import BadSetting

OPEN = "import sys; from backend.adapters.state import open_state; open_state(sys.argv[1]).close()"


def test_the_migrations_lead_to_the_tables_that_the_code_uses(database_url):
    state = open_state(database_url)
    with state.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    state.close()


def test_opening_again_keeps_everything(database_url):
    first = open_state(database_url)
    secret = first.projects.secret("webhook")
    first.close()
    second = open_state(database_url)
    assert second.projects.secret("webhook") == secret
    second.close()


@pytest.mark.slow
def test_processes_that_open_an_empty_database_at_once_all_succeed(database_url):
    started = [
        subprocess.Popen([sys.executable, "-c", OPEN, database_url], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], errors


def test_a_schema_newer_than_the_program_is_refused_with_the_cure(database_url):
    state = open_state(database_url)
    with state.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    state.close()
    with pytest.raises(StateError, match="schema 9999, newer than this program; upgrade"):
        open_state(database_url)


@pytest.mark.parametrize("url", ["", "state.db", "mysql://h/x", "sqlite://", "sqlite:///:memory:", "nosuch://h/x"])
def test_addresses_that_name_no_database_of_ours_are_refused_with_the_cure(url):
    with pytest.raises(BadSetting, match=r"sqlite:///folder/state\.db"):
        open_state(url)


def test_a_server_that_is_not_there_is_named_without_its_password():
    with pytest.raises(StateDown, match=r"127\.0\.0\.1:1/db does not answer") as caught:
        open_state("postgresql://me:geheim@127.0.0.1:1/db")
    assert "geheim" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"cannot be made .*set DATABASE_URL to a file elsewhere"):
        open_state(f"sqlite:///{tmp_path}/file/state.db")


def test_the_state_works_again_after_its_server_came_back(postgres):
    state = open_state(postgres.database())
    state.projects.all()
    postgres.stop()
    try:
        with pytest.raises(StateDown):
            state.projects.all()
    finally:
        postgres.start()
    state.projects.all()
    state.close()


def test_sqlite_is_in_write_ahead_mode_and_enforces_references(tmp_path: Path):
    state = open_state(f"sqlite:///{tmp_path}/state.db")
    with state.engine.connect() as connection:
        modes = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "foreign_keys")]
        wait = connection.execute(text("PRAGMA busy_timeout")).scalar()
    state.close()
    assert (modes, wait) == (["wal", 1], 10_000)


def test_a_database_of_the_schema_before_keeps_its_projects_heads_and_publications(database_url):
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(database_url)
    if engine.dialect.name == "sqlite":
        Path(engine.url.database).parent.mkdir(parents=True)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.execute(
            text(
                "INSERT INTO projects (ls_id, key, title, config, label_config, strategy, params, batch_size, "
                "min_interval, preannotate, features_version, extra_params, strategy_changed_at, backbone) VALUES (7, "
                '\'7.1\', \'t\', \'{"image_key": null, "from_name": null, "to_name": null, "classes": [], '
                "\"single_choice\": false}', '', 'auto', '{}', 10, 5, true, 1, '', 1, '')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO heads (project, features_version, labels_digest, classes, report, created_at) "
                "VALUES (1, 1, 'x', '[\"cat\"]', '{}', 1)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO rankings (project, strategy, params, seed, features_version, labels_digest, labeled, "
                "embedded, timings, created_at) VALUES (1, 'auto', '{}', 0, 1, 'x', 0, 1, '{}', 1)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO publications (project, ranking, model_version, state, reason, created_at, live_at) "
                "VALUES (1, 1, 'labelqueue-7-r1', 'live', '', 1, 2)"
            )
        )
    engine.dispose()
    state = open_state(database_url)
    project = state.projects.by_ls_id(7)
    live = state.rankings.live(project.id)
    assert live is not None and (live.model_version, live.imported, live.healed) == ("labelqueue-7-r1", None, "")
    assert state.rankings.last_healing(project.id) is None
    head = state.rankings.latest_head(project.id)
    assert (project.before_preset, project.preset) == (
        {},
        None,
    )  # (10-F2) a preset chosen before: its selector is shown
    assert head is not None and head.classes == ("cat",)
    state.close()


def test_what_an_older_program_called_skipped_though_it_was_submitted_is_annotated(database_url):
    """(10-F1) Migration 0007 keeps all rows; skips stay skips."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(database_url)
    if engine.dialect.name == "sqlite":
        Path(engine.url.database).parent.mkdir(parents=True)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        connection.execute(
            text(
                "INSERT INTO projects (ls_id, key, title, config, label_config, strategy, params, batch_size, "
                "min_interval, preannotate, features_version, extra_params, strategy_changed_at, backbone) VALUES (7, "
                '\'7.1\', \'t\', \'{"image_key": "image", "from_name": null, "to_name": null, "classes": [], '
                "\"single_choice\": false}', '', 'auto', '{}', 10, 5, true, 1, '', 1, '')"
            )
        )
        for task, label, skipped in (
            (1, "'cat'", "false"),
            (2, "null", "true"),
            (3, "null", "true"),
            (4, "null", "false"),
        ):
            row = f"(1, {task}, 'u{task}', 'embedded', {label}, {skipped}, 1)"
            values = "(project, id, image, state, label, skipped, changed_at)"
            connection.execute(text(f"INSERT INTO tasks {values} VALUES {row}"))
        values = "(project, id, task_id, choice, skipped, updated_at, deleted, final)"
        for row in (
            "(1, 1, 1, 'cat', false, 1, false, false)",
            "(1, 2, 2, null, false, 1, false, false)",
            "(1, 3, 3, null, true, 1, false, false)",
            "(1, 4, 3, null, false, 1, true, false)",
        ):
            connection.execute(text(f"INSERT INTO annotations {values} VALUES {row}"))
    engine.dispose()
    state = open_state(database_url)
    project = state.projects.by_ls_id(7)
    tasks = state.tasks.list(project.id)
    assert [(task.label, task.annotated, task.skipped) for task in tasks] == [
        ("cat", False, False),
        (None, True, False),
        (None, False, True),
        (None, False, False),
    ]
    assert tasks[0].refs == ("u1",) and project.learn_from == ""
    assert project.config.shown == ("$image",) and project.config.reading == 0
    state.close()


def test_what_was_being_embedded_before_leases_were_of_versions_goes_on(database_url):
    """(11-3) Migration 0010 keeps leases and deaths, and a renewal amid its embedding lacks what it lacked."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(database_url)
    if engine.dialect.name == "sqlite":
        Path(engine.url.database).parent.mkdir(parents=True)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0009")
        connection.execute(
            text(
                "INSERT INTO projects (ls_id, key, title, config, label_config, strategy, params, batch_size, "
                "min_interval, preannotate, features_version, extra_params, strategy_changed_at, backbone) VALUES (7, "
                "'7.1', 't', '{}', '', 'auto', '{}', 10, 5, true, 3, '', 1, '')"
            )
        )
        for task, state, image, owner, until, deaths in (
            (1, "embedded", "'u1'", "null", "null", 0),
            (2, "pending", "'u2'", "'dead'", 500, 4),
            (3, "pending", "'u3'", "null", "null", 0),
            (4, "failed", "'u4'", "null", "null", 0),
            (5, "failed", "null", "null", "null", 0),
        ):
            values = "(project, id, image, state, owner, leased_until, claims, deaths)"
            row = f"(1, {task}, {image}, '{state}', {owner}, {until}, {deaths}, {deaths})"
            connection.execute(text(f"INSERT INTO tasks {values} VALUES {row}"))
        for version, made in ((3, "live"), (4, "embedding"), (5, "cancelled")):
            values = "(project, version, state, backbone, checkpoint, labels, labels_digest, held_out, report, reason, "
            row = f"(1, {version}, '{made}', '', '', 0, '', '[]', '{{}}', '', 1, 1)"
            connection.execute(text(f"INSERT INTO feature_sets {values} created_at, updated_at) VALUES {row}"))
    engine.dispose()
    state = open_state(database_url, lambda: 1000.0)
    assert [(task.id, task.state) for task in state.tasks.list(1)] == [
        (1, "embedded"),
        (2, "pending"),
        (3, "pending"),
        (4, "failed"),
        (5, "failed"),
    ]
    assert state.tasks.claim(1, "a", 9, 60) == [Claim(3, ("u3",), 0, 0)]
    assert state.tasks.claim(1, "a", 9, 60) == [Claim(2, ("u2",), 4, 5)]  # its worker died before the upgrade
    assert [(task.id, task.claims) for task in state.tasks.claim(1, "a", 9, 60, 4)] == [(1, 1), (2, 1), (3, 1)]
    assert state.tasks.waiting(1, 5) == 0
    state.close()


@pytest.mark.parametrize("revision", ["deadbeef", "0001"])
def test_another_programs_migrated_database_is_called_so(tmp_path, revision):
    """(10-E4) Any `alembic_version` was taken for ours, and newer."""
    url = f"sqlite:///{tmp_path}/theirs.db"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:it)"), {"it": revision})
    engine.dispose()
    with pytest.raises(BadSetting, match=r"is another program's database .it has the table alembic_version"):
        open_state(url)


def test_another_programs_database_on_a_server_is_called_so(postgres):
    """(10-E4) The same, where a database may have tables of others beside ours."""
    url = postgres.database()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('deadbeef')"))
    engine.dispose()
    with pytest.raises(BadSetting, match=r"is another program's database .it has the table alembic_version"):
        open_state(url)
