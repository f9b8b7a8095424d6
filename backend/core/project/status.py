"""What a project is at, for people: counts, strategy, live ranking, accuracy, jobs, workers; and its next tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from backend.core.domain import Guess, JobView, Kind, Project, WorkerView
from backend.core.jobs import embed
from backend.core.json_values import JSON
from backend.core.learning import curve
from backend.core.learning.curve import Accuracy, HeadView
from backend.core.renewal import advise, view
from backend.core.renewal.view import Advice, UnderWay
from backend.core.services import Services


@dataclass(frozen=True, slots=True)
class LiveRanking:
    """The ranking that Label Studio serves now."""

    id: int
    version: str
    age: float  # seconds since it went live
    size: int
    remaining: int  # tasks of it that nobody has dealt with


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the last attempt to publish did not go live."""

    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Healing:
    """What was last found wrong with the order in Label Studio and repaired by publishing it again, and when."""

    found: str
    at: float


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """Everything `labelqueue status PROJECT` shows; `project` is Label Studio's id."""

    project: int
    title: str
    tasks: int
    embedded: int
    pending: int
    failed: int
    labeled: int
    empty: int  # labeled ones that show none of the classes; where labels are sets
    annotated: int  # people submitted something, and nothing can be learnt from it
    skipped: int
    open: int  # embedded, and nobody has dealt with it
    target: Kind  # what a label is: one class, a set of those present, none
    learns_from: str | None  # name of the tag; None: nothing is learnt, `config_problem` says why
    left_out: Mapping[str, str]  # other tags -> why; "": it could be learnt from too
    config_problem: str
    classes: Mapping[str, int]  # tasks of each; one with a set of classes counts for all of them
    strategy: str
    preset: str | None  # the name by which the strategy was chosen, if not its own
    params: Mapping[str, object]
    batch_size: int
    preannotate: bool
    live: LiveRanking | None
    accuracy: Accuracy | None  # out of fold
    audit: Accuracy | None  # on labels of tasks drawn at random: the honest one
    audit_share: float
    head: HeadView | None
    features_version: int
    mode: str  # of renewal: off, suggest or auto
    advice: Advice | None
    renewal: UnderWay | None
    embed_rate: float | None  # images/s of one worker, measured
    problem: Problem | None
    healed: Healing | None
    backlog: int
    queued: int
    jobs: tuple[JobView, ...]
    workers: tuple[WorkerView, ...]
    eta: float | None  # seconds until all tasks are embedded, from the rate of the running jobs
    at: float

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A task that annotators are still to get, by its position in what is left of the live ranking."""

    position: int
    task: int
    score: float
    note: str
    guess: Guess | None
    image: str | None
    audit: bool  # drawn at random, shown without a guess

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)


def status(services: Services, project: Project) -> ProjectStatus:
    """One project. A few database queries and one look at Redis; no call to Label Studio. Raises `QueueDown`."""
    counts = services.tasks.counts(project.id)
    jobs = [job for job in services.jobs.jobs() if job.project in (project.id, None)]
    busy = tuple(job for job in jobs if job.state != "queued")
    head = services.rankings.latest_head(project.id)
    sets = services.feature_sets.list(project.id)
    named = dict.fromkeys(project.config.classes, 0)
    return ProjectStatus(
        project=project.ls_id,
        title=project.title,
        tasks=counts.tasks,
        embedded=counts.embedded,
        pending=counts.pending,
        failed=counts.failed,
        labeled=counts.labeled,
        empty=counts.empty,
        annotated=counts.annotated,
        skipped=counts.skipped,
        open=counts.open,
        target=project.config.target.kind,
        learns_from=project.config.target.tag if project.config.learnt else None,
        left_out=dict(project.config.left_out),
        config_problem=project.config.problem,
        classes=named | dict(counts.labels),
        strategy=project.strategy.name,
        preset=project.preset,
        params=dict(project.strategy.params),
        batch_size=project.batch_size,
        preannotate=project.preannotate,
        live=_live(services, project),
        accuracy=curve.accuracy(head),
        audit=curve.audit(head),
        audit_share=project.audit_share,
        head=curve.view(head),
        features_version=project.features_version,
        mode=view.mode(services, project),
        advice=view.advice(services, project, sets),
        renewal=view.under_way(services, sets),
        embed_rate=advise.embed_rate(sets),
        problem=_problem(services, project),
        healed=healed(services, project),
        backlog=services.jobs.backlog(),
        queued=len(jobs) - len(busy),
        jobs=busy,
        workers=tuple(services.jobs.workers()),
        eta=_eta(counts.pending, busy),
        at=services.clock.now(),
    )


def queue(services: Services, project: Project, limit: int = 20) -> list[QueueItem]:
    """The next `limit` tasks of the live ranking that nobody has dealt with; [] before the first ranking."""
    live = services.rankings.live(project.id)
    if live is None:
        return []
    picks = services.rankings.get(live.ranking).picks
    tasks = _open_tasks(services, project, [pick.task_id for pick in picks])
    left = [pick for pick in picks if pick.task_id in tasks][: max(limit, 0)]
    return [
        QueueItem(place, pick.task_id, pick.score, pick.note, pick.guess, tasks[pick.task_id], pick.audit)
        for place, pick in enumerate(left, start=1)
    ]


def _open_tasks(services: Services, project: Project, ids: list[int]) -> dict[int, str | None]:
    """Those of `ids` that nobody has dealt with, with their images."""
    found = services.tasks.list(project.id, ids=ids, limit=max(len(ids), 1))
    return {task.id: task.image for task in found if task.open}


def _live(services: Services, project: Project) -> LiveRanking | None:
    live = services.rankings.live(project.id)
    if live is None:
        return None
    picks = services.rankings.get(live.ranking).picks
    return LiveRanking(
        id=live.ranking,
        version=live.model_version,
        age=max(services.clock.now() - (live.live_at or live.created_at), 0.0),
        size=len(picks),
        remaining=len(_open_tasks(services, project, [pick.task_id for pick in picks])),
    )


def _problem(services: Services, project: Project) -> Problem | None:
    newest = services.rankings.publications(project.id, ("live", "failed", "importing"))[:1]
    return next((Problem(item.reason, item.created_at) for item in newest if item.state == "failed"), None)


def healed(services: Services, project: Project) -> Healing | None:
    """The last repair, unless it did not succeed: then there is a `Problem`."""
    last = services.rankings.last_healing(project.id)
    return Healing(last.healed, last.live_at) if last is not None and last.live_at is not None else None


def _eta(pending: int, jobs: tuple[JobView, ...]) -> float | None:
    rate = sum(job.rate for job in jobs if job.name == embed.__name__ and job.state == "running")
    return pending / rate if pending and rate > 0 else None
