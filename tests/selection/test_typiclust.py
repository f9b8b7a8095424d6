"""TypiClust: blobs, typicality by definition, turns, groups too small to serve."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from selection import create
from tests.selection.pools import blobs, pool


def picks(rows, budget, *seen, **params):
    return create("typiclust", **params).select(pool(rows, *seen), budget, np.random.default_rng(0))


def densest(rows, of, blob):
    x = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    at = np.flatnonzero(of == blob)
    k = min(20, len(at) // 2)
    distances = NearestNeighbors(n_neighbors=k + 1).fit(x[at]).kneighbors(x[at])[0][:, 1:]
    return at[distances.mean(1).argmin()]


def test_blobs_give_their_densest_row_each_largest_first():
    rows, of = blobs(50, 40, 30, 20)
    ranking = picks(rows, 4)
    assert ranking.rows.tolist() == [densest(rows, of, blob) for blob in range(4)]
    assert ranking.notes[0] == "typical of a group of 50 images of which none is labeled"


def test_scores_are_typicalities_by_definition():
    rows, of = blobs(50, 40, 30, 20)
    x = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    ranking = picks(rows, 4)
    for row, score in zip(ranking.rows, ranking.scores, strict=True):
        gaps = np.sort(np.linalg.norm(x[of == of[row]] - x[row], axis=1))[1:]
        mean = gaps[: min(20, (of == of[row]).sum() // 2)].mean()
        assert score == pytest.approx(1 / (mean + 1e-5), rel=1e-4)


def test_a_blob_with_a_label_comes_last():
    rows, of = blobs(50, 40, 30, 20)
    ranking = picks(rows, 4, 7, max_clusters=4)
    assert of[ranking.rows].tolist() == [1, 2, 3, 0]
    assert ranking.notes[3] == "typical of a group of 50 images of which 1 is labeled"


def test_groups_of_five_or_fewer_wait_until_the_others_are_empty():
    rows, of = blobs(30, 5, 20)
    ranking = picks(rows, 55, max_clusters=3)
    assert (of[ranking.rows[:50]] != 1).all()
    assert (of[ranking.rows[50:]] == 1).all()


def test_small_groups_serve_where_there_are_no_others():
    rows, of = blobs(4, 3, 5)
    assert of[picks(rows, 3).rows].tolist() == [2, 0, 1]


def test_groups_take_turns():
    rows, of = blobs(40, 30, 20)
    assert of[picks(rows, 9, max_clusters=3).rows].tolist() == [0, 1, 2] * 3


def test_second_pick_of_a_group_is_not_beside_the_first():
    rows, _ = blobs(60)
    first, second = picks(rows, 2, max_clusters=1).rows
    x = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    gaps = np.sort(np.linalg.norm(x[:, None] - x[None], axis=2), axis=1)[:, 1]
    assert np.linalg.norm(x[first] - x[second]) > np.median(gaps)


def test_a_copy_of_a_row_counts_as_its_neighbour():
    rows, _ = blobs(20)
    rows[11] = rows[4]
    ranking = picks(rows, 1, max_clusters=1, neighbors=1)
    assert ranking.rows.tolist() == [4]
    assert ranking.scores[0] == pytest.approx(1e5, rel=0.1)


def test_typicality_against_some_of_a_large_group_is_close_to_the_whole():
    rows, _ = blobs(400)
    exact = picks(rows, 400, max_clusters=1)
    by_row = dict(zip(exact.rows.tolist(), exact.scores, strict=True))
    sampled = picks(rows, 20, max_clusters=1, references=200)
    assert np.mean([by_row[row] for row in sampled.rows.tolist()]) > np.quantile(exact.scores, 0.75)
