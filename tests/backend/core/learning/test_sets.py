"""The round where a label is a set of classes: learnt, ranked, suggested, judged, made again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import selection
from backend.adapters.label_studio.config import parse_config
from backend.core.domain import Prediction, Strategy
from backend.core.errors import BadSetting, UserError
from backend.core.learning import curve
from backend.core.project import wording
from backend.core.project.status import queue, status
from backend.core.project.strategy import switch
from backend.core.queue.predict import predict
from backend.core.renewal import renew
from backend.core.replay.again import replay
from backend.core.tasks import sync
from selection import registry
from tests.backend.world import KEY, LS_ID, NAMES, World

OPTIONS = "".join(f'<Choice value="{name}"/>' for name in (*NAMES, "any", "never"))
LABELS = OPTIONS.replace("Choice", "Label")
SEVERAL = f'<Choices name="c" toName="img" choice="multiple">{OPTIONS}</Choices>'
BOXES = f'<RectangleLabels name="c" toName="img">{LABELS}</RectangleLabels>'
TREE = f'<Taxonomy name="c" toName="img"><Choice value="any">{OPTIONS.replace("any", "none")}</Choice></Taxonomy>'


def truth(task: int) -> set[str]:
    """Clusters 0 and 1 show a digit; cluster 2 shows nothing."""
    return set() if task % 3 == 2 else {NAMES[task % 3], "any"}


def opened(world: World, tags: str, tasks: int = 60) -> None:
    text = f'<View><Image name="img" value="$image"/>{tags}</View>'
    world.ls.config = parse_config(text)
    world.ls.parse_config = lambda _, learn_from="": parse_config(text, learn_from)  # type: ignore[method-assign]
    world.connect(tasks)
    world.embed_all()


def submit(world: World, task: int) -> None:
    world.clock.time += 1
    target = world.project.config.target
    sort = {"regions": "rectanglelabels"}.get(target.family, target.family)
    names = sorted(truth(task))
    regions = [{"from_name": "c", "to_name": "img", "type": sort, "value": {sort: names}}] if names else []
    if target.family == "taxonomy":
        paths = [["any", name] for name in names if name != "any"]
        regions = [{"from_name": "c", "to_name": "img", "type": sort, "value": {sort: paths}}] if paths else []
    world.ls.submit(LS_ID, task, regions, world.clock.time)


def labeled(world: World, tags: str, count: int = 15) -> list[int]:
    """A project after a round on `count` labels; what is served then."""
    opened(world, tags)
    for task in world.rank()[:count]:
        submit(world, task)
    sync.reconcile(world.services, world.project.id)
    return world.rank()


def shown(world: World) -> dict[int, Prediction]:
    version = world.ls.remote[LS_ID].model_version
    return {item.task_id: item for item in world.ls.predictions[LS_ID, version]}


def test_sets_are_learnt_and_their_classes_suggested_together(world: World) -> None:
    """(12-2) All classes above their threshold; an image that shows none is guessed to show none."""
    served = labeled(world, SEVERAL)
    assert served
    head = world.services.rankings.latest_head(world.project.id)
    assert head is not None and head.report.measure == "mean average precision" and head.report.labels <= 15
    guesses = {item.task: item.guess.present for item in queue(world.services, world.project, 50) if item.guess}
    right = [set(present or ()) == truth(task) for task, present in guesses.items()]
    assert len(right) > 20 and sum(right) > 0.9 * len(right)
    answers = predict(world.services, KEY, list(guesses))
    ticked = [set(item["result"][0]["value"]["choices"]) if item["result"] else set() for item in answers]
    assert ticked == [set(present or ()) for present in guesses.values()]
    assert [set(shown(world)[task].guess.present or ()) for task in guesses] == ticked  # type: ignore[union-attr]


def test_the_status_names_measures_classes_and_empty_labels(world: World) -> None:
    """(12-4) Counted by class; a class that nobody has seen is there with 0."""
    labeled(world, SEVERAL)
    seen = status(world.services, world.project)
    given, _ = world.services.tasks.labels(world.project.id)
    empty = sum(not label for label in given.values())
    assert (seen.target, seen.learns_from, seen.labeled, seen.empty) == ("set", "c", len(given), empty)
    assert seen.classes["never"] == 0 and seen.classes["any"] == len(given) - empty
    assert seen.accuracy is not None and "mean average precision" in wording.accuracy(seen.accuracy, seen.head)
    rounds = curve.curve(world.services, world.project)
    assert [item.labels for item in rounds] and rounds[-1].accuracy == seen.accuracy


@pytest.mark.parametrize("strategy", ["margin", "entropy", "auto", "mix", "coreset"])
def test_strategies_rank_sets(world: World, strategy: str) -> None:
    """(12-2) Those that need probabilities too."""
    labeled(world, SEVERAL, 12)
    switch(world.services, world.project.id, strategy)
    assert world.rank() and status(world.services, world.project).strategy == strategy


@dataclass(frozen=True)
class Singly:
    """A stranger's selector, which knows of one class a row only."""

    def select(self, pool: selection.Pool, budget: int, rng: np.random.Generator) -> selection.Ranking:
        rows = pool.candidates[:budget]
        return selection.Ranking(rows, np.zeros(len(rows)), ["first"] * len(rows))


@pytest.fixture
def singly(monkeypatch: pytest.MonkeyPatch) -> str:
    selection.names()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    selection.register("singly")(Singly)
    return "singly"


def test_a_strategy_that_takes_single_classes_only_is_refused_with_those_that_take_sets(
    world: World, singly: str
) -> None:
    """(12-2) And nothing is switched."""
    opened(world, SEVERAL)
    with pytest.raises(BadSetting, match="does not take sets"):
        switch(world.services, world.project.id, singly)
    assert world.project.strategy.name == "auto"


def test_a_project_that_had_such_a_strategy_before_it_had_sets_is_ranked_by_auto(world: World, singly: str) -> None:
    """(12-2) A changed label config does not stop the queue."""
    opened(world, SEVERAL)
    world.set(strategy=Strategy(singly))
    assert world.rank()


def test_boxes_are_learnt_and_nothing_is_suggested(world: World) -> None:
    """(12-1) The queue has guesses; Label Studio gets an order with empty results."""
    served = labeled(world, BOXES)
    assert [item["result"] for item in predict(world.services, KEY, served[:5])] == [[]] * 5
    assert any(item.guess for item in queue(world.services, world.project))


def test_a_taxonomy_is_suggested_by_its_paths(world: World) -> None:
    """(12-1) The lowest nodes; what is above follows."""
    served = labeled(world, TREE)
    results = [item["result"] for item in predict(world.services, KEY, served)]
    paths = [result[0]["value"]["taxonomy"] for result in results if result]
    assert paths and {tuple(map(tuple, found)) for found in paths} <= {(("any", name),) for name in NAMES[:2]}


def test_a_ranking_of_sets_is_made_again(world: World) -> None:
    """(12-4) Its inputs keep the sets."""
    labeled(world, SEVERAL)
    ranking = world.services.rankings.latest(world.project.id)
    assert ranking is not None
    made = replay(world.services, ranking.id)
    assert (made.same, made.differs) == (True, ())


def test_nothing_is_learnt_while_all_sets_are_the_same(world: World) -> None:
    """(12-2) As with labels of one class."""
    opened(world, SEVERAL)
    for task in range(3, 13, 3):
        submit(world, task)
    sync.reconcile(world.services, world.project.id)
    world.rank()
    assert world.services.rankings.latest_head(world.project.id) is None


def test_features_are_not_renewed_by_sets(world: World) -> None:
    """(12-5) Said, not tried."""
    labeled(world, SEVERAL)
    with pytest.raises(UserError, match="where a label is one class"):
        renew.start(world.services, world.project.id)
    told = status(world.services, world.project).advice
    assert told is not None and "one class only" in told.reason
