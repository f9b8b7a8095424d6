"""A register of heads by name; the heads for one class have one, those for sets of classes another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Generic, TypeVar

from selection.contract import BadParameter

Fit = TypeVar("Fit", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Entry(Generic[Fit]):
    """One registered head."""

    name: str
    fit: Fit
    needs_graph: bool


class Register(Generic[Fit]):
    """`package` registers all heads when it is imported; `what` they are is for the errors."""

    def __init__(self, package: str, what: str) -> None:
        self._package, self._what = package, what
        self._entries: dict[str, Entry[Fit]] = {}

    def head(self, name: str, *, needs_graph: bool = False) -> Callable[[Fit], Fit]:
        """Function decorator: the head is known by `name` from now on."""

        def keep(fit: Fit) -> Fit:
            self._entries[name] = Entry(name, fit, needs_graph)
            return fit

        return keep

    def names(self) -> list[str]:
        """All registered heads, sorted."""
        import_module(self._package)
        return sorted(self._entries)

    def entry(self, name: str) -> Entry[Fit]:
        """Raises `BadParameter` with the known names."""
        known = self.names()
        if name not in self._entries:
            raise BadParameter(f"no {self._what} of kind {name!r}; known: {', '.join([*known, 'auto'])}")
        return self._entries[name]
