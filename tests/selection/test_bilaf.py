import json

import numpy as np
import pytest

from selection import SKIPPED, BadParameter, Pool, create
from selection.kernels.blocks import block_bytes
from selection.kernels.quotas import fit_quotas
from selection.strategies.bilaf.boundary import Members, allot, dense_first, two_nearest
from selection.strategies.bilaf.selector import BiLAF, _dense_part, pick_all

OFFICIAL = [0, 95, 70, 145, 20, 1, 21, 376, 56, 351, 2, 317, 197, 7, 97, 3, 388, 368, 268, 163, 4, 339, 354, 234, 384]
CORRECTED = [0, 95, 70, 60, 20, 1, 21, 376, 56, 351, 2, 317, 197, 7, 97, 3, 388, 368, 183, 78, 4, 19, 354, 234, 299]
"""Thinklab-SJTU/BiLAF@de1501f on the golden rows with cores 0..4; as released, and with its index slip mended."""

LINE = BiLAF(core="coreset")


def golden_rows() -> np.ndarray:
    n, k = np.arange(400)[:, None], np.arange(1, 9)[None]
    x = 0.35 * np.sin(0.37 * n * k) + np.cos(1.7 * (n % 5 + 1) * k)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def picks(how: BiLAF, x: np.ndarray, cores: np.ndarray, budget: int, labels: np.ndarray | None = None) -> list[int]:
    pool = Pool(x, np.full(len(x), -1, np.int64) if labels is None else labels)
    chosen = pick_all(how, pool, cores, two_nearest(x, cores, "cpu"), budget)
    return [row for group in chosen for row, _ in group]


@pytest.mark.parametrize(("compat", "expected"), [("official", OFFICIAL), ("corrected", CORRECTED)])
def test_picks_are_those_of_the_published_code_and_of_its_correction(compat: str, expected: list[int]) -> None:
    assert picks(BiLAF(compat=compat), golden_rows(), np.arange(5), 25) == expected


@pytest.mark.parametrize("seed", range(3))
def test_large_classes_are_decided_as_in_double_precision(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(1500, 300)) * rng.chisquare(4, size=(1500, 1))).astype(np.float32)
    x[700:800] = x[600:700] * (1 + rng.normal(size=(100, 1)) * 1e-5)  # what float32 products take for copies
    cores = np.array([3, 90, 200])
    labels = np.full(1500, -1)
    labels[rng.choice(1500, 20, replace=False)] = 0
    quick = picks(BiLAF(), x, cores, 120, labels)
    with block_bytes(1 << 15):
        assert quick == picks(BiLAF(), x, cores, 120, labels)
    monkeypatch.setattr("selection.strategies.bilaf.selector.HELD", 0)  # in blocks, without a matrix
    assert quick == picks(BiLAF(), x, cores, 120, labels)
    monkeypatch.setattr("selection.strategies.bilaf.selector.LARGE", 10_000)
    assert quick == picks(BiLAF(), x, cores, 120, labels)


def by_definition(x: np.ndarray, cores: list[int], budgets: list[int]) -> list[int]:
    """The whole method on dense float64 distances, straight from the definition."""
    between = np.linalg.norm(x[:, None] - x[None], axis=2)
    own = between[:, cores].argmin(1)
    out: list[int] = []
    for c, core in enumerate(cores):
        group = list(np.flatnonzero(own == c))
        ring = max(1, int(0.1 * len(group)))
        inside = sorted(group, key=lambda i: between[i, core])[:ring]
        while len(inside) < len(group):
            left = [i for i in group if i not in inside]
            left.sort(key=lambda i: np.sort(between[i, inside])[:10].mean())
            inside += left[:ring]
        kept = sorted(inside[: len(group) - int(0.1 * len(group))])
        others = [j for j in range(len(cores)) if j != c]
        d_in = {i: between[i, kept].mean() for i in kept}
        opponent = {i: min(others, key=lambda j: between[i, cores[j]]) for i in kept}
        d_out = {i: between[i, cores[opponent[i]]] for i in kept}
        times = dict.fromkeys(others, 0)
        alive, chosen = set(kept), [core]
        while len(chosen) < budgets[c]:
            gone = sorted(alive, key=lambda i: between[i, chosen[-1]])[: len(kept) // budgets[c]]
            alive -= set(gone)
            score = {
                i: (d_out[i] * 1.1 ** times[opponent[i]] - d_in[i]) / max(d_out[i], d_in[i]) for i in sorted(alive)
            }
            chosen.append(min(score, key=score.__getitem__))
            times[opponent[chosen[-1]]] += 1
        out += chosen
    return out


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_picks_are_those_of_the_definition_on_dense_distances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 6))
    cores = np.sort(rng.choice(300, 3, replace=False))
    own = two_nearest(x, cores, "cpu").own
    sizes = np.bincount(own)
    kept = sizes - (sizes * 0.1).astype(int)
    assert picks(BiLAF(), x, cores, 24) == by_definition(x, cores.tolist(), allot(24, kept).tolist())


def test_isolated_rows_are_dropped_by_the_corrected_density_and_kept_by_the_published_one() -> None:
    kept = {"corrected": 0, "official": 0}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        line = np.c_[np.linspace(0, 10, 180), rng.normal(size=180) * 0.01]
        lone = np.c_[rng.uniform(0, 10, 10), rng.uniform(1.5, 5, 10)]
        x = rng.permutation(np.concatenate([line, lone]))
        core = int(np.abs(x - [5, 0]).sum(1).argmin())
        for compat in kept:
            rows, count = _dense_part(BiLAF(compat=compat), x, np.arange(190), core)
            kept[compat] += int((x[rows[:count], 1] > 1).sum())
    assert kept["corrected"] == 0
    assert kept["official"] > 10


def test_rows_of_the_last_partial_ring_are_not_dropped() -> None:
    x = np.random.default_rng(0).normal(size=(25, 3))
    assert sorted(dense_first(Members(x, "cpu"), 0, 0.1, 10, indexed_by_place=False)) == list(range(25))
    assert _dense_part(LINE, x, np.arange(25), 0)[1] == 23
    assert _dense_part(BiLAF(compat="official"), x, np.arange(25), 0)[1] == 21


@pytest.mark.parametrize(
    ("budget", "sizes", "expected"),
    [(10, [50, 30, 20], [5, 3, 2]), (5, [98, 1, 1], [4, 1, 0]), (10, [1000, 1, 1, 1], [9, 1, 0, 0])],
)
def test_the_budget_is_split_like_the_published_codes(budget: int, sizes: list[int], expected: list[int]) -> None:
    assert allot(budget, np.array(sizes)).tolist() == expected


def test_quotas_respect_the_room_of_each_class() -> None:
    fitted = fit_quotas(np.array([9, 1, -2]), np.array([2, 5, 5]), np.array([90, 5, 5]), 8)
    assert fitted.sum() == 8
    assert fitted[0] == 2
    assert (fitted <= [2, 5, 5]).all()


@pytest.mark.parametrize("budget", [1, 3, 5, 6, 57, 399, 400, 500])
def test_any_budget_gives_distinct_rows_and_every_core_once_it_can(budget: int) -> None:
    x = golden_rows()
    ranking = BiLAF(core="coreset", cores=5).select(
        Pool(x, np.full(400, -1, np.int64)), budget, np.random.default_rng(0)
    )
    cores = create("coreset").select(Pool(x, np.full(400, -1, np.int64)), 5, np.random.default_rng(0)).rows
    assert len(set(ranking.rows.tolist())) == min(budget, 400)
    assert ranking.rows[:5].tolist() == cores[:budget].tolist()


def test_more_cores_than_rows_and_equal_cores_work() -> None:
    x = np.repeat(np.eye(3), 4, axis=0)
    ranking = BiLAF(core="coreset", cores=50).select(Pool(x, np.full(12, -1, np.int64)), 12, np.random.default_rng(0))
    assert sorted(ranking.rows.tolist()) == list(range(12))


def test_a_class_with_many_labels_gets_fewer_new_rows() -> None:
    x = golden_rows()
    labels = np.full(400, -1, np.int64)
    labels[0:50:5] = 0
    labels[50] = SKIPPED  # eleven rows of the class of core 0 are seen
    rows = np.array(picks(BiLAF(), x, np.arange(5), 20, labels))
    own = two_nearest(x, np.arange(5), "cpu").own
    counts = np.bincount(own[rows], minlength=5)
    assert (labels[rows] == -1).all()
    assert counts[0] == 0
    assert counts[1:].tolist() == [5, 5, 5, 5]


def test_without_a_penalty_rivals_are_less_even_than_with_one() -> None:
    x = golden_rows()
    spread = {}
    borders = two_nearest(x, np.arange(5), "cpu")
    for penalty in (1.0, 2.0):
        rows = np.array(picks(BiLAF(penalty=penalty), x, np.arange(5), 60))
        rows = rows[borders.own[rows] == 1]
        spread[penalty] = np.bincount(borders.opponent[rows], minlength=5).std()
    assert spread[2.0] <= spread[1.0]


def test_the_ranking_interleaves_the_classes() -> None:
    x = golden_rows()
    pool = Pool(x, np.full(400, -1, np.int64))
    ranking = BiLAF(core="coreset", cores=5).select(pool, 50, np.random.default_rng(0))
    own = two_nearest(x, ranking.rows[:5], "cpu").own
    half = np.bincount(own[ranking.rows[:25]], minlength=5)
    whole = np.bincount(own[ranking.rows], minlength=5)
    assert (np.abs(half - whole / 2) <= 1.5).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"core": "bilaf"},
        {"core": "not a name"},
        {"cores": 0},
        {"inner": 0},
        {"removed": 1},
        {"neighbors": 0},
        {"penalty": 0.9},
        {"compat": "both"},
        {"device": "abacus"},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadParameter, match=next(iter(wrong))):
        create("bilaf", **json.loads(json.dumps(wrong)))
