"""Tasks: what is pending, leases, outcomes, counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from backend.core.domain import Annotation, Claim, Deleted, Pages, Task


def fill(state, project, count: int) -> None:
    state.tasks.upsert(project.id, [(task, f"u{task}") for task in range(1, count + 1)])


def ids(claimed) -> list[int]:
    return [task.id for task in claimed]


def test_upsert_counts_what_became_pending(state, project):
    assert state.tasks.upsert(project.id, [(1, "a"), (2, "b"), (3, None)]) == 2
    assert state.tasks.upsert(project.id, [(1, "a"), (2, "b"), (3, None)]) == 0
    assert state.tasks.upsert(project.id, [(1, "changed"), (3, "c")]) == 2


def test_a_task_without_an_image_is_failed_with_the_reason_until_it_has_one(state, project):
    state.tasks.upsert(project.id, [(3, None)])
    [task] = state.tasks.list(project.id, state="failed")
    assert (task.id, task.image) == (3, None)
    assert "no image" in task.reason
    assert state.tasks.retry_failed(project.id) == 0
    state.feature_sets.begin_plain(project.id, "other", version=2, over=1, at=2.0)
    assert state.tasks.counts(project.id).failed == 1
    state.tasks.upsert(project.id, [(3, "c")])
    assert state.tasks.list(project.id) == [Task(3, "c", "pending", "", None, False)]


def test_more_tasks_than_one_statement_holds_are_all_added_and_listed(state, project):
    fill(state, project, 2345)
    assert state.tasks.counts(project.id).pending == 2345
    wanted = list(range(1, 2346))
    assert [t.id for t in state.tasks.list(project.id, ids=wanted[::-1], limit=5000)] == wanted
    assert [t.id for t in state.tasks.list(project.id, ids=wanted, limit=1500)] == wanted[:1500]
    assert state.tasks.keep_only(project.id, iter(range(2000))) == list(range(2000, 2346))
    assert state.tasks.counts(project.id).tasks == 1999


def test_pages_are_kept_claimed_and_told(state, project):
    """(10-D3) On both databases; text that neither could hold is cleaned."""
    pages = {1: Pages(("a", "b\0", "c\ud800"), "the rest is left out"), 2: Pages((), "task data has no image")}
    assert state.tasks.upsert(project.id, [(1, "a"), (2, None), (3, "c")], pages) == 2
    assert state.tasks.upsert(project.id, [(1, "a"), (2, None), (3, "c")], pages) == 0
    claimed = state.tasks.claim(project.id, "w", 9, 60)
    assert [(task.id, len(task.refs)) for task in claimed] == [(1, 3), (3, 1)]
    state.tasks.finish(project.id, {1: "d", 3: "d"}, {}, {1: "1 of its 3 images could not be read"})
    first, second, third = state.tasks.list(project.id)
    assert first.reason == "the rest is left out; 1 of its 3 images could not be read"
    assert (second.state, second.reason, second.refs) == ("failed", "task data has no image", ())
    assert (third.reason, third.refs, third.pages) == ("", ("c",), ())
    assert state.tasks.upsert(project.id, [(1, "a")], {1: Pages(pages[1].refs, "told otherwise")}) == 0
    assert state.tasks.upsert(project.id, [(2, None)], {2: Pages((), "image is empty")}) == 0
    told = state.tasks.list(project.id, ids=[1, 2])
    assert [task.reason for task in told] == [
        "told otherwise; 1 of its 3 images could not be read",
        "image is empty",
    ]
    assert state.tasks.upsert(project.id, [(1, "a"), (3, "c")], {3: Pages(("c", "d"))}) == 2


def test_a_claim_is_ascending_limited_and_exclusive(state, project):
    fill(state, project, 5)
    assert state.tasks.claim(project.id, "a", 3, 60) == [Claim(task, (f"u{task}",), 0, 0) for task in (1, 2, 3)]
    assert ids(state.tasks.claim(project.id, "b", 3, 60)) == [4, 5]
    assert state.tasks.claim(project.id, "c", 3, 60) == []


def test_claims_by_many_threads_never_overlap(state, project):
    fill(state, project, 400)

    def work(owner: int) -> list[int]:
        mine: list[int] = []
        while got := ids(state.tasks.claim(project.id, f"w{owner}", 7, 60)):
            mine += got
        return mine

    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(work, range(8)))
    assert sorted(task for share in shares for task in share) == list(range(1, 401))


def test_a_silent_workers_tasks_are_free_when_its_lease_ends(state, project, hand):
    fill(state, project, 2)
    state.tasks.claim(project.id, "dead", 2, 60)
    hand.at += 60
    assert state.tasks.claim(project.id, "next", 2, 60) == []
    hand.at += 1
    assert state.tasks.claim(project.id, "next", 2, 60) == [Claim(1, ("u1",), 1, 1), Claim(2, ("u2",), 1, 1)]
    state.tasks.renew(project.id, "dead", 1000)
    hand.at += 61
    assert state.tasks.claim(project.id, "third", 2, 60) == [Claim(1, ("u1",), 2, 2)]


def test_a_renewed_lease_lasts(state, project, hand):
    fill(state, project, 1)
    state.tasks.claim(project.id, "a", 1, 60)
    hand.at += 50
    state.tasks.renew(project.id, "a", 60)
    hand.at += 50
    assert state.tasks.claim(project.id, "b", 1, 60) == []


def test_released_tasks_are_free_at_once_and_nobody_died(state, project):
    fill(state, project, 1)
    for times in range(6):
        assert state.tasks.claim(project.id, "a", 1, 60) == [Claim(1, ("u1",), times, 0)]
        state.tasks.release(project.id, "a")


def test_after_two_deaths_the_rest_of_a_shard_is_claimed_singly_and_last(state, project, hand):
    """(10-B3) Only the task in hand counts further deaths, and the least suspected goes first."""
    fill(state, project, 4)
    for deaths in range(2):
        assert [task.deaths for task in state.tasks.claim(project.id, "dies", 3, 60)] == [deaths] * 3
        hand.at += 61
    assert ids(state.tasks.claim(project.id, "a", 3, 60)) == [4]
    assert state.tasks.claim(project.id, "b", 3, 60) == [Claim(1, ("u1",), 2, 2)]
    assert ids(state.tasks.claim(project.id, "c", 3, 60)) == [2]
    state.tasks.release(project.id, "c")
    hand.at += 61
    state.tasks.finish(project.id, {4: "d"}, {})
    alone = [state.tasks.claim(project.id, f"d{number}", 3, 60) for number in range(3)]
    assert alone == [[Claim(2, ("u2",), 3, 2)], [Claim(3, ("u3",), 2, 2)], [Claim(1, ("u1",), 3, 3)]]
    state.tasks.finish(project.id, {2: "d"}, {1: "deadly", 3: "deadly"})
    state.tasks.retry_failed(project.id)
    assert state.tasks.claim(project.id, "e", 3, 60) == [Claim(1, ("u1",), 0, 0), Claim(3, ("u3",), 0, 0)]


def test_a_task_that_is_put_off_waits_longer_each_time_and_nobody_died(state, project, hand):
    """(10-B5) An image that Label Studio does not hand out is tried again later."""
    fill(state, project, 2)
    for times in (1, 2, 3):
        assert 1 in ids(state.tasks.claim(project.id, "a", 2, 60))
        assert state.tasks.postpone(project.id, [1], 10) == {1: times}
        state.tasks.release(project.id, "a")
        hand.at += 10 * 2 ** (times - 1)
        assert ids(state.tasks.claim(project.id, "b", 2, 60)) == [2]
        state.tasks.release(project.id, "b")
        hand.at += 1
    assert state.tasks.claim(project.id, "a", 1, 60) == [Claim(1, ("u1",), 3, 0)]
    state.tasks.upsert(project.id, [(1, "changed")])
    assert state.tasks.postpone(project.id, [1], 10) == {1: 1}
    assert ids(state.tasks.claim(project.id, "c", 1, 60)) == [1]  # the image is another one: no need to wait


def test_finish_sets_states_and_ends_leases(state, project):
    fill(state, project, 3)
    state.tasks.claim(project.id, "a", 3, 60)
    state.tasks.finish(project.id, {1: "d1"}, {2: "truncated\0file"})
    counts = state.tasks.counts(project.id)
    assert (counts.embedded, counts.failed, counts.pending) == (1, 1, 1)
    assert state.tasks.list(project.id, state="failed")[0].reason == "truncated\ufffdfile"
    assert state.tasks.retry_failed(project.id, [1, 2, 3]) == 1
    assert state.tasks.claim(project.id, "b", 3, 60) == [Claim(2, ("u2",), 0, 0)]


def test_a_result_for_an_image_that_changed_meanwhile_does_not_count(state, project):
    fill(state, project, 2)
    state.tasks.claim(project.id, "slow", 2, 60)
    state.tasks.upsert(project.id, [(1, "changed")])
    state.tasks.finish(project.id, {1: "old", 2: "d2"}, {})
    assert state.tasks.claim(project.id, "next", 2, 60) == [Claim(1, ("changed",), 0, 0, stale=True)]
    state.tasks.finish(project.id, {1: "new"}, {})
    assert state.tasks.counts(project.id).embedded == 2


def test_a_result_for_the_old_feature_version_does_not_count(state, project):
    fill(state, project, 2)
    state.tasks.finish(project.id, {2: "d2"}, {})
    state.tasks.claim(project.id, "slow", 2, 60)
    state.feature_sets.begin_plain(project.id, "other", version=2, over=1, at=2.0)
    state.tasks.finish(project.id, {1: "old"}, {}, version=1)
    assert state.tasks.claim(project.id, "next", 2, 60) == [Claim(1, ("u1",), 0, 0), Claim(2, ("u2",), 0, 0)]


def test_removed_tasks_take_their_annotations_along(state, project):
    fill(state, project, 2)
    state.tasks.apply(project.id, [Annotation(10, 1, "cat", False, 1.0), Annotation(11, 2, "dog", False, 1.0)])
    state.tasks.apply(project.id, [], [Deleted("tasks", (1,), 2.0)])
    state.tasks.upsert(project.id, [(1, "u1")])
    assert state.tasks.labels(project.id) == ({2: "dog"}, set())
    assert state.tasks.apply(project.id, [], [Deleted("tasks", (2, 99), 3.0)]) == 1
    assert [task.id for task in state.tasks.list(project.id)] == [1]


def test_counts_tell_classes_and_skips(state, project):
    fill(state, project, 5)
    events = [(1, "cat", False), (2, "dog", False), (3, "cat", False), (4, None, True)]
    state.tasks.apply(project.id, [Annotation(t + 10, t, choice, skip, 1.0) for t, choice, skip in events])
    counts = state.tasks.counts(project.id)
    assert (counts.tasks, counts.labeled, counts.skipped) == (5, 3, 1)
    assert counts.labels == {"cat": 2, "dog": 1}


def test_projects_do_not_see_each_other(state, project):
    other = state.projects.add(8, "8.1", title="", label_config="", config=project.config, at=1.0)
    for one in (project, other):
        fill(state, one, 2)
        state.tasks.apply(one.id, [Annotation(1, one.ls_id - 6, "cat", False, 1.0)])
    state.tasks.apply(other.id, [], [Deleted("tasks", (1,), 2.0)])
    state.feature_sets.begin_plain(other.id, "other", version=2, over=1, at=2.0)
    assert state.tasks.labels(project.id)[0] == {1: "cat"}
    assert state.tasks.labels(other.id)[0] == {2: "cat"}
    assert ids(state.tasks.claim(project.id, "a", 9, 60)) == [1, 2]


def fill_version_2(state, project) -> None:
    """A renewal of which nothing is embedded yet."""
    state.feature_sets.begin(
        project.id, version=2, method="ft", base=1, labels=0, labels_digest="x", held_out=[], at=1.0
    )
    state.feature_sets.move(project.id, 2, "trained", at=1.0)


def test_what_a_version_lacks_is_counted_no_further_than_asked(state, project):
    """(11-3) A job looks whether anything waits; to count a million each time would take longer than to embed."""
    fill(state, project, 30)
    assert [state.tasks.waiting(project.id, most=most) for most in (None, 7, 100)] == [30, 7, 30]
    state.tasks.claim(project.id, "a", 20, 60)
    assert state.tasks.waiting(project.id) == 30  # in somebody's hands, and not there yet
    assert state.tasks.waiting(project.id, 2) == 0


def test_versions_are_leased_and_finished_apart(state, project):
    """(11-3) The one that is being made has leases, deaths and failures of its own; the live one's states stay."""
    fill(state, project, 4)
    state.tasks.finish(project.id, {1: "d", 2: "d"}, {3: "broken"})
    fill_version_2(state, project)
    assert (state.tasks.waiting(project.id, 1), state.tasks.waiting(project.id, 2)) == (1, 3)
    assert ids(state.tasks.claim(project.id, "a", 9, 60, 2)) == [1, 2, 4]
    assert ids(state.tasks.claim(project.id, "b", 9, 60)) == [4]
    assert state.tasks.hold(project.id, "a", [1, 2, 3, 4], 60, 2) == {1, 2, 4}
    assert state.tasks.hold(project.id, "b", [1, 2, 3, 4], 60, 2) == set()
    state.tasks.finish(project.id, {1: "d"}, {2: "truncated"}, version=2)
    assert [(task.id, task.state) for task in state.tasks.list(project.id)] == [
        (1, "embedded"),
        (2, "embedded"),
        (3, "failed"),
        (4, "pending"),
    ]
    assert state.tasks.waiting(project.id, 2) == 1
    state.tasks.finish(project.id, {4: "d"}, {}, version=2)
    assert state.tasks.counts(project.id).pending == 1 and state.tasks.waiting(project.id, 2) == 0
    for move in ("embedded", "accept"):
        assert state.feature_sets.move(project.id, 2, move, at=2.0, stored=[1, 4])
    assert [(task.id, task.state, task.reason) for task in state.tasks.list(project.id)] == [
        (1, "embedded", ""),
        (2, "failed", "truncated"),
        (3, "failed", "broken"),
        (4, "pending", ""),
    ]
    assert state.tasks.claim(project.id, "c", 9, 60) == [Claim(4, ("u4",), 1, 0)]  # may be stored: the claimant looks
    assert state.tasks.hold(project.id, "b", [4], 60, 1) == set()  # of the version before nothing is wanted any more


def test_changed_and_deleted_tasks_are_so_in_every_version_that_is_filled(state, project):
    """(11-3) Done ones are due again, leased ones are not stored, deleted ones are due nowhere."""
    fill(state, project, 4)
    state.tasks.finish(project.id, dict.fromkeys(range(1, 5), "d"), {})
    fill_version_2(state, project)
    state.tasks.claim(project.id, "a", 2, 60, 2)
    state.tasks.finish(project.id, {2: "d"}, {}, version=2)
    state.tasks.upsert(project.id, [(1, "other"), (2, "other"), (3, None)])
    assert state.tasks.hold(project.id, "a", [1], 60, 2) == set()
    assert ids(state.tasks.claim(project.id, "b", 9, 60)) == [1, 2]
    assert ids(state.tasks.claim(project.id, "b", 9, 60, 2)) == [2, 4]  # 1 is still in a's hands
    state.tasks.release(project.id, "a")
    assert state.tasks.claim(project.id, "c", 9, 60, 2) == [Claim(1, ("other",), 0, 0, stale=True)]
    state.tasks.keep_only(project.id, [4])
    assert (state.tasks.waiting(project.id), state.tasks.waiting(project.id, 2)) == (0, 1)
    state.feature_sets.move(project.id, 2, "cancel", at=3.0)
    assert state.tasks.waiting(project.id, 2) == 0


def test_a_store_that_lost_the_live_version_does_not_end_the_renewal(state, project):
    """(11-3) What the version in the making lacks is kept."""
    fill(state, project, 3)
    state.tasks.finish(project.id, dict.fromkeys((1, 2, 3), "d"), {})
    fill_version_2(state, project)
    state.tasks.claim(project.id, "a", 1, 60, 2)
    assert state.feature_sets.anew(project.id, 1)
    assert (state.tasks.waiting(project.id), state.tasks.waiting(project.id, 2)) == (3, 3)
    assert state.tasks.hold(project.id, "a", [1], 60, 2) == {1}
