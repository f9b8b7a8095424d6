"""The docs of the library are true: every selector has a row, the example runs, links lead somewhere."""

import re
from pathlib import Path

import pytest

import selection
from selection import registry

DOCS = Path(__file__).resolve().parents[2] / "docs"


def rows():
    """name -> cells of its row in docs/selectors.md."""
    text, _, _ = (DOCS / "selectors.md").read_text().partition("\n## How far a number may go")
    lines = text.splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row for row in cells}


@pytest.mark.parametrize("name", selection.names())
def test_every_selector_has_a_full_row(name):
    assert name in rows(), "add its row to docs/selectors.md"
    row = rows()[name]
    assert len(row) == 7 and all(row)
    assert ("probs" in row[1]) or "probs" not in registry.entry(name).needs
    if "prefix" in registry.entry(name).tags:
        assert row[4] == "yes"


def test_the_ranges_in_the_docs_are_those_of_the_schema():
    text = (DOCS / "selectors.md").read_text()
    for name in selection.names():
        for key, said in selection.schema(name).items():
            if "maximum" in said:
                ends = f"{said['default']} | {said['minimum']} | {said['maximum']} | {said['reason']}"
                assert text.count(f"| `{name}` | `{key}` | {ends} |\n") == 1
    assert len(re.findall(r"^\| `\w+` \| `\w+` \| ", text, re.M)) == sum(
        "maximum" in said for name in selection.names() for said in selection.schema(name).values()
    )


def test_no_row_is_of_a_selector_that_is_gone():
    assert set(rows()) <= set(selection.names())


def test_the_example_of_a_selector_runs_and_passes_the_checks(monkeypatch, capsys):
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "write-a-selector.md").read_text(), re.S)
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    exec(compile(code, "write-a-selector.md", "exec"), {"__name__": "example"})
    told = capsys.readouterr().out
    assert "longest: 15 of 16 checks passed" in told and "failed" not in told


def test_links_lead_somewhere():
    for page in ("selectors.md", "write-a-selector.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (DOCS / page).read_text()):
            assert (DOCS / target).exists()
