from __future__ import annotations

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from selection.proxy.heads.gaussian import SHRINK, Gaussians
from tests.selection.proxy.blobs import blobs


def test_with_every_label_known_it_is_the_linear_discriminant():
    rows, truth = blobs(n=400, d=10)
    rows = (rows - rows.mean(0)).astype(np.float32)
    got = Gaussians(rows).logits(np.full((400, 4), 0.25, np.float32), np.arange(400), truth)
    within = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True).fit(rows, truth).covariance_
    within += SHRINK * rows.var(0, dtype=np.float64).mean() * np.eye(10)
    means = np.stack([rows[truth == c].mean(0, dtype=np.float64) for c in range(4)])
    directions = np.linalg.solve(within, means.T)
    counts = np.bincount(truth) + 3.0
    want = rows @ directions - (means.T * directions).sum(0) / 2 + np.log(counts / counts.sum())
    np.testing.assert_allclose(got, want, atol=1e-3)


def test_the_unlabeled_pool_mends_guesses_from_a_blurred_head():
    rows, truth = blobs(n=600, d=10, gap=1.5)
    rng = np.random.default_rng(0)
    guess = np.eye(4)[truth] + rng.exponential(0.8, (600, 4))
    guess = (guess / guess.sum(1, keepdims=True)).astype(np.float32)
    labeled = np.array([np.flatnonzero(truth == c)[0] for c in range(4)])
    mended = Gaussians(rows).logits(guess, labeled, truth[labeled])
    assert (mended.argmax(1) == truth).mean() > (guess.argmax(1) == truth).mean() + 0.1


def test_rows_asked_for_alone_get_the_same_answer_and_the_guess_is_left_as_it_was():
    rows, truth = blobs(n=100, d=6)
    guess = np.full((100, 4), 0.25, np.float32)
    labeled = np.arange(30)
    everywhere = Gaussians(rows).logits(guess, labeled, truth[labeled])
    some = Gaussians(rows).logits(guess, labeled, truth[labeled], np.array([50, 7]))
    np.testing.assert_allclose(some, everywhere[[50, 7]], rtol=1e-5, atol=1e-5)
    assert (guess == 0.25).all()


def test_equal_rows_do_not_break_it():
    out = Gaussians(np.ones((5, 3), np.float32)).logits(
        np.full((5, 2), 0.5, np.float32), np.array([0, 1]), np.arange(2)
    )
    assert np.isfinite(out).all()
