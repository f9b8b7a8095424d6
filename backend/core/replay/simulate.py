"""Replay labeled data as if nobody had labeled it yet, through the code that the live queue runs.

A draw (seed) sets a stratified share of the rows aside as the test: they lie in the pool's graph as unlabeled tasks
do, but are never served and never trained on. Each round ranks with `ordering.order_rows`, reveals the labels of
the head of the order and learns with `Pools.learn`, as `cycle` does; accuracy is that on the test rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

import selection
from backend.core.domain import FeatureTable
from backend.core.domain.training import Method
from backend.core.errors import BadSetting, UserError
from backend.core.learning.labels import Labels
from backend.core.pools import Pools
from backend.core.project.presets import Preset, preset
from backend.core.queue.order import order_rows
from backend.core.renewal import rules
from backend.core.renewal.acceptance import compare_features
from selection.proxy.learn import Learned
from selection.proxy.renewal import Evidence, advise, measure

BASE = "random"


@dataclass(frozen=True, slots=True)
class Reveal:
    """What a fine-tuning may see: rows of the table with their labels, those it trains on and those it stops by."""

    train: NDArray[np.int64]
    train_labels: NDArray[np.int64]
    held_out: NDArray[np.int64]
    held_out_labels: NDArray[np.int64]
    method: Method
    seed: int


Renew = Callable[[Reveal], NDArray[np.float16]]
"""Fine-tune on what is revealed and embed all rows anew: features (n, d') in the table's order."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Rows with a known class: features, label (n,) in 0..c-1, names of the classes."""

    table: FeatureTable
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to replay.

    stops : numbers of labels after which the head is trained and judged, ascending; seeds : draws.
    further : stops that only the base has, behind the others: what it needs to catch up.
    heads : kinds of heads that learn, judge, and give the strategies their probabilities.
    """

    strategies: tuple[str, ...]
    stops: tuple[int, ...]
    seeds: tuple[int, ...]
    heads: tuple[str, ...] = ("auto",)
    further: tuple[int, ...] = ()
    test_share: float = 0.2

    def __post_init__(self) -> None:
        every = (*self.stops, *self.further)
        if not self.stops or every[0] < 1 or any(a >= b for a, b in pairwise(every)):
            raise BadSetting(f"numbers of labels must ascend from 1 on, not {list(every)}")
        if not self.seeds or not self.heads or not 0 < self.test_share < 1:
            raise BadSetting("a simulation needs a seed, a head, and a test share between 0 and 1")

    @property
    def arms(self) -> tuple[tuple[Preset, str], ...]:
        """Random first: all others are compared with it, under the first head."""
        names = (BASE, *(name for name in dict.fromkeys(self.strategies) if name != BASE))
        return tuple((preset(name), head) for name in names for head in self.heads)

    def stops_of(self, strategy: str, head: str) -> tuple[int, ...]:
        """The stops of one arm; the base, random under the first head, may go on longer."""
        return (*self.stops, *self.further) if (strategy, head) == (BASE, self.heads[0]) else self.stops


@dataclass(frozen=True, slots=True)
class Run:
    """One strategy on one draw: accuracy after each stop, and what happened to its features."""

    strategy: str
    head: str
    seed: int
    accuracy: tuple[float, ...]
    seconds: float
    renewals: tuple[str, ...] = ()


def simulate(truth: Truth, plan: Plan, renew: Renew | None = None) -> Iterator[Run]:
    """Play all arms, draw by draw. Raises `UserError` before the first if the data or the plan do not allow it."""
    arms = plan.arms
    stuck = [item.name for item, _ in arms if item.renew and renew is None]
    if stuck:
        raise UserError(
            f"{', '.join(stuck)} renews the features, which needs the images: name a folder with one sub-folder of "
            "images a class, or simulate svpp-... instead"
        )
    tests = {seed: split(truth.labels, plan.test_share, seed) for seed in plan.seeds}
    least = min(int((~test).sum()) for test in tests.values())
    most = max(*plan.stops, *plan.further, 0)
    if most > least:
        raise UserError(
            f"{least} labeled images remain beside the test share of {plan.test_share:.0%}, fewer than the "
            f"{most} to be chosen; lower --rounds, --batch, --budgets or --further"
        )
    pools = Pools()
    for seed in plan.seeds:
        for item, head in arms:
            yield _Replay(truth, plan, item, head, seed, tests[seed], pools, renew).run()


def split(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """The test rows (n,) bool: `share` of each class, rounded, but never all of it. Raises `UserError` if none is left.

    A class of one row stays selectable, and is not judged.
    """
    rng = np.random.default_rng(seed)
    test = np.zeros(len(labels), bool)
    for number in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == number))
        test[rows[: min(round(share * len(rows)), len(rows) - 1)]] = True
    if not test.any():
        raise UserError(f"{len(labels)} labeled images are too few to set a test share of {share:.0%} aside")
    return test


@dataclass(slots=True)
class _Replay:
    truth: Truth
    plan: Plan
    preset: Preset
    head: str
    seed: int
    test: NDArray[np.bool_]
    pools: Pools
    renew: Renew | None
    version: int = 1
    accepted: int = 0
    labels_then: int = 0
    rejected: bool = False
    evidence: list[Evidence] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self) -> Run:
        started = time.perf_counter()
        table = self.truth.table
        known = np.where(self.test, selection.SKIPPED, selection.UNLABELED).astype(np.int64)
        probs: NDArray[np.float32] | None = None
        accuracy, done = [], 0
        for stop in self.plan.stops_of(self.preset.name, self.head):
            batch, done = stop - done, stop
            asked = self._choose(table, known, probs, batch)
            known[asked] = self.truth.labels[asked]
            learned = self._learn(table, known)
            if self.preset.renew:
                fresh = self._renewed(table, known, learned)
                if fresh is not None:
                    table, learned = fresh, self._learn(fresh, known)
            # as in the service, one class alone teaches no head
            probs = learned.probs if len(np.unique(known[known >= 0])) > 1 else None
            right = learned.probs[self.test].argmax(1) == self.truth.labels[self.test]
            accuracy.append(float(right.mean()))
        seconds = time.perf_counter() - started
        return Run(self.preset.name, self.head, self.seed, tuple(accuracy), seconds, tuple(self.notes))

    def _choose(
        self, table: FeatureTable, known: NDArray[np.int64], probs: NDArray[np.float32] | None, batch: int
    ) -> NDArray[np.int64]:
        # the live queue ranks a reserve behind the batch, which never changes the batch: not worth its time here
        ordered = order_rows(
            self.preset.strategy, table.vectors, known, probs, self.test, length=batch, batch=batch, seed=self.seed
        )
        return ordered.rows

    def _learn(self, table: FeatureTable, known: NDArray[np.int64]) -> Learned:
        classes = len(self.truth.classes)
        return self.pools.learn(0, self.version, table, known, classes, seed=self.seed, kind=self.head)

    def _renewed(self, table: FeatureTable, known: NDArray[np.int64], learned: Learned) -> FeatureTable | None:
        """New features if the rule asks for them and unseen labels accept them; as `renewal` and `embedding` do."""
        evidence = measure(table.vectors, known, learned.report.accuracy)
        self.evidence.append(evidence)
        advice = advise(self.evidence, renewals=self.accepted, labels_then=self.labels_then, rejected=self.rejected)
        if advice.action != "renew" or self.renew is None:
            return None
        labels = Labels(known, self.test, self.truth.classes, "")
        tasks = rules.choose_held_out(table, labels, self.seed)
        held_out, stop_by, judge_by = (
            rules.rows_of(table, some) for some in (tasks, rules.stopping_half(tasks), rules.judging_half(tasks))
        )
        train: NDArray[np.int64] = np.setdiff1d(np.flatnonzero(known >= 0), held_out).astype(np.int64)
        unseen = np.zeros(len(known), bool)
        unseen[judge_by] = True
        method = rules.method_for(evidence.labels, evidence.classes)
        vectors = self.renew(Reveal(train, known[train], stop_by, known[stop_by], method, self.seed))
        fresh = FeatureTable(table.task_ids, vectors)
        found = compare_features(table.vectors, vectors, known, unseen, len(self.truth.classes), seed=self.seed)
        self.notes.append(f"at {evidence.labels} labels by {method}: {found.reason}")
        self.labels_then, self.rejected = evidence.labels, not found.better
        if not found.better:
            return None
        self.accepted += 1
        self.version += 1
        self.pools = Pools()  # the others go on with the features as they come
        self.evidence.clear()
        return fresh


def steady(rounds: int, batch: int) -> tuple[int, ...]:
    """Stops of `rounds` rounds of `batch` labels."""
    if rounds < 1 or batch < 1:
        raise BadSetting(f"rounds and batch must be at least 1, not {rounds} and {batch}")
    return tuple(batch * number for number in range(1, rounds + 1))


def bundle(runs: Sequence[Run], strategy: str, head: str) -> NDArray[np.float64]:
    """Accuracy (s, r) of one arm, a row a seed in ascending order."""
    chosen = sorted((run for run in runs if (run.strategy, run.head) == (strategy, head)), key=lambda run: run.seed)
    return np.array([run.accuracy for run in chosen])
