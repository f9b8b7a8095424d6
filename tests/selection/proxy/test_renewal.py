"""The rule says renew where features cannot tell classes apart, and wait everywhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from selection.proxy.learn import learn
from selection.proxy.renewal import Evidence, Limits, advise, measure

STILL = [Evidence(labels, 10, 1.0, 0.5, 0.6, 0.7) for labels in (200, 260, 340)]


def rounds_of(features: np.ndarray, truth: np.ndarray) -> list[Evidence]:
    """What the service records while labels come in."""
    found = []
    for known in (200, 300, 450, 700, 1000, 1500):
        labels = np.where(np.arange(len(truth)) < known, truth, -1)
        report = learn(features, labels, 4, seed=0).report
        found.append(measure(features, labels, report.accuracy))
    return found


def blobs(gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Four classes in 16 dims; classes 2 and 3 lie `gap` apart, the others far."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 2000)
    centers = np.zeros((4, 16))
    centers[0, 0], centers[1, 1], centers[2, 2], centers[3, 2] = 6.0, 6.0, 6.0, 6.0 + gap
    return (centers[truth] + rng.normal(0, 1, (2000, 16))).astype(np.float32), truth


def test_features_that_cannot_separate_two_classes_should_be_renewed() -> None:
    advice = advise(rounds_of(*blobs(0.3)))
    assert advice.action == "renew", advice.reason
    assert "LogME" in advice.reason


def test_features_that_separate_all_classes_should_be_kept() -> None:
    advice = advise(rounds_of(*blobs(8.0)))
    assert advice.action == "wait"
    assert "good enough" in advice.reason


def test_the_constructed_standstill_is_a_reason_to_renew() -> None:
    assert advise(STILL).action == "renew"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"labels": 199}, "fine-tuning needs 200"),
        ({"classes": 100}, "fine-tuning needs 500"),
        ({"classes": 1}, "fewer than two classes"),
        ({"paired": 0.5}, "only 50%"),
        ({"accuracy": 0.98}, "good enough"),
        ({"accuracy": None}, "do not tell yet"),
        ({"logme": 0.6}, "still rises"),
        ({"logme_ped": 0.49}, "no head-room"),
    ],
)
def test_each_condition_alone_makes_it_wait_and_says_so(change: dict[str, float | None], told: str) -> None:
    advice = advise([*STILL[:-1], replace(STILL[-1], **change)])
    assert advice.action == "wait"
    assert told in advice.reason


def test_a_rise_one_round_ago_is_not_yet_a_standstill() -> None:
    risen = [replace(STILL[0], logme=0.4), *STILL[1:]]
    assert "still rises" in advise(risen).reason
    assert advise([*risen, replace(STILL[-1], labels=440)]).action == "renew"


def test_after_an_attempt_the_labels_must_have_doubled() -> None:
    assert "waits for 400" in advise(STILL, labels_then=200).reason
    assert advise(STILL, labels_then=170).action == "renew"
    assert "waits for 680" in advise(STILL, labels_then=170, rejected=True).reason  # backs off


def test_many_small_batches_do_not_look_like_a_standstill() -> None:
    creeping = [Evidence(labels, 10, 1.0, 0.4 + (labels - 200) / 500, 0.9, 0.7) for labels in range(200, 400, 5)]
    assert "still rises" in advise(creeping).reason


def test_renewals_end_at_the_limit() -> None:
    assert advise(STILL, renewals=1).action == "renew"
    assert "stops at 2" in advise(STILL, renewals=2).reason
    assert advise(STILL, renewals=2, limits=Limits(most=3)).action == "renew"


def test_without_rounds_it_waits() -> None:
    assert advise([]).action == "wait"
    assert advise(STILL[:2]).action == "wait"


def test_labels_below_zero_and_absent_classes_do_not_count() -> None:
    features, truth = blobs(8.0)
    labels = np.where(truth == 1, -2, truth)
    found = measure(features, labels, 0.9)
    assert (found.classes, found.labels, found.paired) == (3, int((truth != 1).sum()), 1.0)
    empty = measure(features, np.full(2000, -1), None)
    assert (empty.labels, empty.classes, empty.logme) == (0, 0, None)
