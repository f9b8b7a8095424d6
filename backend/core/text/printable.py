"""Text from the world made fit for one line of a terminal or a log."""

from __future__ import annotations

import re

# C0 and C1 control characters with DEL (escape sequences begin with one), separators of lines, what turns the direction
# of writing, and halves of surrogate pairs, which no terminal can encode.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text on one line, with what would act on a terminal shown as an escape: `\\x1b[31m`, `\\n`, `\\u202e`."""
    return _UNFIT.sub(_escaped, text)


def printable_lines(text: str) -> str:
    """The same line by line: line feeds stay."""
    return "\n".join(printable(line) for line in text.split("\n"))


def json_printable(text: str) -> str:
    """JSON that means the same, with these characters escaped as JSON does; the line feeds between its parts stay."""
    return _UNFIT.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
