"""Reports in JSON columns: what older versions wrote is read, what newer ones wrote stays, what is none is named."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from backend.adapters.state import State, StateError
from backend.adapters.state.tables import feature_sets, heads
from backend.core.domain import AuditReport, Considered, LearningReport, Mistake, Project
from backend.core.domain.training import Epoch, FeatureReport, Judgement, PseudoLabel, Training

STORED = json.loads(Path(__file__).with_name("reports_of_0_1.json").read_text())  # written by version 0.1.0
ADVICE = Considered("renew", "it is time", "auto", 200, 4, 1.0, -0.5, -0.4, 0.9)


def store_head(state: State, project: Project, report: object) -> int:
    values = {"project": project.id, "features_version": 1, "labels_digest": "x", "classes": ["cat"], "created_at": 1.0}
    with state.engine.begin() as connection:
        made = connection.execute(insert(heads).values(**values, report=report).returning(heads.c.id))
        return int(made.scalar_one())


def test_the_report_of_an_older_versions_head_is_read_as_it_was_written(state: State, project: Project) -> None:
    store_head(state, project, STORED["heads"][0])
    head = state.rankings.latest_head(project.id)
    assert head is not None and isinstance(head.report, LearningReport)
    assert json.loads(json.dumps(head.report.to_json())) == STORED["heads"][0]
    assert head.report.confusion[0] == Mistake("one", "zero", 5)
    assert head.report.audit is not None and head.report.audit.answers == "ae739ab738bb053d"
    assert head.report.renewal is not None and head.report.renewal.action == "wait"


def test_a_report_from_before_the_audit_or_the_judged_labels_were_recorded_is_read(
    state: State, project: Project
) -> None:
    wilson = {"labels": 20, "right": 15, "accuracy": 0.75, "low": 0.53, "high": 0.89}
    store_head(state, project, {"accuracy": 0.75, "low": 0.6, "high": 0.9, "audit": wilson})
    head = state.rankings.latest_head(project.id)
    assert head is not None
    audit = AuditReport(labels=20, right=15, accuracy=0.75, low=0.53, high=0.89)
    assert head.report == LearningReport(accuracy=0.75, low=0.6, high=0.9, audit=audit)


def test_a_written_report_is_read_as_the_same_and_a_noted_advice_changes_nothing_else(
    state: State, project: Project
) -> None:
    report = LearningReport("auto", 0.5, 0.4, 0.6, weights={"linear": 1.0}, recall={"cat": None}, judged=3)
    report = replace(report, confusion=(Mistake("cat", "dog", 2),), audit=AuditReport(3, 2, population=9, head=1))
    made = state.rankings.add_head(project.id, 1, "x", ["cat"], report, 1.0)
    assert state.rankings.latest_head(project.id) == made
    state.rankings.note_renewal(made.id, ADVICE)
    assert state.rankings.latest_head(project.id) == replace(made, report=replace(report, renewal=ADVICE))


def test_what_a_newer_version_wrote_is_passed_over_and_stays(state: State, project: Project) -> None:
    made = store_head(state, project, {"accuracy": 0.5, "drift": {"p": 0.1}})
    head = state.rankings.latest_head(project.id)
    assert head is not None and head.report == LearningReport(accuracy=0.5)
    state.rankings.note_renewal(made, ADVICE)
    with state.engine.begin() as connection:
        stored = connection.execute(select(heads.c.report)).scalar_one()
    assert stored == {"accuracy": 0.5, "drift": {"p": 0.1}, "renewal": asdict(ADVICE)}


@pytest.mark.parametrize("report", [["no", "object"], {"accuracy": "high"}, {"audit": {"labels": None}}])
def test_a_report_that_is_none_of_ours_is_named_with_its_row(state: State, project: Project, report: object) -> None:
    made = store_head(state, project, {})
    with state.engine.begin() as connection:
        connection.execute(update(heads).values(report=report))
    with pytest.raises(StateError, match=f"row of head {made} is not as LabelQueue wrote it"):
        state.rankings.latest_head(project.id)


def store_report(state: State, project: Project, report: object) -> None:
    """As the report of version 1."""
    state.feature_sets.note_rate(project.id, 1, 1.0, at=1.0)
    with state.engine.begin() as connection:
        connection.execute(update(feature_sets).values(report=report))


def stored_report(state: State) -> object:
    with state.engine.begin() as connection:
        return connection.execute(select(feature_sets.c.report).where(feature_sets.c.version == 1)).scalar_one()


def test_the_reports_of_an_older_versions_features_are_read(state: State, project: Project) -> None:
    plain, whole, cancelled = STORED["feature_sets"]
    store_report(state, project, plain)
    assert state.feature_sets.get(project.id, 1).report == FeatureReport(embed_rate=41.5)
    store_report(state, project, whole)
    found = state.feature_sets.get(project.id, 1).report
    assert found.training == Training(
        epochs=(Epoch(1.0, 1.0, 0.5, 3.0),) * 4,
        planned=4,
        train_seconds=12.0,
        pseudo_labels=tuple(PseudoLabel(*item) for item in whole["pseudo_labels"]),
    )
    assert found.judgement == Judgement(whole["accuracy_old"], 1.0, whole["gain"], whole["p"], judged=26)
    store_report(state, project, cancelled)
    found = state.feature_sets.get(project.id, 1).report
    assert found.train_seconds == 6.0 and found.judgement is None


def test_the_parts_of_a_version_are_stored_side_by_side_as_ever(state: State, project: Project) -> None:
    """An older version of ours can read them, and what a newer one wrote stays."""
    whole = STORED["feature_sets"][1]
    store_report(state, project, whole)
    known = state.feature_sets.get(project.id, 1).report
    assert known.training and known.judgement
    written = json.loads(json.dumps({**known.training.to_json(), **known.judgement.to_json()}))
    assert written == {key: value for key, value in whole.items() if key not in ("left", "pool", "unread")}
    store_report(state, project, {"embed_rate": 2.0, "drift": [1]})
    state.feature_sets.note_rate(project.id, 1, 3.0, at=2.0)
    assert stored_report(state) == {"embed_rate": 3.0, "drift": [1]}


def test_a_versions_report_that_is_none_of_ours_is_named_with_its_row(state: State, project: Project) -> None:
    store_report(state, project, {"epochs": "four"})
    with pytest.raises(StateError, match="row of feature set 1 is not as LabelQueue wrote it"):
        state.feature_sets.get(project.id, 1)
