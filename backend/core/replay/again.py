"""Make a stored ranking again from what was kept of it, and say how far it comes out the same, and why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from backend.core.domain import FeatureTable, Inputs, Pick, Ranking
from backend.core.errors import UserError
from backend.core.json_values import JSON
from backend.core.learning.heads import learn
from backend.core.learning.labels import Labels
from backend.core.pools import Pools, prepare
from backend.core.queue.machine import machine
from backend.core.queue.picks import make_picks
from backend.core.services import Services


class CannotReplay(UserError):
    """What the ranking was made of is not there any more."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A ranking made again.

    same : whether all picks are equal: tasks, order, scores, notes, guesses; place : the first one that is not, from 1
    on; shared : picks whose task is among the stored ones; differs : what is otherwise than when it was made.
    """

    ranking: int
    project: int  # Label Studio's id
    strategy: str
    features_version: int
    created_at: float
    same: bool
    place: int | None
    stored: int
    shared: int
    differs: tuple[str, ...]
    tasks: tuple[int, ...]  # in the order made again

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)


def replay(services: Services, number: int) -> Replayed:
    """Make ranking `number` again with its labels and on its features; nothing is stored or published.

    Raises `UnknownRanking`, `CannotReplay`. Cost: that of a learning round whose graph is built anew.
    """
    ranking = services.rankings.get(number)
    inputs = services.rankings.inputs(number)
    if inputs is None:
        raise CannotReplay(
            f"what ranking {number} was made of is not kept: only the newest 50 rankings of a project and the live one "
            "can be made again, and only if they were made since LabelQueue keeps this"
        )
    table = _features(services, ranking, inputs)
    differs = (*_features_differ(table, inputs), *machine_differs(inputs.machine, machine()))
    picks = _again(ranking, _restricted(inputs, table), table)
    return Replayed(
        number,
        services.projects.get(ranking.project).ls_id,
        ranking.strategy.name,
        ranking.features_version,
        ranking.created_at,
        same=tuple(picks) == ranking.picks,
        place=_first_other(picks, ranking.picks),
        stored=len(ranking.picks),
        shared=len({pick.task_id for pick in picks} & {pick.task_id for pick in ranking.picks}),
        differs=differs,
        tasks=tuple(pick.task_id for pick in picks),
    )


def machine_differs(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What computes here that did not then, in words."""
    names = [*then, *(name for name in now if name not in then)]
    return [
        f"{name}: {now.get(name, 'unknown')} here, {then.get(name, 'unknown')} when it was made"
        for name in names
        if then.get(name) != now.get(name)
    ]


def _features(services: Services, ranking: Ranking, inputs: Inputs) -> FeatureTable:
    """The vectors that the ranking saw, as far as they are there: of what joined later, none."""
    version = ranking.features_version
    table = services.features.load(ranking.project, version)
    kept = np.isin(table.task_ids, inputs.task_ids, assume_unique=True)
    if not kept.any():
        live = services.projects.get(ranking.project)
        raise CannotReplay(
            f"the features version {version} that ranking {ranking.id} was made on is gone; live is version "
            f"{live.features_version} ({live.backbone or 'not embedded yet'})"
        )
    return table.only(kept)


def _features_differ(table: FeatureTable, inputs: Inputs) -> list[str]:
    gone = len(inputs.task_ids) - len(table.task_ids)
    if gone:
        return [
            f"{gone} of {len(inputs.task_ids)} tasks have no features any more: they were deleted, or show another "
            "image that is not embedded yet"
        ]
    if table.digest != inputs.vectors:
        return ["features: some vectors are others now, because tasks show other images or were embedded again"]
    return []


def _restricted(inputs: Inputs, table: FeatureTable) -> Inputs:
    """The inputs without the tasks that have no features any more."""
    kept = np.isin(inputs.task_ids, table.task_ids, assume_unique=True)
    if kept.all():
        return inputs
    return replace(
        inputs,
        task_ids=inputs.task_ids[kept],
        labels=inputs.labels[kept],
        present=None if inputs.present is None else inputs.present[kept],
        audit=inputs.audit[kept],
        graph=None if inputs.graph is None else inputs.graph[kept],
    )


def _again(ranking: Ranking, inputs: Inputs, table: FeatureTable) -> list[Pick]:
    labels = Labels(inputs.labels, inputs.audit, inputs.classes, ranking.labels_digest, inputs.present)
    learned = None
    if inputs.graph is not None and inputs.graph.any():
        pools = Pools({ranking.project: prepare(ranking.features_version, table.only(inputs.graph))})
        learned = learn(pools, ranking.project, ranking.features_version, table, labels, ranking.seed)
    return make_picks(ranking.strategy, ranking.seed, inputs, table.vectors, learned)


def _first_other(made: Sequence[Pick], stored: Sequence[Pick]) -> int | None:
    """The first place, from 1 on, where they are not equal."""
    differ = [place for place, (a, b) in enumerate(zip(made, stored, strict=False), 1) if a != b]
    if differ:
        return differ[0]
    return None if len(made) == len(stored) else min(len(made), len(stored)) + 1
