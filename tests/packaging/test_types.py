"""`Any` switches mypy off wherever its value goes: it stands only where a comment "# Any: why" gives the reason.

JSON has `backend.core.json_values.JSON`; a value that is only looked at is an `object`; what Label Studio or a
library leaves open is named once, as `Answer` in `backend/adapters/label_studio/http.py`.
"""

from __future__ import annotations

import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST = 20
TO_COME = (  # written anew at the moment; take away what is done
    "backend/adapters/label_studio/config.py",
    "backend/adapters/state/",
    "backend/cli/tune.py",
    "backend/core/domain/projects.py",
    "backend/core/domain/setting",
    "backend/core/kinds/",
    "backend/core/ports/projects.py",
    "backend/core/project/",
    "backend/core/tasks/events.py",
    "backend/setting",
)


def uses(source: str) -> list[tuple[int, bool]]:
    """(line, whether it has a reason) of each `Any` that is a name in code; imports do not count."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    reasons = {token.start[0] for token in tokens if token.type == tokenize.COMMENT and "Any:" in token.string}
    text = source.splitlines()
    found = []
    for token in tokens:
        line = token.start[0]
        named = token.type == tokenize.NAME and token.string == "Any"
        quoted = token.type == tokenize.STRING and "Any]" in token.string and "\n" not in token.string
        if (named or quoted) and not text[line - 1].lstrip().startswith(("from ", "import ")):
            found.append((line, bool(reasons & {line - 1, line})))
    return found


def test_each_any_has_a_reason_and_they_are_few() -> None:
    told, missing = 0, []
    for path in sorted((ROOT / "backend").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(TO_COME):
            continue
        for line, has_reason in uses(path.read_text(encoding="utf-8")):
            told += has_reason
            if not has_reason:
                missing.append(f"{name}:{line}")
    assert not missing, f"say why, as `# Any: ...`, or name the type: {', '.join(missing)}"
    assert told <= MOST


def test_a_reason_is_seen_on_the_line_or_right_above_it() -> None:
    assert uses("from typing import Any\nx: Any = 1  # Any: it may be all\n") == [(2, True)]
    assert uses("# Any: so\ny: list[Any]\nz: Any\n") == [(2, True), (3, False)]
    assert uses('"""Any text."""\nw: "Row[Any]" = 1\n') == [(2, False)]
