"""Write the table of project settings into docs/operate.md: `python -m scripts.settings_table`."""

from __future__ import annotations

from pathlib import Path

from backend.core.domain import SETTINGS, Setting
from backend.core.project.tuning import as_text

PAGE = Path(__file__).parents[1] / "docs" / "operate.md"
BEGIN, END = "<!-- settings: written by scripts/settings_table.py -->\n", "<!-- end of settings -->"


def table() -> str:
    """All settings, a line each."""
    head = ["| setting | default | takes | what it does | also set by |", "|---|---|---|---|---|"]
    return "\n".join([*head, *map(_line, SETTINGS.values()), ""])


def written(page: str) -> str:
    """The page with the table as it should be."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END, 1)[1]


def _line(item: Setting) -> str:
    installation = [f"{item.name.upper()}, for new projects"] if item.installation else []
    by = "; ".join([*installation, *(["presets"] if item.preset else [])])
    return f"| `{item.name}` | {as_text(item.default)} | {item.kind.words} | {item.help} | {by} |"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
