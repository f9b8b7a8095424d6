"""Heads of sets of classes: when there is something to learn, and the record of what was learnt."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import selection
from backend.core.domain import FeatureTable, LearningReport, SetFigures
from backend.core.pools import Pools

if TYPE_CHECKING:
    from selection.proxy.learn_sets import LearnedSets, SetReport

MEASURE = "mean average precision"


def learn_present(
    pools: Pools,
    project: int,
    version: int,
    table: FeatureTable,
    present: NDArray[np.bool_],
    marks: NDArray[np.int64],
    seed: int,
) -> LearnedSets | None:
    """What is learnt of these sets; None while all labels are the same set.

    present (n, c); marks (n,) as in `selection.Pool`, the audit's rows SKIPPED.
    """
    given = present[marks == selection.LABELED]
    if not len(given) or bool((given == given[0]).all()):
        return None
    seen = np.where((marks == selection.LABELED)[:, None], present, False)  # the audit's sets are not for training
    return pools.learn_sets(project, version, table, seen, marks, seed=seed)


def named(report: SetReport, classes: Sequence[str]) -> LearningReport:
    """The report with the names of the classes; what was not judged is None."""
    mean, f1 = report.metrics.mean_average_precision, report.metrics.macro_f1
    figures = SetFigures(
        macro_f1=f1.value,
        classes_judged=report.metrics.judged,
        exact=report.metrics.exact / report.metrics.exact_of if report.metrics.exact_of else None,
        average_precision=_by_class(report.metrics.average_precision, classes),
        thresholds=_by_class(report.thresholds, classes),
    )
    return LearningReport(
        kind=report.kind,
        measure=MEASURE,
        accuracy=mean.value,
        low=mean.low,
        high=mean.high,
        ece=report.ece,
        log_loss=report.log_loss,
        weights=dict(report.weights),
        labels=report.n_labels,
        judged=report.n_judged,
        sets=figures,
    )


def _by_class(values: NDArray[np.float64], classes: Sequence[str]) -> dict[str, float | None]:
    return {name: None if isnan(value) else float(value) for name, value in zip(classes, values.tolist(), strict=True)}
