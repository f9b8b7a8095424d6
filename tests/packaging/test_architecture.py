"""docs/architecture.md tells the truth: what it names exists, in the order that the import contracts keep."""

from __future__ import annotations

import ast
import re
from configparser import ConfigParser
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
DRAWING = re.search(r"^```\n(.*?)^```", TEXT, re.M | re.S)[1]  # type: ignore[index]  # the page has a drawing
STEPS = re.findall(r"`([\w.]+)`\s+in\s+`([\w/]+\.py)`", TEXT)


def rooms(folder: str) -> set[str]:
    """Folders of code, as the drawing writes them."""
    return {f"{path.name}/" for path in (ROOT / folder).iterdir() if (path / "__init__.py").exists()}


def place(name: str) -> int:
    """Where the drawing first names a layer of the import contracts."""
    found = re.search(rf"\b{re.escape(name)}(/|\.py)", DRAWING)
    assert found, f"the drawing lacks {name}"
    return found.start()


def defined(path: Path) -> set[str]:
    """Functions, classes and constants of a module; methods as Class.method, inner functions by their own name."""
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.ClassDef)
    methods = {
        f"{cls.name}.{item.name}"
        for cls in ast.walk(tree)
        if isinstance(cls, ast.ClassDef)
        for item in cls.body
        if isinstance(item, kinds)
    }
    constants = {
        node.target.id for node in tree.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return methods | constants | {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_every_path_that_the_page_names_exists() -> None:
    named = {word for word in re.findall(r"`([\w./-]+)`", TEXT) if re.search(r"/|\.(py|md|cfg)$", word)}
    places = (ROOT, ROOT / "backend" / "adapters")
    missing = {word for word in named if not any((place / word).exists() for place in places)}
    assert len(named) > 50 and not missing, missing


def test_every_name_of_the_drawing_exists() -> None:
    named = set(re.findall(r"\b(\w+(?:/|\.py))", DRAWING))
    places = (ROOT, ROOT / "backend", ROOT / "backend" / "core", ROOT / "selection")
    missing = {word for word in named if not any((place / word).exists() for place in places)}
    assert len(named) > 20 and not missing, missing


def test_every_room_is_in_the_drawing_and_in_the_table() -> None:
    tops = rooms("backend") | {path.name for path in (ROOT / "backend").glob("[!_]*.py")} | {"selection/"}
    subjects = rooms("backend/core")
    drawn = set(re.findall(r"\b(\w+(?:/|\.py))", DRAWING))
    assert tops | subjects <= drawn, (tops | subjects) - drawn
    told = TEXT.split("## Four walks")[0]
    rows = {f"backend/{name}" for name in tops - {"selection/", "core/"}} | {
        f"backend/core/{name}" for name in subjects
    }
    assert not [row for row in sorted(rows) if f"`{row}`" not in told]
    assert not [name for name in sorted(rooms("backend/adapters")) if f"`{name}`" not in told]


@pytest.mark.parametrize("contract", ["layers", "subjects"])
def test_the_drawing_has_the_layers_in_the_order_that_is_checked(contract: str) -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config[f"importlinter:contract:{contract}"]["layers"].split("\n")
    layers = [re.findall(r"\w+", line) for line in lines if line.strip()]
    places = [[place(name) for name in layer] for layer in layers if layer != ["errors"]]
    for above, below in pairwise(places):
        assert max(above) < min(below), (above, below, layers)


@pytest.mark.parametrize(("name", "path"), sorted(set(STEPS)))
def test_every_step_of_the_walks_is_where_the_page_says(name: str, path: str) -> None:
    assert name in defined(ROOT / path)


def test_the_walks_are_four_and_each_has_steps() -> None:
    walks = re.split(r"^### ", TEXT.split("## Four walks")[1].split("## Where to add")[0], flags=re.M)[1:]
    assert len(walks) == 4
    for walk in walks:
        steps = re.findall(r"^\d+\. (.*(?:\n   .*)*)", walk, re.M)
        assert len(steps) >= 4 and not [step for step in steps if not re.search(r"`[\w.]+`\s+in\s+`", step)], walk
