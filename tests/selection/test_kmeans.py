"""K-means: the kernel against scikit-learn, and the picks by definition."""

import numpy as np
import pytest
from sklearn.cluster import KMeans as Reference

from selection import create
from selection.kernels.kmeans import kmeans
from tests.selection.pools import blobs, pool


def test_inertia_is_close_to_that_of_scikit_learn():
    rows = np.random.default_rng(0).normal(size=(3000, 12)).astype(np.float32)
    theirs = Reference(40, n_init=3, random_state=0).fit(rows).inertia_
    ours = kmeans(rows, 40, np.random.default_rng(0)).squared.sum()
    assert ours < 1.05 * theirs


def test_each_row_is_with_its_nearest_center():
    rows = np.random.default_rng(1).normal(size=(9000, 5)).astype(np.float32)
    found = kmeans(rows, 30, np.random.default_rng(0))
    between = np.linalg.norm(rows[:, None] - found.centers[None], axis=2)
    assert np.allclose(between[np.arange(9000), found.assigned], between.min(1), atol=1e-5)
    assert np.allclose(np.sqrt(found.squared), between.min(1), atol=1e-3)
    assert found.sizes.sum() == 9000


@pytest.mark.parametrize("n", [0, 1, 3, 7])
def test_more_clusters_than_rows_gives_each_row_its_own(n):
    rows = np.random.default_rng(2).normal(size=(n, 3))
    assert sorted(kmeans(rows, 7, np.random.default_rng(0)).assigned.tolist()) == list(range(n))


def test_no_cluster_is_empty_even_where_rows_are_equal():
    rows = np.repeat(np.eye(3), [40, 2, 1], axis=0)
    assert (kmeans(rows, 10, np.random.default_rng(0)).sizes > 0).all()


def test_the_row_nearest_to_the_mean_of_each_blob_is_picked_largest_first():
    rows, of = blobs(50, 40, 30, 20)
    wanted = []
    for blob in range(4):
        at = np.flatnonzero(of == blob)
        mean = rows[at].mean(0, dtype=np.float64)
        wanted.append(at[((rows[at] - mean) ** 2).sum(1).argmin()])
    ranking = create("kmeans").select(pool(rows), 4, np.random.default_rng(0))
    assert ranking.rows.tolist() == wanted
    assert ranking.notes[0] == "nearest to the middle of a group of 50 images of which none is labeled"


def test_groups_with_a_label_come_last():
    rows, of = blobs(50, 40, 30, 20)
    ranking = create("kmeans", max_clusters=4).select(pool(rows, 3, 60), 4, np.random.default_rng(0))
    assert of[ranking.rows].tolist() == [2, 3, 0, 1]
