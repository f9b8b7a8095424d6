"""Feature versions in the state: entries of the report are merged, whoever else writes meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.adapters.state import State
from backend.core.domain import Project
from backend.core.errors import UserError


def test_noted_entries_leave_the_others_and_the_state_alone(state: State, project: Project) -> None:
    sets = state.feature_sets
    sets.note(project.id, 1, at=5.0, embed_rate=2.0)
    noted = sets.note(project.id, 1, at=6.0, left=3)
    assert noted == sets.get(project.id, 1)
    assert (noted.report, noted.state, noted.updated_at) == ({"embed_rate": 2.0, "left": 3}, "live", 6.0)
    assert sets.note(project.id, 1, at=7.0, left=2).report == {"embed_rate": 2.0, "left": 2}
    with pytest.raises(UserError, match="no feature version 4"):
        sets.note(project.id, 4, at=8.0, left=1)


def test_of_many_jobs_that_note_at_once_each_is_kept(state: State, project: Project) -> None:
    def note(number: int) -> None:
        state.feature_sets.note(project.id, 1, at=5.0, **{f"job{number}": number})

    state.feature_sets.note(project.id, 1, at=5.0)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(note, range(12)))
    assert state.feature_sets.get(project.id, 1).report == {f"job{number}": number for number in range(12)}
