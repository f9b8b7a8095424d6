"""The cases behind `selection.check`: each a function that raises `CheckFailed` with what it saw."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import re
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection.check_memory import largest_tensor
from selection.check_pools import CheckFailed, Subject, expect, features, guesses, same
from selection.contract import (
    LABELED,
    UNLABELED,
    BadParameter,
    BadVector,
    MissingProbabilities,
    Pool,
    Ranking,
)
from selection.kernels import blocks

Case = Callable[[Subject], None]
Applies = Callable[[Subject], bool]
CASES: dict[str, tuple[Applies, Case]] = {}
ONCE: set[str] = set()
"""Cases that ask nothing of the form of labels: they run once for a selector that takes both."""


def case(name: str, applies: Applies = lambda _: True, *, once: bool = False) -> Callable[[Case], Case]:
    """Register a check under a name that reads as a fact."""

    def keep(function: Case) -> Case:
        CASES[name] = (applies, function)
        if once:
            ONCE.add(name)
        return function

    return keep


@case("gives exactly the rows asked for, at every budget and state of labels")
def _counts(subject: Subject) -> None:
    n = 40
    states = {
        "none": (),
        "first": range(9),
        "last": range(n - 9, n),
        "interleaved": range(0, n, 3),
        "all but one": range(1, n),
        "all": range(n),
    }
    for seen in states.values():
        pool = subject.pool_of(n, *seen)
        free = len(pool.candidates)
        for budget in sorted({0, 1, 5, max(free - 1, 0), free, free + 1}):
            subject.pick(pool, budget)


@case("never picks a skipped row")
def _skipped(subject: Subject) -> None:
    subject.pick(subject.pool_of(30, 0, 1, 2).skip(np.arange(3, 12)), 30)
    subject.pick(subject.pool_of(30).skip(np.arange(5)), 10)


@case("serves pools of 0, 1, 2 and 3 rows, of one dimension, of one class")
def _tiny(subject: Subject) -> None:
    for n in (0, 1, 2, 3):
        subject.pick(subject.pool_of(n), 2)
    subject.pick(subject.pool_of(24, 0, 5, d=1), 9)
    subject.pick(subject.pool(features(24), [3], np.ones((24, 1))), 9)
    subject.pick(subject.pool(features(24), [0, 3, 6], guesses(24, 3, subject.form)), 9)
    alike = subject.pool_of(24)
    marks = np.where(np.arange(24) < 6, LABELED, UNLABELED)
    if alike.present is None:
        subject.pick(Pool(alike.features, marks, alike.probs), 9)
    else:
        subject.pick(Pool(alike.features, probs=alike.probs, present=alike.present, marks=marks), 9)


@case("works in blocks: their size changes nothing, the tail included")
def _block_size(subject: Subject) -> None:
    for n in (31, 32, 33, 64):
        pool = subject.pool_of(n, 0, 1, 7)
        whole = subject.pick(pool, 12)
        for size in (1, 32 * 4 * 6):
            with blocks.block_bytes(size):
                expect(same(whole, subject.pick(pool, 12)), f"n = {n}: blocks of {size} bytes change the picks")


@case("same seed, same answer; another object, same answer")
def _repeats(subject: Subject) -> None:
    pool = subject.pool_of(50, 0, 1, 2)
    first, second = subject.pick(pool, 20), subject.pick(pool, 20)
    expect(same(first, second), "two runs with one seed differ")
    expect(np.array_equal(first.scores, second.scores), "two runs with one seed differ in scores")
    expect(list(first.notes) == list(second.notes), "two runs with one seed differ in notes")


@case("leaves the global random states alone", once=True)
def _global_state(subject: Subject) -> None:
    def states() -> str:
        torch = sys.modules.get("torch")
        drawn = torch.get_rng_state().tolist() if torch else None
        kind, keys, *rest = np.random.get_state(legacy=True)
        return repr((random.getstate(), kind, np.asarray(keys).tolist(), rest, drawn))

    subject.pick(subject.pool_of(40, 0, 1), 8)  # the first use may import torch
    before = states()
    subject.pick(subject.pool_of(40, 0, 1), 8)
    expect(states() == before, "a global random state moved")


@case("takes float16, float32, float64, memory-mapped and strided features alike")
def _layouts(subject: Subject) -> None:
    pool = subject.pool_of(48, 0, 1, 2)
    wanted = subject.pick(pool, 16)
    for name, shown in _same_values(pool.features):
        shown.flags.writeable = False
        got = subject.pick(subject.pool(shown, (0, 1, 2), pool.probs), 16)
        expect(same(wanted, got), f"{name} features change the picks")
        if pool.probs is not None:
            strided = np.repeat(pool.probs, 2, axis=1)[:, ::2]
            expect(same(wanted, subject.pick(subject.pool(shown, (0, 1, 2), strided), 16)), "strided probs do")


def _same_values(rows: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    for dtype in (np.float16, np.float64):
        yield np.dtype(dtype).name, rows.astype(dtype)
    yield "column-major", np.asfortranarray(rows)
    yield "strided", np.repeat(np.repeat(rows, 2, axis=0), 3, axis=1)[::2, ::3]
    yield "reversed", np.ascontiguousarray(rows[::-1])[::-1]
    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, np.float32, "w+", shape=rows.shape)
        mapped[:] = rows
        yield "memory-mapped", mapped


@case("serves duplicates, equal rows and zero rows")
def _degenerate(subject: Subject) -> None:
    n = 36
    twice = np.repeat(features(n // 2), 2, axis=0)
    zeros = features(n)
    zeros[5:15] = 0.0
    for rows in (twice, np.ones((n, 6), np.float32), zeros, np.zeros((n, 6), np.float32)):
        for seen in ((), (0, 9, 20)):
            for budget in (1, 10, n):
                subject.pick(subject.pool(rows, seen, guesses(n, 3, subject.form)), budget)
    for probs in (np.full((n, 3), 1 / 3), np.eye(3)[np.arange(n) % 3]):
        subject.pick(subject.pool(features(n), [1], probs), 10)


@case("names the first bad row, or does not read it")
def _bad_rows(subject: Subject) -> None:
    pool = subject.pool_of(30, 0, 1)
    clean = subject.pick(pool, 10)
    for poison in (np.nan, np.inf):
        rows = pool.features.copy()
        rows[17, 2] = rows[21, 0] = poison
        _expect_named(subject, subject.pool(rows, (0, 1), pool.probs), clean)
        if "probs" in subject.needs and pool.probs is not None:
            probs = pool.probs.copy()
            probs[17, 1] = probs[21, 1] = poison
            _expect_named(subject, subject.pool(pool.features, (0, 1), probs), None)


def _expect_named(subject: Subject, pool: Pool, unread: Ranking | None) -> None:
    try:
        got = subject.pick(pool, 10)
    except BadVector as error:
        expect(error.row == 17 and "17" in str(error), f"the error does not name row 17: {error}")
        return
    expect(unread is not None and same(got, unread), "a value that is not finite changes the picks silently")


@case("says that it needs probabilities", lambda s: "probs" in s.needs)
def _missing_probs(subject: Subject) -> None:
    try:
        subject.pick(subject.pool(features(20), [0]), 5)
    except MissingProbabilities:
        return
    raise CheckFailed("MissingProbabilities is not raised for a pool without probs")


@case("its picks follow the rows when those are shuffled", lambda s: "permutation" in s.tags)
def _permutation(subject: Subject) -> None:
    pool = subject.pool_of(60, 0, 1, 2)
    order = np.random.default_rng(3).permutation(60)
    got = subject.pick(pool.take(order), 20)
    expect(np.array_equal(order[got.rows], subject.pick(pool, 20).rows), "shuffled rows give other picks")


@case("a smaller budget gives the head of a larger one", lambda s: "prefix" in s.tags)
def _prefix(subject: Subject) -> None:
    for seen in ((), (0, 1, 2)):
        pool = subject.pool_of(50, *seen)
        whole = subject.pick(pool, 30).rows
        for budget in (1, 2, 11):
            head = subject.pick(pool, budget).rows
            expect(np.array_equal(head, whole[:budget]), f"budget {budget} is not the head of 30")


@case("its parameters go through JSON, and bad ones raise BadParameter", once=True)
def _parameters(subject: Subject) -> None:
    made = subject.make()
    shown = {f.name: getattr(made, f.name) for f in dataclasses.fields(subject.cls) if f.init}
    again = subject.cls(**json.loads(json.dumps(shown)))
    expect(again == made, f"{shown} does not survive JSON")
    for name, value in shown.items():
        hostile: list[Any] = [-1] if isinstance(value, list | dict | tuple) else [[]]
        if isinstance(value, int | float) and not isinstance(value, bool):
            hostile.append(math.nan)
        for bad in hostile:
            try:
                subject.make(**{name: bad})
            except BadParameter:
                continue
            raise CheckFailed(f"{name}={bad!r} is accepted; raise BadParameter in __post_init__")


@case("is a frozen dataclass without state", once=True)
def _stateless(subject: Subject) -> None:
    params = getattr(subject.cls, "__dataclass_params__", None)
    expect(params is not None and params.frozen, "it is not a frozen dataclass")
    made = subject.make()
    before = dict(vars(made)) if hasattr(made, "__dict__") else {}
    made.select(subject.pool_of(30, 0, 1), 5, np.random.default_rng(0))
    expect(not hasattr(made, "__dict__") or vars(made) == before, "select() leaves something behind in the object")


@case("holds no rows x rows array", once=True)
def _memory(subject: Subject) -> None:
    n = 3000
    pool = subject.pool_of(n, 0, 1, 2, 3)
    limit = n * n * 2  # half of a float32 rows x rows array, in bytes
    with blocks.block_bytes(1 << 18), largest_tensor() as largest:
        subject.pick(subject.pool_of(n, 0, 1, 2), 20)  # what a first use imports is not the method's memory
        tracemalloc.start()
        try:
            subject.pick(pool, 20)
            peak = max(tracemalloc.get_traced_memory()[1], largest())
        finally:
            tracemalloc.stop()
    expect(peak < limit, f"{peak >> 20} MiB at n = {n} (limit {limit >> 20} MiB)")


@case("its docstring names its source and its cost", once=True)
def _documented(subject: Subject) -> None:
    text = subject.cls.__doc__ or ""
    expect(bool(text) and not text.startswith(f"{subject.cls.__name__}("), "it has no docstring of its own")
    expect(bool(re.search(r"\b(19|20)\d\d\b|\b[Oo]urs?\b", text)), "no paper with its year (or 'ours') is named")
    expect("cost" in text.lower(), "its cost is not stated")
