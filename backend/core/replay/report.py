"""What a simulation found, as plain values: each strategy against random, in figures and in words."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from backend.core.project.presets import preset
from backend.core.replay.curves import ENOUGH, Comparison, Interval, Verdict, compare
from backend.core.replay.simulate import BASE, Plan, Run, bundle


class Figure(TypedDict):
    """A value with its interval; None: infinite or unknown."""

    value: float | None
    low: float | None
    high: float | None
    draws: int
    verdict: Verdict


class Renewed(TypedDict):
    """What became of a renewal in one draw."""

    seed: int
    what: str


class Arm(TypedDict):
    """One strategy under one head, compared with the base; see `curves.Comparison`."""

    name: str
    strategy: str
    head: str
    accuracy: list[float]
    gap: list[Figure]
    area: float
    area_gap: Figure
    wins: int
    ties: int
    losses: int
    labels_to_target: float | None
    saved: Figure
    saved_at: list[Figure]
    seconds_a_round: float
    renewals: list[Renewed]


class Summary(TypedDict):
    """What summary.json holds beside what was simulated (see `Simulated`)."""

    base: str
    labels: list[int]
    further: dict[str, float]
    seeds: list[int]
    test_share: float
    target: float
    arms: list[Arm]
    notes: list[str]


class Simulated(Summary):
    """The same with the data: their name, how many images of which classes."""

    source: str
    images: int
    classes: list[str]


def report(plan: Plan, runs: Sequence[Run], *, target: float | None = None) -> Summary:
    """JSON-able summary: "arms" in the plan's order, each compared with random under the first head.

    null stands for what is infinite or unknown: labels never enough, an interval without a limit.
    """
    counts, further = np.array(plan.stops), np.array([*plan.stops, *plan.further])
    base = bundle(runs, BASE, plan.heads[0])
    found = {arm: compare(counts, bundle(runs, *arm)[:, : len(counts)], base, target, further) for arm in _arms(plan)}
    return {
        "base": label(plan, BASE, plan.heads[0]),
        "labels": list(plan.stops),
        "further": dict(zip(map(str, plan.further), base.mean(0)[len(counts) :].tolist(), strict=True)),
        "seeds": list(plan.seeds),
        "test_share": plan.test_share,
        "target": next(iter(found.values())).target,
        "arms": [_arm(plan, runs, arm, item) for arm, item in found.items()],
        "notes": notes(plan),
    }


def label(plan: Plan, strategy: str, head: str) -> str:
    """The strategy's name, with the head where there are several."""
    return strategy if len(plan.heads) == 1 else f"{strategy}, {head} head"


def curves(plan: Plan, runs: Sequence[Run]) -> dict[str, NDArray[np.float64]]:
    """Label -> (s, r) accuracies of all arms at the stops that all have."""
    return {label(plan, *arm): bundle(runs, *arm)[:, : len(plan.stops)] for arm in _arms(plan)}


def notes(plan: Plan) -> list[str]:
    """What a reader must know to take the figures for no more than they are."""
    out = []
    if len(plan.seeds) < ENOUGH:
        out.append(f"{len(plan.seeds)} draws are too few to claim a difference; {ENOUGH} are asked for.")
    if any(preset(name).calibrate for name in plan.strategies):
        out.append(
            "activedc chooses as activeft does; its expansion of the labels enters fine-tuning only, so that on "
            "features as they come both curves are the same."
        )
    return out


def _arms(plan: Plan) -> list[tuple[str, str]]:
    return [(item.name, head) for item, head in plan.arms]


def _arm(plan: Plan, runs: Sequence[Run], arm: tuple[str, str], found: Comparison) -> Arm:
    mine = [run for run in runs if (run.strategy, run.head) == arm]
    return {
        "name": label(plan, *arm),
        "strategy": arm[0],
        "head": arm[1],
        "accuracy": list(found.accuracy),
        "gap": [_interval(item) for item in found.gap],
        "area": found.area,
        "area_gap": _interval(found.area_gap),
        "wins": found.wins,
        "ties": found.ties,
        "losses": found.losses,
        "labels_to_target": found.to_target if isfinite(found.to_target) else None,
        "saved": _interval(found.saved),
        "saved_at": [_interval(item) for item in found.saved_at],
        "seconds_a_round": sum(run.seconds for run in mine) / len(mine) / len(plan.stops),
        "renewals": [{"seed": run.seed, "what": text} for run in mine for text in run.renewals],
    }


def _interval(item: Interval) -> Figure:
    value, low, high = (end if isfinite(end) else None for end in (item.value, item.low, item.high))
    return {"value": value, "low": low, "high": high, "draws": item.draws, "verdict": item.verdict}
