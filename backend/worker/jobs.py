"""The jobs: plain JSON arguments, one use case each. Everything heavy is imported when a job first needs it.

`JOBS` is all that a worker runs: the queue's contents choose a name from it, never code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from backend.worker import context


def sync(project: int) -> None:
    """Make our tables equal to Label Studio's, task by task."""
    from backend.core.tasks.sync import reconcile as run

    run(context.services(), project, full=True)


def reconcile(project: int) -> None:
    """Look at what changed in Label Studio, and repair."""
    from backend.core.tasks.sync import reconcile as run

    run(context.services(), project)


def meet() -> None:
    """Ask Label Studio about unknown projects that called /setup."""
    from backend.core.project.enroll import meet as run

    run(context.services())


def embed(project: int, slot: int) -> None:
    """Embed one shard; `slot` only tells shards in the queue apart."""
    from backend.core.embedding.embed import embed as run

    services = context.services()
    if run(services, project, context.owner()):
        context.set_device(services.embedder("").device)


def cycle(project: int, reason: str) -> None:
    """Learn, rank and publish."""
    from backend.core.queue.cycle import cycle as run

    run(context.services(), project, reason)


def publish(project: int) -> None:
    """Make the newest ranking Label Studio's queue."""
    from backend.core.queue.publish import publish as run

    run(context.services(), project)


def tidy(project: int) -> None:
    """Delete our old versions from Label Studio."""
    from backend.core.queue.publish import tidy as run

    run(context.services(), project)


def absorb() -> None:
    """Fold the waiting events into the label tables."""
    from backend.core.tasks.events import absorb as run

    run(context.services())


def consider(project: int) -> None:
    """Measure the features and note whether they should be renewed."""
    from backend.core.renewal.advise import consider as run

    run(context.services(), project)


def train(project: int, version: int) -> None:
    """One slice of a fine-tuning."""
    from backend.core.renewal.train import train as run

    run(context.services(), project, version)


def embed_version(project: int, version: int, shard: int) -> None:
    """Embed a part of a new feature version."""
    from backend.core.embedding.reembed import embed_version as run

    run(context.services(), project, version, shard)


def judge(project: int, version: int) -> None:
    """Accept or reject a new feature version."""
    from backend.core.renewal.judge import judge as run

    run(context.services(), project, version)


RENEWAL = (consider, train, embed_version, judge)
JOBS: Mapping[str, Callable[..., None]] = {
    job.__name__: job for job in (sync, reconcile, meet, embed, cycle, publish, tidy, absorb, *RENEWAL)
}
