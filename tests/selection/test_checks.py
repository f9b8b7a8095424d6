"""The common checks over every registered selector, and that the checks themselves can fail."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import selection
from selection import Ranking, SelectionError
from selection.checks import case_names

QUICKER = {"activeft": {"iterations": 40}}  # of 300: the checks ask what is picked of whom, not how well


def cases():
    """All of them; with sets only the first where labels count by their place alone, as it is the same code."""
    for name in selection.names():
        blind = "geometric" in selection.entry(name).tags
        for case in case_names():
            if not (blind and case.startswith("sets: ")) or case.startswith("sets: gives exactly"):
                yield name, case


@pytest.mark.parametrize(("name", "case"), list(cases()))
def test_selector(name, case):
    (outcome,) = selection.check(name, only=case, **QUICKER.get(name, {})).outcomes
    assert outcome.status != "failed", outcome.detail


@dataclass(frozen=True)
class LowestRows:
    """The lowest rows first. Ours, for tests. Cost O(n)."""

    step: int = 1

    def __post_init__(self):
        selection.parameters.whole("step", self.step, 1, 1000)

    def select(self, pool, budget, rng):
        rows = pool.candidates[:: self.step][:budget]
        return Ranking(rows, np.zeros(len(rows)), ["a low row"] * len(rows))


def test_a_sound_class_of_someone_else_passes():
    report = selection.check(LowestRows)
    assert report.ok
    assert "LowestRows: 13 of 16 checks passed" in str(report)


def test_parameters_reach_the_class_and_a_broken_count_is_told():
    report = selection.check(LowestRows, step=2)
    assert report.failures[0].check.startswith("gives exactly the rows")
    assert "20 rows for budget 39 of 40 candidates" in str(report)


def broken(select, **attributes):
    """A copy of `LowestRows` with another `select`."""
    return dataclass(frozen=True)(
        type("Broken", (LowestRows,), {"select": select, "__doc__": LowestRows.__doc__, **attributes})
    )


def failed(cls):
    return " | ".join(o.check for o in selection.check(cls).failures)


def ranked(rows):
    return Ranking(rows, np.zeros(len(rows)), ["why"] * len(rows))


def positions(self, pool, budget, rng):
    return ranked(np.arange(min(budget, len(pool.candidates))))


def global_random(self, pool, budget, rng):
    return ranked(np.random.permutation(pool.candidates)[:budget])


def whole_matrix(self, pool, budget, rng):
    x = pool.features.astype(np.float64)
    near = np.einsum("nd,md->nm", x, x).sum(1)[pool.candidates]
    return ranked(pool.candidates[np.argsort(near, kind="stable")[:budget]])


def writes(self, pool, budget, rng):
    pool.features[0] = 0.0
    return ranked(pool.candidates[:budget])


def nan_is_first(self, pool, budget, rng):
    length = np.nan_to_num(pool.features.astype(np.float64)[pool.candidates].sum(1), nan=99, posinf=99)
    return ranked(pool.candidates[np.argsort(-length, kind="stable")[:budget]])


@pytest.mark.parametrize(
    ("select", "check"),
    [
        (positions, "never picks a skipped row"),
        (global_random, "leaves the global random states alone"),
        (whole_matrix, "holds no rows x rows array"),
        (writes, "gives exactly the rows"),
        (nan_is_first, "names the first bad row"),
    ],
)
def test_a_broken_selector_fails_the_check_of_its_fault(select, check):
    assert check in failed(broken(select))


def test_a_torch_matrix_of_rows_by_rows_is_seen():
    def with_torch(self, pool, budget, rng):
        import torch

        x = torch.from_numpy(pool.features.astype(np.float32))
        near = (x @ x.T).sum(1).numpy()[pool.candidates]
        return ranked(pool.candidates[np.argsort(near, kind="stable")[:budget]])

    assert "holds no rows x rows array" in failed(broken(with_torch))


def test_loose_parameters_and_missing_papers_fail():
    @dataclass(frozen=True)
    class Loose(LowestRows):
        """Takes what it gets."""

        def __post_init__(self):
            pass

    told = failed(Loose)
    assert "bad ones raise BadParameter" in told and "docstring names its source" in told


def test_a_stated_failure_is_known_and_one_that_passes_must_be_untagged():
    class Stated(LowestRows):
        known_failures: ClassVar = {"never picks a skipped row": "it is only for unskipped pools"}

    (outcome,) = selection.check(Stated, only="never picks a skipped row").outcomes
    assert outcome.status == "failed" and "untag" in outcome.detail

    cls = broken(positions, known_failures={"never picks a skipped row": "only for unskipped pools"})
    (outcome,) = selection.check(cls, only="never picks a skipped row").outcomes
    assert (outcome.status, outcome.detail) == ("known", "only for unskipped pools")


def test_what_is_no_selector_is_said_so():
    with pytest.raises(SelectionError, match="frozen dataclass with select"):
        selection.check(dict)
