"""What an annotator sees in Chromium; the screenshots are kept for people to look at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import BATCH
from tests.harness.browser import CHROMIUM, annotator
from tests.harness.live import Live

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no Chromium at {CHROMIUM}"),
]


def test_an_annotator_presses_label_all_tasks_sees_a_suggestion_and_submits_in_our_order(
    live: Live, tmp_path: Path
) -> None:
    project = live.project(120)
    truth = live.truth(project)
    first = live.version(project)
    live.serve_and_label(project, truth, BATCH)
    live.next_version(project, first)
    rows = live.labelqueue.json("queue", project)
    order = [row["task"] for row in rows]
    guesses = {row["task"]: row["guess"]["choice"] for row in rows if row["guess"]}
    assert guesses, "no suggested label after the first learning round"
    person = live.label_studio.user("annotator@labelqueue.local")
    pictures = Path(os.environ.get("LABELQUEUE_TEST_PICTURES", tmp_path))
    with annotator(live.label_studio.url, pictures) as page:
        page.log_in(person.email, person.password)
        page.open_project(project)
        page.picture("data-manager")
        page.label_all_tasks()
        seen = []
        for number in range(3):
            seen.append(page.task)
            page.picture(f"task-{number + 1}")
            assert page.chosen == [guesses[page.task]] if page.task in guesses else page.chosen == []
            if page.chosen != [truth[page.task]]:
                page.choose(truth[page.task])
            page.submit()
    assert seen == order[:3]
    live.counts(project, labeled=BATCH + 3)
    annotations = [live.label_studio.tasks(project)[task]["annotations"] for task in seen]
    assert [item[0]["result"][0]["value"]["choices"] for item in annotations] == [[truth[task]] for task in seen]
