"""The rules that the live renewal and the simulation share, and the texts that repeat their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.cli.simulate import simulate
from backend.core.domain import FeatureTable
from backend.core.learning.labels import Labels
from backend.core.renewal import rules
from selection.proxy.renewal import Limits

DOCS = Path(__file__).parents[4] / "docs"


def test_all_weights_are_trained_at_once_from_fifty_labels_a_class() -> None:
    assert rules.method_for(149, 3) == "lp-ft"
    assert rules.method_for(150, 3) == "ft"


def test_a_project_that_chose_no_mode_renews_by_itself_only_with_a_gpu() -> None:
    assert (rules.mode_of(None, gpu=False), rules.mode_of(None, gpu=True)) == ("suggest", "auto")
    assert (rules.mode_of("off", gpu=True), rules.mode_of("auto", gpu=False)) == ("off", "auto")


def test_a_fifth_of_each_class_is_held_out_and_each_of_it_either_stops_or_judges() -> None:
    table = FeatureTable(np.arange(100, 140), np.zeros((40, 0), np.float16))
    labels = Labels(np.repeat([0, 1], [21, 19]), np.zeros(40, bool), ("zero", "one"), "")
    held_out = rules.choose_held_out(table, labels, seed=0)
    rows = rules.rows_of(table, held_out)
    assert np.bincount(labels.rows[rows]).tolist() == [4, 3]
    stopping, judging = rules.stopping_half(held_out), rules.judging_half(held_out)
    assert sorted(stopping + judging) == held_out and not set(stopping) & set(judging)


def test_help_and_docs_repeat_the_numbers_of_the_rules() -> None:
    limits, told = Limits(), (DOCS / "simulate-and-export.md").read_text()
    assert f"from {limits.least_labels} labels on" in str(simulate.__doc__)
    assert f"asks for {limits.least_labels} labels at least" in told
    assert f"three numbers of labels, each {limits.step} times" in told and limits.rounds == 2
    assert "up to twice" in told and limits.most == 2
    assert "half of a fifth of them" in " ".join(told.split()) and rules.HELD_OUT == 1 / 5
