"""The way out to a terminal: whatever is printed is on its line, acts on nothing and holds no secret of an address."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console

from backend.core.text.masking import mask_text
from backend.core.text.printable import printable


def shown(text: str) -> str:
    """Text from the world (titles, names of classes and files, reasons, errors) as a person may see it."""
    return printable(mask_text(text))


def tell(text: str, *, err: bool = False) -> None:
    """One line on stdout, or on stderr."""
    typer.echo(shown(text), err=err)


class Terminal(Console):
    """rich's console; a text that is printed is one line, so nothing in it can begin another."""

    def print(self, *objects: object, **how: Any) -> None:  # Any: rich's own keywords
        """As rich does it. What holds texts, as tables do, is built of `shown` ones."""
        super().print(*(shown(item) if isinstance(item, str) else item for item in objects), **how)
