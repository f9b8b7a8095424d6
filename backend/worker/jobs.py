"""What each job of `backend.core.jobs` does: plain JSON arguments, one use case. Heavy imports wait for the first job.

`JOBS` is all that a worker runs: the queue's contents choose a name from it, never code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ParamSpec

from backend.core import jobs
from backend.worker import context

Arguments = ParamSpec("Arguments")
_runs: dict[str, Callable[..., None]] = {}


def _does(
    job: Callable[Arguments, jobs.Job],
) -> Callable[[Callable[Arguments, None]], Callable[Arguments, None]]:
    """Decorator: the function does this job, and takes what it is given."""

    def keep(run: Callable[Arguments, None]) -> Callable[Arguments, None]:
        _runs[job.__name__] = run
        return run

    return keep


@_does(jobs.sync)
def sync(project: int) -> None:
    from backend.core.tasks.sync import reconcile as run

    run(context.services(), project, full=True)


@_does(jobs.reconcile)
def reconcile(project: int) -> None:
    from backend.core.tasks.sync import reconcile as run

    run(context.services(), project)


@_does(jobs.meet)
def meet() -> None:
    from backend.core.project.enroll import meet as run

    run(context.services())


@_does(jobs.embed)
def embed(project: int, slot: int) -> None:
    from backend.core.embedding.embed import embed as run

    services = context.services()
    if run(services, project, context.owner()):
        context.set_device(services.embedder("").device)


@_does(jobs.cycle)
def cycle(project: int, reason: str) -> None:
    from backend.core.queue.cycle import cycle as run

    run(context.services(), project, reason)


@_does(jobs.publish)
def publish(project: int) -> None:
    from backend.core.queue.publish import publish as run

    run(context.services(), project)


@_does(jobs.tidy)
def tidy(project: int) -> None:
    from backend.core.queue.publish import tidy as run

    run(context.services(), project)


@_does(jobs.absorb)
def absorb() -> None:
    from backend.core.tasks.events import absorb as run

    run(context.services())


@_does(jobs.consider)
def consider(project: int) -> None:
    from backend.core.renewal.advise import consider as run

    run(context.services(), project)


@_does(jobs.train)
def train(project: int, version: int) -> None:
    from backend.core.renewal.train import train as run

    run(context.services(), project, version)


@_does(jobs.embed_version)
def embed_version(project: int, version: int, shard: int) -> None:
    from backend.core.embedding.embed import embed_version as run

    run(context.services(), project, version, context.owner())


@_does(jobs.judge)
def judge(project: int, version: int) -> None:
    from backend.core.renewal.judge import judge as run

    run(context.services(), project, version)


JOBS: Mapping[str, Callable[..., None]] = {name: _runs[name] for name in jobs.ALL}
