"""The commands that README and the documents show exist, and CI runs what people run."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(text: str) -> list[str]:
    """Lines of fenced blocks and inline code."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    return [line.strip() for block in fenced for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", text)


def test_every_make_command_in_the_documents_is_a_target() -> None:
    used = {
        found[1]
        for document in DOCUMENTS
        for line in commands(document.read_text())
        if (found := re.match(r"make ([a-z-]+)", line))
    }
    assert {"demo", "test"} <= used
    assert used <= TARGETS, used - TARGETS


def test_the_first_screen_of_readme_has_both_commands() -> None:
    screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:30])
    assert "make demo" in screen and "make test" in screen


def test_every_target_is_explained_by_make_help() -> None:
    explained = set(re.findall(r"^([a-z-]+):.*## \S", (ROOT / "Makefile").read_text(), re.M))
    assert explained == TARGETS


def test_ci_runs_make_test_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    runs = [line for line in script.read_text().splitlines() if re.search(r"\bmake [a-z]", line) and line[0] != "#"]
    assert runs == ["exec make test </dev/null"]


def test_links_between_the_documents_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} -> {target}"
