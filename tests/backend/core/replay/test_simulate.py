"""The replay: it is the live queue's code, sees no label before it asks, and is fair to every strategy."""

from __future__ import annotations

import numpy as np
import pytest

import selection
from backend.core.domain import FeatureTable
from backend.core.errors import BadSetting, UserError
from backend.core.pools import Pools
from backend.core.project.presets import preset
from backend.core.queue.order import order_rows
from backend.core.replay import simulate
from backend.core.replay.simulate import Plan, Truth, bundle, split, steady

CLASSES = ("cat", "dog", "fox", "owl")


def blobs(n=120, gap=3.0, classes=4, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(0, classes, n))
    vectors = rng.normal(0, spread, (n, 12))
    vectors[np.arange(n), labels] += gap
    return Truth(FeatureTable(np.arange(n), vectors.astype(np.float16)), labels, CLASSES[:classes])


def test_the_test_rows_are_a_share_of_each_class_and_other_ones_in_each_draw():
    labels = np.repeat([0, 1, 2], [50, 10, 1])
    test = split(labels, 0.2, 0)
    assert [int(test[labels == number].sum()) for number in range(3)] == [10, 2, 0]
    assert (test == split(labels, 0.2, 0)).all() and (test != split(labels, 0.2, 1)).any()
    with pytest.raises(UserError, match="too few"):
        split(np.array([0, 1]), 0.2, 0)


def test_the_replay_is_the_round_of_the_live_queue_written_out():
    truth, plan = blobs(), Plan(("margin",), steady(4, 6), (3,))
    run = next(run for run in simulate.simulate(truth, plan) if run.strategy == "margin")
    test = split(truth.labels, 0.2, 3)
    known = np.where(test, selection.SKIPPED, selection.UNLABELED)
    probs, pools, expected = None, Pools(), []
    for _ in range(4):
        strategy = preset("margin").strategy
        rows = order_rows(strategy, truth.table.vectors, known, probs, test, length=60, batch=6, seed=3).rows[:6]
        assert not test[rows].any() and (known[rows] == selection.UNLABELED).all()
        known[rows] = truth.labels[rows]
        learned = pools.learn(0, 1, truth.table, known, 4, seed=3)
        probs = learned.probs if len(np.unique(known[known >= 0])) > 1 else None
        expected.append(float((learned.probs[test].argmax(1) == truth.labels[test]).mean()))
    assert run.accuracy == tuple(expected)


def test_labels_that_were_not_asked_for_change_nothing(monkeypatch):
    truth, plan, asked = blobs(), Plan(("margin",), steady(4, 6), (0,)), []
    test = split(truth.labels, 0.2, 0)
    monkeypatch.setattr(simulate, "split", lambda labels, share, seed: test)  # the split itself reads the classes

    def watched(*args, **options):
        found = order_rows(*args, **options)
        asked.extend(found.rows.tolist())
        return found

    monkeypatch.setattr(simulate, "order_rows", watched)
    first = [run.accuracy for run in simulate.simulate(truth, plan)]
    free = ~test
    free[asked] = False
    assert 0 < len(set(asked)) <= 48 and free.sum() > 40
    poisoned = truth.labels.copy()
    poisoned[free] = (poisoned[free] + 1) % 4
    assert [run.accuracy for run in simulate.simulate(Truth(truth.table, poisoned, CLASSES), plan)] == first


def test_random_comes_first_and_names_come_once():
    plan = Plan(("margin", "random", "margin"), (5,), (0, 1), ("linear", "auto"))
    assert [(item.name, head) for item, head in plan.arms] == [
        ("random", "linear"),
        ("random", "auto"),
        ("margin", "linear"),
        ("margin", "auto"),
    ]
    runs = list(simulate.simulate(blobs(60), plan))
    assert len(runs) == 8
    assert bundle(runs, "margin", "auto").shape == (2, 1)


def test_a_preset_is_a_selector_with_or_without_renewal():
    assert preset("svpp-margin").strategy == preset("margin").strategy
    assert not preset("svpp-margin").renew and preset("asvp-badge").renew
    assert preset("activedc").strategy.name == "activeft" and preset("activedc").calibrate
    with pytest.raises(BadSetting, match=r"no selector named 'nix'.*asvp-SELECTOR"):
        preset("asvp-nix")


def test_svpp_is_the_plain_loop():
    runs = list(simulate.simulate(blobs(), Plan(("margin", "svpp-margin"), steady(3, 5), (0,))))
    assert runs[1].accuracy == runs[2].accuracy


def test_plans_that_cannot_be_played_say_why():
    with pytest.raises(UserError, match="96 labeled images remain"):
        list(simulate.simulate(blobs(), Plan(("random",), (97,), (0,))))
    with pytest.raises(UserError, match="asvp-margin renews the features"):
        list(simulate.simulate(blobs(), Plan(("asvp-margin",), (9,), (0,))))
    for stops in ((), (0, 5), (5, 5), (9, 5)):
        with pytest.raises(BadSetting):
            Plan(("random",), stops, (0,))
    with pytest.raises(BadSetting):
        steady(0, 5)


def overlapping():
    """600 rows of two classes that these features hardly tell apart."""
    return blobs(600, gap=0.5, classes=2)


def test_features_are_renewed_by_the_rule_and_taken_if_they_are_better():
    truth = overlapping()
    told = []

    def better(reveal):
        told.append(reveal)
        assert not np.intersect1d(reveal.train, reveal.held_out).size
        assert (truth.labels[reveal.train] == reveal.train_labels).all()
        return blobs(600, gap=4.0, classes=2).table.vectors

    plan = Plan(("svpp-random", "asvp-random"), tuple(range(120, 481, 60)), (0,))
    plain, renewed = list(simulate.simulate(truth, plan, better))[1:]
    test = split(truth.labels, 0.2, 0)
    assert told and not any(test[reveal.train].any() or test[reveal.held_out].any() for reveal in told)
    assert renewed.accuracy[-1] > plain.accuracy[-1] + 0.1
    assert "better on" in renewed.renewals[0]


def test_features_that_are_no_better_are_rejected_and_not_tried_again_at_once():
    truth = overlapping()
    calls = []

    def worse(reveal):
        calls.append(reveal)
        return np.random.default_rng(1).normal(size=(600, 12)).astype(np.float16)

    plan = Plan(("svpp-random", "asvp-random"), tuple(range(120, 481, 60)), (0,))
    plain, renewed = list(simulate.simulate(truth, plan, worse))[1:]
    assert len(calls) == 1 and renewed.accuracy == plain.accuracy
    assert "not better" in renewed.renewals[0]
