from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from selection import BadParameter
from selection.proxy.learn import learn
from tests.selection.proxy.blobs import blobs, pool_labels


def test_linear_learns_the_pool_and_reports_honestly():
    features, truth = blobs(n=600, gap=2.0)
    learned = learn(features, pool_labels(truth, np.arange(100)), 4, seed=0)
    right = (learned.probs.argmax(1) == truth)[100:].mean()
    assert learned.report.low <= right <= learned.report.high
    assert learned.report.n_labels == learned.report.n_judged == 100
    assert learned.probs.dtype == np.float32
    assert learned.report.weights == {"linear": 1.0}


def test_skipped_rows_are_not_trained_on():
    features, truth = blobs()
    labels = pool_labels(truth, np.arange(50))
    skipped = labels.copy()
    skipped[60:90] = -2
    assert (learn(features, labels, 4).probs == learn(features, skipped, 4).probs).all()


def test_no_label_at_all_gives_the_uniform_prior_and_no_accuracy():
    features, truth = blobs(n=30)
    learned = learn(features, pool_labels(truth, []), 4)
    assert (learned.probs == 0.25).all()
    assert learned.report.accuracy is None
    assert (learned.report.low, learned.report.high) == (0.0, 1.0)


def test_unknown_kinds_and_labels_beyond_the_classes_are_refused():
    features, truth = blobs(n=30)
    with pytest.raises(BadParameter, match="known: linear"):
        learn(features, truth, 4, kind="forest")  # type: ignore[arg-type]
    with pytest.raises(BadParameter, match="n_classes"):
        learn(features, truth, 2)


def test_importing_the_proxy_does_not_import_torch():
    code = "import sys, selection.proxy.learn; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
