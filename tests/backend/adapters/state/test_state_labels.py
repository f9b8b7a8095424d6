"""The label table: events in any order, deletions, readings of Label Studio, and a naive model of it all."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.core.domain import Annotation, Deleted, Label, RemoteTask


@pytest.fixture
def tasks(state, project):
    state.tasks.upsert(project.id, [(task, f"u{task}") for task in range(1, 41)])
    return state.tasks


def note(number: int, task: int, label: Label | None, at: float, skipped: bool = False) -> Annotation:
    return Annotation(number, task, label, skipped, at)


def test_an_older_event_never_replaces_a_newer_one(tasks, project):
    assert tasks.apply(project.id, [note(1, 1, "dog", 5.0)]) == 1
    assert tasks.apply(project.id, [note(1, 1, "cat", 4.0)]) == 0
    assert tasks.apply(project.id, [note(1, 1, "dog", 5.0)]) == 0
    assert tasks.labels(project.id)[0] == {1: "dog"}
    tasks.apply(project.id, [note(1, 1, "fox", 7.0), note(1, 1, "cat", 6.0)])
    assert tasks.labels(project.id)[0] == {1: "fox"}


def test_a_deletion_is_final_even_when_it_arrives_first(tasks, project):
    tasks.apply(project.id, [], [Deleted("annotations", (1,), 2.0)])
    assert tasks.apply(project.id, [note(1, 1, "cat", 9.0)]) == 0
    assert tasks.labels(project.id) == ({}, set())
    tasks.apply(project.id, [note(2, 1, "cat", 1.0)])
    assert tasks.apply(project.id, [note(2, 1, "dog", 3.0)], [Deleted("annotations", (2,), 2.0)]) == 1
    assert tasks.labels(project.id) == ({}, set())


def test_the_majority_wins_and_ties_go_to_the_latest_then_the_highest_id(tasks, project):
    tasks.apply(project.id, [note(1, 1, "cat", 1.0), note(2, 1, "cat", 2.0), note(3, 1, "dog", 9.0)])
    tasks.apply(project.id, [note(4, 2, "cat", 5.0), note(5, 2, "dog", 3.0)])
    tasks.apply(project.id, [note(6, 3, "cat", 5.0), note(7, 3, "dog", 5.0)])
    assert tasks.labels(project.id)[0] == {1: "cat", 2: "cat", 3: "dog"}


def test_a_task_is_labeled_else_annotated_else_skipped(tasks, project):
    """(10-F1) Submitted without a usable choice is annotated; only a cancelled annotation is a skip."""
    events = [note(1, 1, None, 1.0, True), note(2, 2, None, 1.0, True), note(3, 2, "cat", 0.5), note(4, 3, None, 1.0)]
    tasks.apply(project.id, [*events, note(5, 4, None, 1.0, True), note(6, 4, None, 2.0), note(7, 5, "cat", 1.0, True)])
    assert tasks.labels(project.id) == ({2: "cat"}, {1, 3, 4, 5})
    counts = tasks.counts(project.id)
    assert (counts.labeled, counts.annotated, counts.skipped) == (1, 2, 2)
    known = {task.id: task for task in tasks.list(project.id)}
    assert [(known[n].label, known[n].annotated, known[n].skipped) for n in (2, 3, 4, 5)] == [
        ("cat", False, False),
        (None, True, False),
        (None, True, False),
        (None, False, True),
    ]
    assert [task for task in range(1, 7) if known[task].open] == [6]
    assert tasks.apply(project.id, [note(6, 4, "dog", 3.0)]) == 1
    assert tasks.counts(project.id).annotated == 1
    tasks.apply(project.id, [], [Deleted("annotations", (4,), 9.0)])
    assert tasks.list(project.id, ids=[3])[0].open


def test_an_annotated_task_is_never_drawn_for_the_audit(tasks, project):
    """(10-F1) It was served already."""
    tasks.finish(project.id, dict.fromkeys(range(1, 41), "d"), {})
    tasks.apply(project.id, [note(n, n, None, 1.0) for n in range(1, 21)])
    tasks.draw_audit(project.id, 1.0, 0)
    assert tasks.audit(project.id) == set(range(21, 41))


def test_annotations_of_unknown_tasks_count_once_the_task_appears(tasks, project):
    assert tasks.apply(project.id, [note(1, 100, "cat", 1.0)]) == 0
    tasks.upsert(project.id, [(100, "u100")])
    assert tasks.labels(project.id)[0] == {100: "cat"}


def test_changed_since_counts_tasks_that_got_lost_or_changed_a_label(tasks, project, hand):
    tasks.apply(project.id, [note(n, n, "cat", 1.0) for n in (1, 2, 3)])
    hand.at += 10
    tasks.apply(project.id, [note(1, 1, "dog", 2.0), note(2, 2, "cat", 2.0)], [Deleted("annotations", (3,), 2.0)])
    assert tasks.changed_since(project.id, 999.0) == 3
    assert tasks.changed_since(project.id, 1000.0) == 2
    assert tasks.changed_since(project.id, hand.at) == 0


def test_a_reading_of_label_studio_replaces_what_we_believed(tasks, project):
    tasks.apply(project.id, [note(1, 1, "cat", 1.0), note(2, 2, "cat", 1.0)])
    read = [RemoteTask(1, "u1", (note(3, 1, "dog", 4.0),), 4.0), RemoteTask(3, "u3", (note(4, 3, "fox", 2.0),), 2.0)]
    assert tasks.replace(project.id, read) == 2
    assert tasks.replace(project.id, read) == 0
    assert tasks.labels(project.id)[0] == {1: "dog", 2: "cat", 3: "fox"}


def test_a_reading_does_not_undo_events_that_overtook_it(tasks, project):
    tasks.apply(project.id, [note(1, 1, "dog", 8.0), note(2, 2, "cat", 9.0)], [Deleted("annotations", (3,), 9.0)])
    old = (note(1, 1, "cat", 3.0),)
    read = [
        RemoteTask(1, "u", old, 3.0),
        RemoteTask(2, "u", (), 5.0),
        RemoteTask(4, "u", (note(3, 4, "fox", 1.0),), 5.0),
    ]
    assert tasks.replace(project.id, read) == 0
    assert tasks.labels(project.id)[0] == {1: "dog", 2: "cat"}


def test_a_late_event_does_not_bring_back_what_a_reading_no_longer_showed(tasks, project):
    tasks.apply(project.id, [note(1, 1, "cat", 3.0)])
    tasks.replace(project.id, [RemoteTask(1, "u1", (), 6.0)])
    assert tasks.apply(project.id, [note(1, 1, "cat", 3.0), note(1, 1, "dog", 5.0)]) == 0
    assert tasks.labels(project.id)[0] == {}


def test_a_later_reading_that_shows_an_annotation_again_is_believed(tasks, project):
    mine = note(1, 1, "cat", 3.0)
    tasks.apply(project.id, [mine])
    tasks.replace(project.id, [RemoteTask(1, "u1", (), 6.0)])
    tasks.replace(project.id, [RemoteTask(1, "u1", (mine,), 6.0)])
    assert tasks.labels(project.id)[0] == {1: "cat"}


def test_hostile_events_neither_stop_the_true_ones_nor_break_the_database(tasks, project):
    events = [
        note(10**30, 1, "cat", 1.0),
        note(-1, 1, "cat", 1.0),
        note(5, 10**30, "cat", 1.0),
        note(6, 6, "x" * 10_000_000, 1.0),
        note(7, 7, "a\0\ud800", 1.0),
        note(8, 8, "dog", 1.0),
    ]
    tasks.apply(project.id, events, [Deleted("annotations", (10**30, -5), 1.0)])
    labeled, _ = tasks.labels(project.id)
    assert labeled == {6: "x" * 1000, 7: "a\ufffd?", 8: "dog"}


def naive(events: list[Annotation], deleted: set[int], known: set[int]) -> tuple[dict[int, str], set[int]]:
    """The definition: the newest event of each annotation that was never deleted; majority a task."""
    newest: dict[int, Annotation] = {}
    for event in sorted(events, key=lambda e: e.updated_at):
        newest[event.id] = event
    labeled: dict[int, str] = {}
    skipped: set[int] = set()
    for task in known:
        mine = [e for e in newest.values() if e.task_id == task and e.id not in deleted]
        votes = Counter(e.label for e in mine if e.label is not None and not e.skipped)
        if votes:
            best = [c for c, n in votes.items() if n == max(votes.values())]
            last = max((e for e in mine if not e.skipped and e.label in best), key=lambda e: (e.updated_at, e.id))
            labeled[task] = str(last.label)
        elif mine:
            skipped.add(task)
    return labeled, skipped


@pytest.mark.parametrize("seed", range(3))
def test_two_thousand_doubled_and_shuffled_events_give_exactly_the_right_table(tasks, project, seed):
    rng = random.Random(seed)
    events = []
    for number in range(1, 401):
        task = rng.randint(1, 45)  # five of them appear only later
        for step in range(rng.randint(1, 4)):
            skip = rng.random() < 0.2
            choice = None if skip or rng.random() < 0.1 else rng.choice(["cat", "dog", "fox"])
            events.append(note(number, task, choice, number % 7 + step * 10.0, skip))
    deleted = set(rng.sample(range(1, 401), 60))
    stream: list[Annotation | Deleted] = [*events, *events, *(Deleted("annotations", (n,), 50.0) for n in deleted)]
    rng.shuffle(stream)
    assert len(stream) >= 1900
    late = False
    while stream:
        size = rng.randint(1, 200)
        part, stream = stream[:size], stream[size:]
        gone = [item for item in part if isinstance(item, Deleted)]
        tasks.apply(project.id, [item for item in part if isinstance(item, Annotation)], gone)
        if not late and len(stream) < 1000:
            tasks.upsert(project.id, [(task, "u") for task in range(41, 46)])
            late = True
    assert tasks.labels(project.id) == naive(events, deleted, set(range(1, 46)))
    counts = tasks.counts(project.id)
    assert counts.labels == Counter(tasks.labels(project.id)[0].values())


def test_threads_that_vote_on_the_same_task_at_once_lose_no_vote(tasks, project):
    def vote(number: int) -> None:
        tasks.apply(project.id, [note(number, 1, "dog" if number <= 9 else "cat", float(number))])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(vote, range(1, 17)))
    assert tasks.labels(project.id)[0] == {1: "dog"}


def test_sets_are_voted_on_class_by_class_and_counted_by_class(tasks, project):
    """(12-1) Majority per class; at half of the annotators the latest decides; the empty set is a label."""
    a, b, ab, none = frozenset("a"), frozenset("b"), frozenset("ab"), frozenset[str]()
    tasks.apply(project.id, [note(1, 1, ab, 1.0), note(2, 1, a, 2.0), note(3, 1, b, 3.0)])
    tasks.apply(project.id, [note(4, 2, a, 5.0), note(5, 2, b, 4.0), note(6, 3, none, 1.0)])
    tasks.apply(
        project.id, [note(7, 4, none, 1.0, True), note(8, 5, None, 1.0), note(9, 6, None, 2.0), note(10, 6, a, 1.0)]
    )
    assert tasks.labels(project.id) == ({1: ab, 2: a, 3: none, 6: a}, {4, 5})
    counts = tasks.counts(project.id)
    assert (counts.labeled, counts.empty, counts.annotated, counts.skipped) == (4, 1, 1, 1)
    assert counts.labels == {"a": 3, "b": 1}
    known = {task.id: task for task in tasks.list(project.id)}
    assert [known[n].present for n in (1, 2, 3, 4)] == [("a", "b"), ("a",), (), None]
    assert known[1].label is None and [n for n in range(1, 8) if known[n].open] == [7]


def test_counts_by_class_follow_changes_deletions_and_dropped_tasks(tasks, project):
    """(12-1) The table of classes is what the labels say."""
    tasks.apply(project.id, [note(n, n, frozenset({"a", f"b{n}"}), 1.0) for n in (1, 2, 3)])
    tasks.apply(project.id, [note(1, 1, frozenset({"c"}), 2.0)])
    assert tasks.counts(project.id).labels == {"a": 2, "b2": 1, "b3": 1, "c": 1}
    tasks.apply(project.id, [note(2, 2, "a", 3.0)])  # read as one class from now on
    assert tasks.counts(project.id).labels == {"a": 2, "b3": 1, "c": 1} and tasks.labels(project.id)[0][2] == "a"
    tasks.apply(project.id, [], [Deleted("annotations", (1,), 9.0), Deleted("tasks", (3,), 9.0)])
    counts = tasks.counts(project.id)
    assert (counts.labels, counts.labeled) == ({"a": 1}, 1)
    tasks.replace(project.id, [RemoteTask(4, "u4", (note(8, 4, frozenset({"d", "\0"}), 5.0),), 5.0)])
    assert tasks.counts(project.id).labels == {"a": 1, "d": 1, "\ufffd": 1}
    assert tasks.replace(project.id, [RemoteTask(4, "u4", (note(8, 4, frozenset({"d", "\0"}), 5.0),), 5.0)]) == 0


def test_a_task_with_a_set_is_never_drawn_for_the_audit(tasks, project):
    """(12-1) Not even with the empty one: it was served already."""
    tasks.finish(project.id, dict.fromkeys(range(1, 41), "d"), {})
    tasks.apply(project.id, [note(n, n, frozenset("a") if n % 2 else frozenset(), 1.0) for n in range(1, 21)])
    tasks.draw_audit(project.id, 1.0, 0)
    assert tasks.audit(project.id) == set(range(21, 41)) and tasks.counts(project.id).open == 20
