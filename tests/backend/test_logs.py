"""The log: its forms, its context, and that no secret gets into it."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from backend import logs
from backend.settings import Settings

TOKEN, PASSWORD = "tok-5f0c1d", 'p"ä/ss'


@pytest.fixture
def say(tmp_path, capsys):
    root = logging.getLogger()
    kept, level = list(root.handlers), root.level

    def configure(form):
        made = Settings(
            home=tmp_path,
            label_studio_api_key=TOKEN,
            basic_auth_user="ls",
            basic_auth_pass=PASSWORD,
            redis_url="redis://:queue-pw@h/0",
            log_format=form,
        )
        logs.configure(made, process="test")
        return lambda: capsys.readouterr().err

    yield configure
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = kept, level


def test_json_lines_carry_context_and_masked_secrets(say):
    read = say("json")
    with structlog.contextvars.bound_contextvars(project=3, ranking=7):
        structlog.get_logger().warning("refused", url=f"http://x/?t={TOKEN}", password=PASSWORD, deep={"a": [TOKEN]})
    line = read()
    seen = json.loads(line)
    assert (seen["message"], seen["level"], seen["project"], seen["ranking"]) == ("refused", "warning", 3, 7)
    assert (seen["process"], seen["password"], seen["deep"]) == ("test", "***", {"a": ["***"]})
    assert TOKEN not in line and "ss" not in seen["password"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_exceptions_and_libraries_are_masked_too(say, form):
    read = say(form)
    try:
        raise RuntimeError(f"cannot reach redis://:queue-pw@h with {TOKEN}")
    except RuntimeError as error:
        structlog.get_logger().error("failed", exc_info=error)
    logging.getLogger("a.library").warning("Authorization: Basic bHM6cCLDpC9zcw== and %s", TOKEN)
    seen = read()
    assert "RuntimeError" in seen and "Authorization" in seen
    for secret in (TOKEN, "queue-pw", "bHM6cCLDpC9zcw=="):
        assert secret not in seen


@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_of_addresses_that_nobody_told_of_are_masked(say, form):
    """(10-A6) The last net: whatever field, list or exception text an address comes in."""
    read = say(form)
    address, signed = "redis://u:Zq7w@x@other", "https://bucket/a.png?X-Amz-Signature=Zq7w"
    structlog.get_logger().warning(f"at {address}", url=signed, deep={"a": [address]}, error=ValueError(signed))
    try:
        raise RuntimeError(f"cannot reach {address}")
    except RuntimeError as error:
        structlog.get_logger().error("failed", exc_info=error)
    logging.getLogger("a.library").warning("%s?password=Zq7w", "postgresql://me@h/db")
    seen = read()
    assert "Zq7w" not in seen and seen.count("redis://u:***@other") == 3
    assert form == "text" or all(json.loads(line) for line in seen.splitlines())


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_value_begins_a_line_or_reaches_the_terminal(say, form):
    """(10-A7) Titles, names of classes and files, texts of exceptions."""
    read = say(form)
    title = "a\x1b[31m\x9b2J\u202eb\nforged [info] line\r\x7f"
    structlog.get_logger().warning(title, title=title, **{"key\n": [title]})
    try:
        raise RuntimeError(title)
    except RuntimeError as error:
        structlog.get_logger().error("failed", exc_info=error)
    seen = read()
    assert not set(seen) & set("\x1b\x9b\u202e\r\x7f") and seen.count("forged") == 4
    assert not [line for line in seen.splitlines() if line.startswith("forged")]
    if form == "json":
        assert json.loads(seen.splitlines()[0])["title"] == title


def test_levels_are_kept(say):
    read = say("text")
    structlog.get_logger().debug("quiet")
    structlog.get_logger().info("loud")
    assert "loud" in (seen := read()) and "quiet" not in seen
