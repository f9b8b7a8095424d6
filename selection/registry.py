"""The selectors by name: register, list, create from JSON parameters, describe.

A selector is a frozen dataclass; its fields are its parameters. Distributions other than this one are found by the
entry point group `labelqueue.selectors` (value: a module that registers, or the class itself).
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeVar

from selection.contract import BadParameter, Selector, UnknownSelector, WrongForm
from selection.parameters import ranges

GROUP = "labelqueue.selectors"
FORMS = ("one", "set")
T = TypeVar("T", bound=type)


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered selector: what it is called, what it needs beside features, and what it can do.

    needs : "probs" if it reads class probabilities. forms : what a label may be, "one" class or a "set" of them.
    tags, inner, refers : see `register`.
    """

    name: str
    cls: type
    needs: frozenset[str]
    tags: frozenset[str]
    inner: tuple[str, ...] = ()
    refers: tuple[str, ...] = ()
    forms: frozenset[str] = frozenset({"one"})

    @property
    def summary(self) -> str:
        """First line of the class's docstring."""
        return (self.cls.__doc__ or "").strip().split("\n", 1)[0]


_entries: dict[str, Entry] = {}


def register(
    name: str,
    *,
    needs: Iterable[str] = (),
    tags: Iterable[str] = (),
    inner: Iterable[str] = (),
    refers: Iterable[str] = (),
    forms: Iterable[str] = ("one",),
) -> Callable[[T], T]:
    """Class decorator; all that a selector says of itself stands here.

    needs : "probs". tags : what it can do, checked by `selection.check`: "prefix" (a smaller budget gives the head of
    a larger one, so one call serves batch and reserve), "permutation" (picks follow the rows when those are shuffled),
    "blind" (reads row numbers only, so rows set aside do not shift the others), "conditions" (labeled rows count as
    covered); and what it goes by: "geometric", "uncertainty". inner : parameters that name the selectors to which it
    hands the whole pool and budget; what all of these can do, it can do (see `has`). refers : parameters that name
    selectors used otherwise; a name, or a mapping from names. `create` refuses unknown names in both. forms : what a
    label may be, "one" class a row (`Pool.labels`) or a "set" of classes (`Pool.present`); a selector that says
    nothing takes one, and `selection.rank` refuses it for sets. One that reads only `candidates`, `covered` and `free`
    takes both: forms=("one", "set").
    """
    unknown = sorted(set(forms) - set(FORMS))
    if unknown:
        raise BadParameter(f"forms of {name} must be among {', '.join(FORMS)}, got {', '.join(unknown)}")

    def keep(cls: T) -> T:
        taken = _entries.get(name)
        if taken is not None and taken.cls.__qualname__ != cls.__qualname__:
            raise BadParameter(f"selector name {name!r} is taken by {taken.cls.__module__}.{taken.cls.__qualname__}")
        if not dataclasses.is_dataclass(cls):
            raise BadParameter(f"{cls.__qualname__} must be a frozen dataclass: put @dataclass under @register")
        _entries[name] = Entry(
            name, cls, frozenset(needs), frozenset(tags), tuple(inner), tuple(refers), frozenset(forms)
        )
        return cls

    return keep


@cache
def _load_plugins() -> None:
    import selection.strategies  # noqa: F401  (registers ours)

    for point in entry_points(group=GROUP):
        point.load()


def names() -> list[str]:
    """All registered names, sorted."""
    _load_plugins()
    return sorted(_entries)


def entry(name: str) -> Entry:
    """The entry of `name`; raises `UnknownSelector` with the known names."""
    _load_plugins()
    if name not in _entries:
        raise UnknownSelector(f"no selector named {name!r}; known: {', '.join(sorted(_entries))}")
    return _entries[name]


def entry_of(cls: type) -> Entry | None:
    """The entry under which `cls` is registered; None if it is not."""
    _load_plugins()
    return next((found for found in _entries.values() if found.cls is cls), None)


def has(selector: Selector, tag: str) -> bool:
    """Whether `selector`, with its parameters, can do what `tag` says: itself, or all selectors that it names."""
    found = entry_of(type(selector))
    if found is None or tag in found.tags:
        return found is not None
    return bool(found.inner) and all(has(create(getattr(selector, field)), tag) for field in found.inner)


def takes(selector: Selector, form: str) -> bool:
    """Whether `selector`, and every selector that its parameters name, takes labels of this form: "one" or "set".

    A class that is not registered takes "one".
    """
    found = entry_of(type(selector))
    if found is None or form not in found.forms:
        return form == "one" and found is None
    return all(takes(create(other), form) for other in _named(found, selector))


def require_form(selector: Selector, form: str) -> None:
    """Raise `WrongForm` with the selectors that do, unless `selector` takes labels of this form."""
    if takes(selector, form):
        return
    found = entry_of(type(selector))
    name = found.name if found else type(selector).__qualname__
    what = {"one": "one class a row", "set": "sets of classes"}[form]
    able = ", ".join(other for other in names() if form in entry(other).forms)
    because = ""
    if found is not None and form in found.forms:
        because = f", because a selector that it names ({', '.join(_named(found, selector))}) does not"
    raise WrongForm(
        f"{name} does not take {what}{because}; choose one of: {able}. "
        f'Its author can say that it does: @register(..., forms=("one", "set"))'
    )


def _named(found: Entry, selector: Selector) -> list[str]:
    """Names of the selectors that the parameters name."""
    out: list[str] = []
    for field in (*found.inner, *found.refers):
        value = getattr(selector, field)
        out += [value] if isinstance(value, str) else list(value)
    return out


def create(name: str, /, **params: Any) -> Selector:
    """Make a selector from JSON-able parameters; unknown or badly typed ones raise `BadParameter`."""
    found = entry(name)
    fields = {f.name for f in dataclasses.fields(found.cls) if f.init}
    unknown = sorted(set(params) - fields)
    if unknown:
        known = ", ".join(sorted(fields)) or "none"
        raise BadParameter(f"{name} has no parameter {', '.join(unknown)}; it takes: {known}")
    try:
        made: Selector = found.cls(**params)
    except TypeError as error:
        raise BadParameter(f"{name}: {error}") from error
    for field in (*found.inner, *found.refers):
        value = getattr(made, field)
        for other in [value] if isinstance(value, str) else value:
            if other not in names():
                raise BadParameter(f"{name}: {field} names no selector {other!r}; known: {', '.join(names())}")
    return made


def create_for(name: str, device: str) -> Selector:
    """Make selector `name` with defaults, on `device` if it takes one: for methods that contain another by name."""
    fields = {f.name for f in dataclasses.fields(entry(name).cls)}
    return create(name, device=device) if "device" in fields else create(name)


def schema(name: str) -> dict[str, dict[str, Any]]:
    """The parameters of `name`, ready for JSON: type and default of each; of a number also its range and the reason.

    "minimum", "maximum" and "reason" are there if the type says them (see `selection.parameters`).
    """
    found = entry(name)
    hints = typing.get_type_hints(found.cls)
    out: dict[str, dict[str, Any]] = {}
    for field in dataclasses.fields(found.cls):
        if not field.init:
            continue
        hint = hints[field.name]
        shown = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
        default = field.default if field.default is not dataclasses.MISSING else None
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        out[field.name] = {"type": shown, "default": default}
        if (limits := ranges(found.cls).get(field.name)) is not None:
            out[field.name] |= {"minimum": limits.low, "maximum": limits.high, "reason": limits.why}
    return out
