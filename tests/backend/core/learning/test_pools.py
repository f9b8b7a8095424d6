"""The graph is built once per feature version, takes new tasks in, and is rebuilt when it no longer fits."""

from __future__ import annotations

import numpy as np
import pytest

from backend.core import pools
from backend.core.domain import FeatureTable
from backend.core.pools import Pools


def table(ids: list[int]) -> FeatureTable:
    """Three clusters by id modulo 3."""
    vectors = np.stack([np.random.default_rng(n).normal(0, 0.3, 4) + 3 * np.eye(4)[n % 3] for n in ids])
    return FeatureTable(np.array(ids, np.int64), vectors.astype(np.float16))


def labels(ids: list[int], known: int) -> np.ndarray:
    return np.array([n % 3 if n <= known else -1 for n in ids], np.int64)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the pools that were prepared."""
    seen: list[int] = []
    real = pools.prepare
    monkeypatch.setattr(pools, "prepare", lambda v, t: seen.append(len(t.task_ids)) or real(v, t))
    return seen


def test_the_graph_is_built_once_and_new_tasks_are_attached(built: list[int]) -> None:
    kept, ids = Pools(), list(range(1, 101))
    kept.learn(7, 1, table(ids), labels(ids, 9), 3, seed=0)
    later = [*ids, 103, 105, 107]
    learned = kept.learn(7, 1, table(later), labels(later, 9), 3, seed=0)
    assert built == [100]
    assert learned.probs.shape == (103, 3)
    assert learned.probs.argmax(1).tolist() == [n % 3 for n in later]
    np.testing.assert_allclose(learned.probs.sum(1), 1, atol=1e-3)


def test_rows_attached_between_the_others_keep_their_places(built: list[int]) -> None:
    kept, ids = Pools(), [n for n in range(1, 101) if n != 50]
    first = kept.learn(7, 1, table(ids), labels(ids, 9), 3, seed=0)
    later = list(range(1, 101))
    learned = kept.learn(7, 1, table(later), labels(later, 9), 3, seed=0)
    assert built == [99]
    np.testing.assert_array_equal(np.delete(learned.probs, 49, 0), first.probs)


@pytest.mark.parametrize(
    ("ids", "known", "version"),
    [
        (list(range(1, 121)), 9, 1),  # a fifth is new
        (list(range(2, 101)), 9, 1),  # one is gone
        ([*range(1, 101), 103], 103, 1),  # a new one is labeled
        (list(range(1, 101)), 9, 2),  # other features
    ],
)
def test_a_graph_that_no_longer_fits_is_built_anew(built: list[int], ids: list[int], known: int, version: int) -> None:
    kept, before = Pools(), list(range(1, 101))
    kept.learn(7, 1, table(before), labels(before, 9), 3, seed=0)
    learned = kept.learn(7, version, table(ids), labels(ids, known), 3, seed=0)
    assert built == [100, len(ids)]
    assert learned.probs.argmax(1).tolist() == [n % 3 for n in ids]


def test_a_huge_pool_is_served_by_the_linear_head_alone(built: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MOST_ROWS", 50)
    kept, ids = Pools(), list(range(1, 101))
    kept.learn(7, 1, table(ids), labels(ids, 9), 3, seed=0)
    later = [*ids, 103]
    learned = kept.learn(7, 1, table(later), labels(later, 9), 3, seed=0)
    assert learned.report.kind == "linear"
    assert learned.probs.argmax(1).tolist() == [n % 3 for n in later]


def test_another_image_of_a_task_has_the_graph_built_anew(built: list[int]) -> None:
    """Its features were stored anew between two rounds: the same tasks, another vector."""
    kept, before = Pools(), table(list(range(1, 101)))
    kept.learn(7, 1, before, labels(before.task_ids.tolist(), 9), 3, seed=0)
    vectors = before.vectors.copy()
    vectors[49] = vectors[50]
    after = FeatureTable(before.task_ids, vectors)
    learned = kept.learn(7, 1, after, labels(after.task_ids.tolist(), 9), 3, seed=0)
    assert built == [100, 100]
    np.testing.assert_array_equal(learned.probs[49], learned.probs[50])
