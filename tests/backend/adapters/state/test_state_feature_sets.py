"""Feature versions in the state: entries of the report are merged, whoever else writes meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.adapters.state import State
from backend.core.domain import Project
from backend.core.domain.training import Epoch, FeatureReport, Training
from backend.core.errors import UserError


def test_a_noted_rate_leaves_the_rest_and_the_state_alone(state: State, project: Project) -> None:
    sets = state.feature_sets
    begun = sets.begin(project.id, version=2, method="ft", base=1, labels=9, labels_digest="x", held_out=[1], at=4.0)
    training = Training((Epoch(1.0, 1.0, 0.5, 3.0),), planned=4, train_seconds=3.0)
    sets.move(project.id, begun.version, "slice", at=5.0, report=training)
    noted = sets.note_rate(project.id, 2, 2.5, at=6.0)
    assert noted == sets.get(project.id, 2)
    assert (noted.report, noted.state, noted.updated_at) == (FeatureReport(training, None, 2.5), "training", 6.0)
    with pytest.raises(UserError, match="no feature version 4"):
        sets.note_rate(project.id, 4, 1.0, at=8.0)


def test_of_many_jobs_that_write_a_report_at_once_each_is_kept(state: State, project: Project) -> None:
    sets = state.feature_sets
    sets.begin(project.id, version=2, method="ft", base=1, labels=9, labels_digest="x", held_out=[1], at=4.0)
    training = Training((), planned=4, train_seconds=0.0)

    def slice_of_training(number: int) -> None:
        sets.move(project.id, 2, "slice", at=5.0, report=training)

    def rate(number: int) -> None:
        sets.note_rate(project.id, 2, float(number), at=5.0)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: (slice_of_training, rate)[number % 2](number), range(12)))
    found = sets.get(project.id, 2).report
    assert found.training == training and found.embed_rate in range(12)
