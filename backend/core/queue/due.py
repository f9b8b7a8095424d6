"""What is due now, told from the state alone: nothing depends on an event or a job having survived.

`tick` runs every second in one of the workers; `nudge` runs at the end of the jobs that change the state.
"""

from __future__ import annotations

from backend.core import jobs
from backend.core.domain import Counts, Project, Ranking
from backend.core.renewal import renew
from backend.core.services import Services

SLOTS = 16  # embedding jobs of a project that may wait at once
LOOK_EVERY = 2.0  # seconds between looks at a project that nothing nudged


def tick(services: Services) -> None:
    """Submit whatever is due in any project; cheap when nothing is."""
    if services.jobs.backlog():
        services.jobs.submit(jobs.absorb())
    if services.jobs.callers():
        services.jobs.submit(jobs.meet())
    for project in services.projects.all():
        if services.jobs.hit(f"reconcile:{project.id}", services.options.reconcile_every):
            services.jobs.submit(jobs.reconcile(project.id))
        if services.jobs.hit(f"look:{project.id}", LOOK_EVERY):
            nudge(services, project)
            renew.nudge_current(services, project.id)


def nudge(services: Services, project: Project) -> None:
    """Submit the embedding, learning or publishing that this project needs now."""
    nudge_embedding(services, project)
    counts = services.tasks.counts(project.id)
    ranking = services.rankings.latest(project.id)
    reason = learning_due(services, project, counts, ranking)
    if reason:
        services.jobs.submit(jobs.cycle(project.id, reason))
    elif ranking is not None and not _is_live(services, ranking):
        services.jobs.submit(jobs.publish(project.id))


def nudge_embedding(services: Services, project: Project) -> bool:
    """Submit a job for each shard that waits to be embedded, up to `SLOTS`; whether any waits.

    Counts no further than that, so that it may run after each shard: counting all tasks each time would take longer the
    more there are.
    """
    shard = services.options.shard_size
    waiting = services.tasks.waiting(project.id, project.features_version, SLOTS * shard)
    for slot in range(-(-waiting // shard)):
        services.jobs.submit(jobs.embed(project.id, slot))
    return waiting > 0


def learning_due(services: Services, project: Project, counts: Counts, ranking: Ranking | None) -> str | None:
    """Why a learning round should run now, in words; None if it should not."""
    if counts.open == 0:
        return None  # nothing to choose from
    if ranking is None:
        ready = counts.pending == 0 or counts.open >= max(project.horizon, 1000)
        return "first ranking" if ready else None
    if ranking.features_version != project.features_version:
        return "renewed features" if counts.pending == 0 else None
    if project.strategy_changed_at > ranking.created_at:
        return "strategy switched"
    if services.clock.now() - ranking.created_at < project.min_interval:
        return None
    changed = services.tasks.changed_since(project.id, ranking.created_at)
    if changed >= project.batch_size:
        return f"{changed} labels changed"
    new = counts.embedded - ranking.embedded
    if new > 0 and (counts.pending == 0 or new * 4 >= ranking.embedded):
        return f"{new} new tasks"
    if _runs_low(services, project, ranking, counts, changed):
        return "the queue runs low"
    return None


def _runs_low(services: Services, project: Project, ranking: Ranking, counts: Counts, changed: int) -> bool:
    """Whether fewer than a fifth of the head is left though there are more tasks to serve.

    Without a changed label or a pick that is gone, the next ranking would be this one again.
    """
    picks = [pick.task_id for pick in ranking.picks]
    tasks = services.tasks.list(project.id, ids=picks, limit=max(len(picks), 1))
    left = [task for task in tasks if task.open]
    more = counts.open > sum(task.state == "embedded" for task in left)
    return more and len(left) * 5 < len(picks) and (changed > 0 or len(tasks) < len(picks))


def _is_live(services: Services, ranking: Ranking) -> bool:
    live = services.rankings.live(ranking.project)
    return live is not None and live.ranking == ranking.id
