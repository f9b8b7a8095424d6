import json

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from selection import SKIPPED, BadParameter, Pool, create
from selection.kernels.top import shortlists
from selection.strategies.probcover import ProbCover
from selection.strategies.probcover.balls import Balls
from selection.strategies.random import hash_rows

GOLDEN = [(17, 80), (34, 77), (0, 76), (68, 76), (51, 47), (6, 6), (16, 5), (21, 5), (36, 5), (61, 5)]
"""avihu111/TypiClust@4097a71, ProbCover with delta 0.4 on the golden rows: (row, newly covered)."""


def golden_rows() -> np.ndarray:
    n, k = np.arange(400)[:, None], np.arange(1, 9)[None]
    x = 0.35 * np.sin(0.37 * n * k) + np.cos(1.7 * (n % 5 + 1) * k)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def pool_of(x: np.ndarray, covered: list[int] | None = None) -> Pool:
    labels = np.full(len(x), -1, np.int64)
    labels[covered or []] = SKIPPED
    return Pool(x, labels)


def by_definition(x: np.ndarray, delta: float, covered: list[int], budget: int) -> list[int]:
    """Greedy cover on the explicit float64 graph, the radius smaller whenever all is covered."""
    x = x.astype(np.float64)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    apart = np.linalg.norm(x[:, None] - x[None], axis=2)
    hashes = hash_rows(np.arange(len(x)), np.uint64(0)).tolist()
    picked: list[int] = []
    for _ in range(8):
        graph = apart < delta
        np.fill_diagonal(graph, True)
        open_ = ~graph[covered + picked].any(0)
        while len(picked) < budget:
            gain = (graph & open_).sum(1)
            gain[covered + picked] = -1
            best = int(gain.argmax())
            if gain[best] <= 1:
                break
            picked.append(best)
            open_ &= ~graph[best]
        picked += sorted(np.flatnonzero(open_).tolist(), key=hashes.__getitem__)
        delta *= 0.8
    left = [row for row in range(len(x)) if row not in covered + picked]
    return (picked + sorted(left, key=hashes.__getitem__))[:budget]


def test_the_first_picks_and_gains_are_the_published_codes() -> None:
    ranking = ProbCover(delta=0.4).select(pool_of(golden_rows()), 10, np.random.default_rng(0))
    assert list(zip(ranking.rows.tolist(), ranking.scores.astype(int).tolist(), strict=True)) == GOLDEN


@pytest.mark.parametrize("covered", [[], [4, 99, 230]])
@pytest.mark.parametrize("d", [5, 200])  # above 128 dims the first look is at leading directions only
@pytest.mark.parametrize("kept", [0, 300])  # pairs found again, and remembered
def test_picks_are_those_of_the_explicit_graph_through_several_radii(
    covered: list[int], d: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selection.strategies.probcover.selector._KEPT", kept)
    rng = np.random.default_rng(d)
    x = (rng.normal(size=(12, d))[rng.integers(12, size=260)] + rng.normal(size=(260, d)) * 0.4).astype(np.float32)
    rows = ProbCover(delta=0.6).select(pool_of(x, covered), 120, np.random.default_rng(0)).rows
    assert rows.tolist() == by_definition(x, 0.6, covered, 120)


@pytest.mark.parametrize("spread", [0.05, 1.0])  # tiles where few pairs are in doubt, and where all are
def test_degrees_are_the_definitions_with_and_without_the_first_look(spread: float) -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(40, 300))[rng.integers(40, size=260)] + rng.normal(size=(260, 300)) * spread).astype("f4")
    unit = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    apart = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    delta = float(np.quantile(apart, 0.2))
    graph = apart < delta
    np.fill_diagonal(graph, False)
    np.testing.assert_array_equal(Balls(x).degrees(np.arange(260), delta), graph.sum(0))


def test_degrees_are_the_definitions_where_the_leading_directions_tell_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(900, 400)).astype(np.float32) + 0.5  # all directions alike but one
    unit = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    apart = cdist(unit, unit)
    delta = float(np.quantile(apart[np.triu_indices(900, 1)], 0.004))
    graph = apart < delta
    np.fill_diagonal(graph, False)
    balls = Balls(x)
    np.testing.assert_array_equal(balls.degrees(np.arange(900), delta), graph.sum(0))
    assert graph.sum() > 1000
    assert (balls._whole is not None) == shortlists("cpu", torch.float32, 400, 900)


def test_gains_never_grow_while_the_radius_stands_and_a_smaller_budget_is_a_prefix() -> None:
    x = golden_rows()
    long = ProbCover(delta=0.4).select(pool_of(x), 60, np.random.default_rng(0))
    ends = int(np.flatnonzero(np.diff(long.scores) > 0)[0]) + 1 if (np.diff(long.scores) > 0).any() else 60
    assert (np.diff(long.scores[:ends]) <= 0).all()
    short = ProbCover(delta=0.4).select(pool_of(x), 13, np.random.default_rng(1))
    np.testing.assert_array_equal(short.rows, long.rows[:13])


@pytest.mark.parametrize("n", [1, 2, 499, 501])
def test_every_row_of_a_pool_of_any_size_can_be_picked(n: int) -> None:
    x = np.random.default_rng(n).normal(size=(n, 4))
    rows = ProbCover(delta=0.5).select(pool_of(x), n, np.random.default_rng(0)).rows
    assert sorted(rows.tolist()) == list(range(n))


def test_rows_that_stand_alone_are_not_taken_in_the_order_of_the_pool() -> None:
    x = np.random.default_rng(0).normal(size=(400, 60))  # no two are near
    ranking = ProbCover(delta=0.1).select(pool_of(x), 100, np.random.default_rng(0))
    assert 100 < ranking.rows.mean() < 300
    assert ranking.notes[0] == "stands alone"


def test_copies_come_last_and_no_row_comes_twice() -> None:
    x = np.repeat(np.eye(4), 5, axis=0)
    rows = ProbCover(delta=0.3).select(pool_of(x), 20, np.random.default_rng(0)).rows
    assert sorted((rows[:4] // 5).tolist()) == [0, 1, 2, 3]
    assert sorted(rows.tolist()) == list(range(20))


def test_the_radius_is_where_the_asked_share_of_balls_is_pure() -> None:
    rng = np.random.default_rng(0)
    x = np.repeat(np.eye(6) * 4, 50, axis=0) + rng.normal(size=(300, 6)) * 0.3
    pool = pool_of(x)
    delta = ProbCover(clusters=6, purity=0.9)._pure_radius(pool, Balls(x), np.random.default_rng(0))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    apart = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    other = (np.arange(300)[:, None] // 50) != (np.arange(300)[None] // 50)
    pure = ~((apart < delta) & other).any(1)
    assert pure.mean() == pytest.approx(0.9, abs=0.01)


def test_rows_that_are_all_equal_still_fill_the_budget() -> None:
    assert len(ProbCover().select(pool_of(np.ones((30, 3))), 12, np.random.default_rng(0))) == 12


@pytest.mark.parametrize("wrong", [{"delta": -0.1}, {"purity": 1.1}, {"clusters": -1}, {"device": "abacus"}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadParameter, match=next(iter(wrong))):
        create("probcover", **json.loads(json.dumps(wrong)))
