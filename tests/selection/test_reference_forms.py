"""The forms that benchmarks compare against must be the published algorithms: they give the published codes' picks."""

import numpy as np
import pytest

from selection import Pool
from selection.strategies.badge import Badge
from tests.selection.test_activeft import GOLDEN as ACTIVEFT
from tests.selection.test_activeft import golden_rows
from tests.selection.test_bilaf import CORRECTED, OFFICIAL
from tests.selection.test_probcover import GOLDEN as PROBCOVER

pytest.importorskip("sklearn")

import torch

from benchmarks.reference import activeft, badge, bilaf, coreset, probcover
from tests.selection.test_bilaf import golden_rows as wide_rows

KCENTER = [0, 317, 318, 391, 319, 271, 394, 362, 378, 361]


def test_activeft_gives_the_published_picks() -> None:
    unit = torch.from_numpy(golden_rows())
    start, picks, _ = ACTIVEFT[0]
    assert activeft.assign(unit, activeft.fit(unit, np.array(start), 300)) == picks


@pytest.mark.parametrize(("slip", "expected"), [(True, OFFICIAL), (False, CORRECTED)])
def test_bilaf_gives_the_published_picks(slip: bool, expected: list[int]) -> None:
    assert bilaf.pick(wide_rows(), np.arange(5), 25, slip=slip) == expected


def test_probcover_gives_the_published_picks() -> None:
    left, right = probcover.build(wide_rows(), 0.4)
    assert probcover.pick(left, right, 400, 10) == [row for row, _ in PROBCOVER]


def test_coreset_gives_the_published_picks() -> None:
    assert coreset.pick(wide_rows(), 0, 10) == KCENTER


def test_badge_gives_our_picks() -> None:
    rng = np.random.default_rng(0)
    x, p = rng.normal(size=(200, 6)).astype(np.float32), rng.dirichlet(np.ones(4), size=200)
    rows = badge.pick(badge.embed(x, p), 20, np.random.default_rng(2))
    ours = Badge().select(Pool(x, np.full(200, -1, np.int64), p), 20, np.random.default_rng(2)).rows
    assert rows == ours.tolist()
