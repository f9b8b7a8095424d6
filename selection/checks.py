"""The common checks of a selector, public: `print(selection.check(MySelector))`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from selection import registry
from selection.check_cases import CASES, ONCE
from selection.check_pools import CheckFailed, Subject
from selection.contract import SelectionError, Selector

INHERITED = ("prefix", "permutation")  # tags that a check looks at


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check found: `status` is "ok", "failed", "known" (fails for a stated reason) or "skipped"."""

    check: str
    status: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All outcomes of one selector; `str()` of it is a table for a person."""

    selector: str
    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """True if nothing failed beyond what is known."""
        return not self.failures

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The checks that failed without a stated reason."""
        return tuple(o for o in self.outcomes if o.status == "failed")

    def __str__(self) -> str:
        width = max((len(o.check) for o in self.outcomes), default=0)
        lines = [f"  {o.status:7} {o.check:{width}}  {o.detail}".rstrip() for o in self.outcomes]
        passed = sum(o.status == "ok" for o in self.outcomes)
        return "\n".join([f"{self.selector}: {passed} of {len(lines)} checks passed", *lines])


OF_SETS = "sets: "


def case_names() -> list[str]:
    """Names of the checks, in the order in which they run; those of `OF_SETS` are for selectors that take sets."""
    return [*CASES, *(OF_SETS + name for name in CASES if name not in ONCE)]


def check(selector: str | type, *, only: str | None = None, **params: Any) -> Report:
    """Run the common checks on a registered name or on any selector class, with `params` for its constructor.

    A class may state failures it must live with: `known_failures: ClassVar = {"check name": "reason"}`; they are
    shown as "known", and as failed if they pass by now. `only` runs one check. Takes seconds; uses small pools. A
    selector registered with forms=("one", "set") is checked with both: the names for sets begin with "sets: ".
    Raises `UnknownSelector` or `BadParameter` if the selector cannot be made; nothing else.
    """
    subject = _subject(selector, params)
    known = dict(getattr(subject.cls, "known_failures", {}))
    names = [only] if only else [name for name in case_names() if _form_of(name) in subject.forms or name in ONCE]
    return Report(subject.name, tuple(_outcomes(subject, names, known)))


def _outcomes(subject: Subject, names: list[str], known: dict[str, str]) -> Iterator[Outcome]:
    for name in names:
        applies, case = CASES[name.removeprefix(OF_SETS)]
        form = _form_of(name)
        if name not in ONCE and form not in subject.forms:
            yield Outcome(name, "skipped", "does not apply by its forms")
            continue
        if not applies(subject):
            yield Outcome(name, "skipped", "does not apply by its tags")
            continue
        try:
            case(replace(subject, form=form if form in subject.forms else "set"))
        except CheckFailed as failure:
            told = str(failure)
        except Exception as error:  # a third party's code may raise anything; the report must say what
            told = f"{type(error).__name__}: {error}"
        else:
            told = ""
        if name in known:
            yield Outcome(name, "known" if told else "failed", known[name] if told else "passes by now: untag it")
        else:
            yield Outcome(name, "failed" if told else "ok", told)


def _form_of(name: str) -> str:
    return "set" if name.startswith(OF_SETS) else "one"


def _subject(selector: str | type, params: dict[str, Any]) -> Subject:
    cls = registry.entry(selector).cls if isinstance(selector, str) else selector
    found = registry.entry_of(cls)
    if found is not None:
        return Subject(found.name, cls, params, found.needs, _tags(found, params), found.forms)
    if not dataclasses.is_dataclass(cls) or not issubclass(cls, Selector):
        raise SelectionError(f"{cls.__qualname__} is no selector: a frozen dataclass with select() is needed")
    return Subject(cls.__qualname__, cls, params, frozenset(), frozenset())


def _tags(found: registry.Entry, params: dict[str, Any]) -> frozenset[str]:
    """The entry's tags and those that it has from the selectors it names; one that cannot be made fails its checks."""
    try:
        selector = found.cls(**params)
    except (TypeError, SelectionError):
        return found.tags
    return found.tags | {tag for tag in INHERITED if registry.has(selector, tag)}
