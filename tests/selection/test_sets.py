"""Pools of sets: what they hold and refuse, which selectors take them, and the scores against plain definitions."""

from dataclasses import dataclass

import numpy as np
import pytest

import selection
from selection import LABELED, SKIPPED, UNLABELED, BadParameter, BadPool, Pool, Ranking, WrongForm, registry
from selection.check_pools import features
from selection.kernels.clean import bad_probs

GEOMETRIC = [name for name in selection.names() if "geometric" in registry.entry(name).tags]


@dataclass(frozen=True)
class Theirs:
    """The lowest rows first. Ours, for a test. Cost O(n)."""

    def select(self, pool, budget, rng):
        rows = np.flatnonzero(pool.labels == -1)[:budget]
        return Ranking(rows, np.zeros(len(rows)), ["low"] * len(rows))


def marks(n, *labeled, skipped=()):
    out = np.full(n, UNLABELED)
    out[list(labeled)] = LABELED
    out[list(skipped)] = SKIPPED
    return out


def a_pool(n=40, c=4, labeled=range(6), seed=0, x=None):
    rng = np.random.default_rng(seed)
    present = np.zeros((n, c), bool)
    present[list(labeled)] = rng.random((len(labeled), c)) < 0.4
    x = features(n) if x is None else x
    return Pool(x, probs=rng.random((n, c)), present=present, marks=marks(n, *labeled))


def select(name, pool, budget, **params):
    return selection.create(name, **params).select(pool, budget, np.random.default_rng(0))


def test_a_pool_has_labels_or_sets_and_says_what_is_wrong():
    x, present, seen = features(5), np.zeros((5, 2), bool), marks(5, 0)
    for given in ({}, {"present": present}, {"marks": seen}, {"labels": seen, "present": present, "marks": seen}):
        with pytest.raises(BadPool, match=r"labels .one class a row., or present and marks"):
            Pool(x, **given)
    with pytest.raises(BadPool, match=r"present must be \(5, c\) bool"):
        Pool(x, present=np.zeros((5, 2)), marks=seen)
    with pytest.raises(BadPool, match=r"marks must be \(5,\) int64"):
        Pool(x, present=present, marks=seen[:4])
    with pytest.raises(BadPool, match=r"marks must be 0 .labeled., -1 or -2"):
        Pool(x, present=present, marks=seen + 1)
    with pytest.raises(BadPool, match="a column a class like present"):
        Pool(x, probs=np.zeros((5, 3)), present=present, marks=seen)
    told = present.copy()
    told[3, 1] = True
    with pytest.raises(BadPool, match="row 3 has classes in present but is not labeled"):
        Pool(x, present=told, marks=seen)


def test_both_forms_say_which_rows_may_be_picked_and_how_often_a_class_was_seen():
    sets = Pool(features(5), present=np.eye(5, 3, dtype=bool) & (np.arange(5) < 2)[:, None], marks=marks(5, 0, 1, 2))
    one = Pool(features(5), np.array([1, 1, 0, -1, -2]))
    assert sets.form == "set" and one.form == "one"
    assert sets.positives.tolist() == [1, 1, 0] and one.positives.tolist() == [1, 2]
    assert sets.candidates.tolist() == [3, 4] and one.candidates.tolist() == [3]
    assert sets.covered.tolist() == [0, 1, 2] and sets.free.tolist() == [False] * 3 + [True] * 2
    with pytest.raises(WrongForm, match="read present and marks"):
        _ = sets.labels


@pytest.mark.parametrize("pool", [a_pool(8, labeled=(0, 2)), Pool(features(8), marks(8, 0, 2))], ids=["set", "one"])
def test_rows_can_be_taken_and_marked_as_skipped_in_either_form(pool):
    part = pool.take(np.array([2, 5]))
    assert part.form == pool.form and part.candidates.tolist() == [1]
    assert pool.skip(np.array([0, 5])).covered.tolist() == [0, 2, 5]
    assert pool.skip(np.array([0, 5])).positives.sum() <= pool.positives.sum()
    assert pool.candidates.tolist() == [1, 3, 4, 5, 6, 7], "the pool itself stays as it is"
    assert len(pool.unlabeled().candidates) == 8


def test_presences_need_no_sum_but_a_range():
    assert bad_probs(np.array([[0.9, 0.9], [0.0, 0.0], [1.1, 0.0], [np.nan, 0.5], [-0.1, 0.2]]), "set").tolist() == [
        2,
        3,
        4,
    ]
    pool = a_pool(6, labeled=(0,))
    pool.probs[4, 1] = 1.5
    with pytest.raises(selection.BadVector, match="row 4 of probs leaves the range 0 to 1"):
        select("margin", pool, 2)
    assert selection.rank(selection.create("margin"), pool, 5, 0).notes[4].endswith("not all between 0 and 1")


def test_our_selectors_take_both_forms():
    assert all(selection.takes(selection.create(name), form) for name in selection.names() for form in registry.FORMS)


def test_a_selector_of_today_ranks_classes_as_before_and_is_refused_with_words_for_sets():
    assert len(selection.rank(Theirs(), Pool(features(9), marks(9, 0)), 9, 0)) == 8
    with pytest.raises(WrongForm, match=r"Theirs does not take sets of classes; choose one of: activeft, .*forms="):
        selection.rank(Theirs(), a_pool(9), 3, 0)


def test_a_selector_that_names_one_that_takes_no_sets_takes_none(monkeypatch):
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))

    @selection.register("onlyone")
    @dataclass(frozen=True)
    class OnlyOne(Theirs):
        pass

    mix = selection.create("mix", parts={"margin": 1.0, "onlyone": 1.0})
    assert selection.takes(mix, "one") and not selection.takes(mix, "set")
    with pytest.raises(WrongForm, match=r"mix does not take sets of classes, because a selector that it names"):
        selection.rank(mix, a_pool(9), 3, 0)
    with pytest.raises(BadParameter, match="forms of odd must be among one, set, got many"):
        selection.register("odd", forms=("many",))


def test_a_stranger_that_declares_sets_is_checked_with_both_forms(monkeypatch):
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))

    @selection.register("reads_labels", forms=("one", "set"))
    @dataclass(frozen=True)
    class ReadsLabels(Theirs):
        """The lowest rows first. Ours, for a test. Cost O(n)."""

    report = selection.check(ReadsLabels)
    failed = [o.check for o in report.failures]
    assert failed and all(name.startswith("sets: ") for name in failed)
    assert "this pool holds sets of classes" in str(report)


@pytest.mark.parametrize("name", sorted({*GEOMETRIC, "random"} - {"activeft", "bilaf"}))
def test_where_only_the_place_of_labels_counts_sets_give_the_same_picks(name):
    sets = a_pool(60, labeled=range(4))
    one = Pool(sets.features, np.where(sets.marks == LABELED, 0, sets.marks))
    fixed = {"delta": 0.5} if name == "probcover" else {}
    assert select(name, sets, 9, **fixed).rows.tolist() == select(name, one, 9, **fixed).rows.tolist()


def plain_margin(p):
    there, not_there = [v for v in p if v >= 0.5] or [1.0], [v for v in p if v < 0.5] or [0.0]
    return 1 - (min(there) - max(not_there))


def plain_least_confidence(p):
    return 1 - np.prod([max(v, 1 - v) for v in p])


def plain_entropy(p, counts):
    return sum(-(v * np.log(v) + (1 - v) * np.log(1 - v)) / np.sqrt(1 + n) for v, n in zip(p, counts, strict=True))


@pytest.mark.parametrize("name", ["margin", "least_confidence", "entropy"])
def test_scores_of_sets_are_those_of_the_definition(name):
    pool = a_pool(50, labeled=range(9))
    counts = pool.present.sum(0)
    plain = {"margin": plain_margin, "least_confidence": plain_least_confidence}.get(
        name, lambda p: plain_entropy(p, counts)
    )
    wanted = np.array([plain(pool.probs[row]) for row in range(50)])
    got = select(name, pool, 41)
    np.testing.assert_allclose(got.scores, wanted[got.rows])
    assert (np.diff(got.scores) <= 1e-6).all() and set(got.rows) == set(range(9, 50))


def test_badge_of_sets_draws_by_the_distances_of_the_full_gradients():
    pool = a_pool(30, labeled=(0, 1))
    q = pool.probs - (pool.probs >= 0.5)
    g = np.einsum("nc,nd->ncd", q, pool.features.astype(np.float64)).reshape(30, -1)
    got = select("badge", pool, 6)
    taken = [0, 1]
    for row, score in zip(got.rows, got.scores, strict=True):
        assert score == pytest.approx(np.sqrt(((g[row] - g[taken]) ** 2).sum(1).min()), rel=1e-5)
        taken.append(row)


def test_reasons_name_the_classes_in_doubt():
    probs = np.tile([0.9, 0.1, 0.1], (4, 1))
    probs[2] = [0.95, 0.55, 0.41]
    pool = Pool(features(4), probs=probs, present=np.zeros((4, 3), bool), marks=marks(4))
    assert select("margin", pool, 1).notes[0] == "class 1 may not be there (0.55) and class 2 may be there (0.41)"
    assert "class 1 is the most doubtful (0.55)" in select("least_confidence", pool, 1).notes[0]
    assert select("entropy", pool, 1).notes[0].startswith("in doubt about class 1 (0.55), class 2 (0.41)")


def test_auto_turns_to_margin_when_every_seen_class_has_twenty_positives():
    n = 60
    present = np.zeros((n, 3), bool)
    present[:20, 0], present[5:25, 1] = True, True
    probs = np.random.default_rng(0).random((n, 3))
    warm = Pool(features(n), probs=probs, present=present, marks=marks(n, *range(25)))
    assert "there (" in select("auto", warm, 2).notes[0]
    fewer = present.copy()
    fewer[0, 0] = False
    cold = Pool(features(n), probs=probs, present=fewer, marks=marks(n, *range(25)))
    assert select("auto", cold, 2).notes[0].startswith("reaches")
