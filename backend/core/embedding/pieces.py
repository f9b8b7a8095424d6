"""What embedding in pieces needs: leases that last, pieces that end, and who is to blame for an image not had."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import structlog

from backend.core.domain import Embedded
from backend.core.errors import LabelQueueError, LabelStudioDown
from backend.core.ports import Embedder
from backend.core.services import Services

Item = TypeVar("Item")
log = structlog.get_logger()

PIECE_SECONDS = 30.0  # after which a job begins no further image: labels, rankings and publications wait for it


@contextmanager
def leased(services: Services, project: int, owner: str) -> Iterator[None]:
    """Prolong the leases of `owner` from a thread while the block runs, so that only a dead worker loses them."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(services.options.lease / 4):
            try:
                services.tasks.renew(project, owner, services.options.lease)
            except LabelQueueError as error:
                log.warning("leases are not prolonged; trying again", project=project, error=str(error))

    thread = threading.Thread(target=renew, name="leases", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def until(services: Services, end: float, items: Iterable[Item]) -> Iterator[Item]:
    """`items` as long as the clock is before `end`; the first one in any case."""
    for number, item in enumerate(items):
        if number and services.clock.now() >= end:
            return
        yield item


def images_come(services: Services, project: int, embedder: Embedder) -> bool:
    """Whether an image that was read before can be read now: then a silence about another one is that one's."""
    known = services.tasks.list(project, state="embedded", limit=1)
    items = [(task.id, task.refs[:1]) for task in known if task.refs]
    try:
        return any(isinstance(result, Embedded) for result in embedder.embed(items))
    except LabelStudioDown:
        return False
