"""All work of the workers, a function a job: its name, key, urgency and arguments. `backend.worker.jobs` does it.

A job is only a nudge to look, so its key says what it is about: of one key, no more than one job waits, and one runs.
Names, keys and arguments lie in Redis while a new version starts: change none that an older worker or job may hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

Lane = Literal["urgent", "plain", "embed"]
"""Urgent jobs go first; the other two lanes take turns, so that looks at many projects cannot starve embedding."""


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work: the job `name` with its arguments, in a lane; `key` says which others it stands for."""

    name: str
    key: str
    arguments: Mapping[str, int | str]
    lane: Lane = "plain"

    @property
    def at_once(self) -> Job:
        """The same work, for somebody who waits for it."""
        return replace(self, lane="urgent")


def sync(project: int) -> Job:
    """Make our tables equal to Label Studio's, task by task."""
    return Job("sync", f"sync:{project}", {"project": project})


def reconcile(project: int) -> Job:
    """Look at what changed in Label Studio, and repair."""
    return Job("reconcile", f"reconcile:{project}", {"project": project})


def meet() -> Job:
    """Ask Label Studio about unknown projects that called /setup."""
    return Job("meet", "meet", {}, "urgent")


def embed(project: int, slot: int) -> Job:
    """Embed one shard; `slot` only tells shards in the queue apart."""
    return Job("embed", f"embed:{project}:{slot}", {"project": project, "slot": slot}, "embed")


def cycle(project: int, reason: str) -> Job:
    """Learn, rank and publish; `reason` is why, in words."""
    return Job("cycle", f"cycle:{project}", {"project": project, "reason": reason}, "urgent")


def publish(project: int) -> Job:
    """Make the newest ranking Label Studio's queue."""
    return Job("publish", f"publish:{project}", {"project": project}, "urgent")


def tidy(project: int) -> Job:
    """Delete our old versions from Label Studio."""
    return Job("tidy", f"tidy:{project}", {"project": project})


def absorb() -> Job:
    """Fold the waiting events into the label tables."""
    return Job("absorb", "absorb", {})


def consider(project: int) -> Job:
    """Measure the features and note whether they should be renewed."""
    return Job("consider", f"consider:{project}", {"project": project})


def train(project: int, version: int) -> Job:
    """One slice of a fine-tuning."""
    return Job("train", f"train:{project}:{version}", {"project": project, "version": version})


def embed_version(project: int, version: int, shard: int) -> Job:
    """Embed one shard of a new feature version; `shard` only tells them apart in the queue."""
    key = f"embed-version:{project}:{version}:{shard}"
    return Job("embed_version", key, {"project": project, "version": version, "shard": shard})


def judge(project: int, version: int) -> Job:
    """Accept or reject a new feature version."""
    return Job("judge", f"judge:{project}:{version}", {"project": project, "version": version})


RENEWAL = (consider, train, embed_version, judge)
ALL: Mapping[str, Callable[..., Job]] = {
    job.__name__: job for job in (sync, reconcile, meet, embed, cycle, publish, tidy, absorb, *RENEWAL)
}
"""Name -> what makes such a job. A worker runs nothing else."""
