"""When features should be renewed by fine-tuning: a rule on what each learning round measured.

Wen et al., "ASVP", TMLR 2024, renew pre-computed features once they no longer tell the labeled classes apart, judged by
LogME and PED, but publish no threshold. The rule here is ours; `advise` states it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.proxy.heads.linear import moments
from selection.proxy.logme import logme
from selection.proxy.ped import logme_ped


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one learning round says of the current features.

    labels, classes : labels given and classes among them; paired : share of these classes with two labels or more.
    logme, logme_ped : of the labeled rows, None when they say nothing; accuracy : of the head, out of fold.
    """

    labels: int
    classes: int
    paired: float
    logme: float | None
    logme_ped: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Limits:
    """The rule's constants.

    least_labels, least_per_class : fewer labels than either are too few to fine-tune on.
    gain : LogME that still counts as standing still; rounds : how many steps it must stand still; step : a step is
        this factor of labels, whatever the batches are. LogME creeps up with n on any features: on 5,000 CIFAR-10
        images with EfficientNet-Lite0 features by 0.02 a step at 500 labels, by 0.01 at 1,000 and above.
    error : share of mistakes below which the features are good enough.
    growth : labels must have grown by this factor since the last attempt, and by `back_off` times that if it was
        rejected; most : renewals of a project.
    """

    least_labels: int = 200
    least_per_class: int = 5
    paired: float = 0.8
    gain: float = 0.02
    rounds: int = 2
    step: float = 1.25
    error: float = 0.03
    growth: float = 2.0
    back_off: float = 2.0
    most: int = 2


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, and why in words and numbers."""

    action: Literal["renew", "wait"]
    reason: str


def measure(
    features: FloatArray,
    labels: IntArray,
    accuracy: float | None,
    *,
    scaling: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> Evidence:
    """Evidence from pool features (n, d) and labels (n,), those below 0 left out. Cost O(m d min(m, d)), m labels."""
    rows = np.flatnonzero(labels >= 0)
    counts = np.bincount(labels[rows]) if len(rows) else np.zeros(0, np.int64)
    counts = counts[counts > 0]
    mean, scale = moments(features) if scaling is None else scaling
    known = features[rows]
    return Evidence(
        labels=len(rows),
        classes=len(counts),
        paired=float((counts > 1).mean()) if len(counts) else 0.0,
        logme=logme(known, labels[rows]) if len(rows) else None,
        logme_ped=logme_ped(known, labels[rows], mean, scale) if len(rows) else None,
        accuracy=accuracy,
    )


def advise(
    rounds: Sequence[Evidence],
    *,
    renewals: int = 0,
    labels_then: int = 0,
    rejected: bool = False,
    limits: Limits | None = None,
) -> Advice:
    """Whether to fine-tune now.

    rounds : evidence of the current features, oldest first; renewals : accepted ones so far; labels_then : labels at
    the last attempt, 0 if there was none; rejected : whether its features were not better.

    Renew when there are labels enough, LogME has not risen above its best by more than `gain` for `rounds` rounds
    (steps of 25% more labels), the head still errs on more than `error` of held-out labels, and pushing the classes
    apart (PED) would raise LogME: the features have stopped separating what people tell apart.
    """
    rule = limits or Limits()
    if not rounds:
        return Advice("wait", "no learning round has measured these features yet")
    now = rounds[-1]
    blocked = _too_early(now, renewals, labels_then * (rule.back_off if rejected else 1.0), rule)
    if blocked:
        return Advice("wait", blocked)
    known = _steps(rounds, rule)
    if len(known) <= rule.rounds:
        return Advice("wait", f"LogME is known at {len(known)} numbers of labels; the rule compares {rule.rounds + 1}")
    if now.logme is None or now.logme_ped is None or now.accuracy is None:
        return Advice("wait", "the labels do not tell yet how well the features separate the classes")
    error = 1 - now.accuracy
    if error <= rule.error:
        return Advice("wait", f"the head errs on {error:.1%} of held-out labels; up to {rule.error:.0%} is good enough")
    for back in range(rule.rounds):
        place = len(known) - 1 - back
        best = max(known[:place])
        if known[place] > best + rule.gain:
            return Advice("wait", f"LogME still rises with the labels ({best:.3f} to {known[place]:.3f})")
    room = now.logme_ped - now.logme
    if room <= 0:
        return Advice("wait", f"pushing the classes apart would not raise LogME ({room:+.3f}): no head-room seen")
    return Advice(
        "renew",
        f"LogME stands at {now.logme:.3f} (best before: {max(known[:-1]):.3f}) for {rule.rounds} steps while the head "
        f"errs on {error:.1%} of held-out labels; LogME-PED sees head-room of {room:+.3f}",
    )


def _steps(rounds: Sequence[Evidence], rule: Limits) -> list[float]:
    """LogME of the newest round and of those before it that had at least a step fewer labels each, oldest first."""
    kept: list[Evidence] = []
    for item in reversed(rounds):
        if item.logme is not None and (not kept or item.labels * rule.step <= kept[-1].labels):
            kept.append(item)
    return [item.logme for item in reversed(kept) if item.logme is not None]


def _too_early(now: Evidence, renewals: int, labels_then: float, rule: Limits) -> str:
    least = max(rule.least_labels, rule.least_per_class * now.classes)
    if renewals >= rule.most:
        return f"renewed {renewals} times already; the rule stops at {rule.most}"
    if now.classes < 2:
        return "fewer than two classes are labeled"
    if now.labels < least:
        return f"{now.labels} labels; fine-tuning needs {least}"
    if now.paired < rule.paired:
        return f"only {now.paired:.0%} of the classes have two labels; the rule asks for {rule.paired:.0%}"
    if labels_then and now.labels < rule.growth * labels_then:
        return f"{now.labels} labels; the next attempt waits for {round(rule.growth * labels_then)}"
    return ""
