"""Whose turn it is to publish a project: one worker's at a time, by a lease in the database.

Label Studio has no compare-and-set, so everything that changes its queue happens in a turn, checks the turn right
before it writes, and looks at what came of it.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from backend.core.errors import LabelQueueError, LeaseLost
from backend.core.services import Services

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to publish a project while `check` does not raise."""

    services: Services
    project: int
    token: int

    def check(self) -> None:
        """Raises `LeaseLost` if another worker took over; else a whole lease is left from now on."""
        self.services.rankings.renew_lease(self.project, self.token, self.services.options.lease)


@contextmanager
def turn(services: Services, project_id: int) -> Iterator[Turn | None]:
    """Our turn to publish the project; None while it is another's, who then does what is due, or the next tick does.

    A thread keeps the lease: importing takes Label Studio up to minutes. Whoever is killed is succeeded when his lease
    runs out.
    """
    owner = f"{socket.gethostname()}/{os.getpid()}"
    token = services.rankings.take_lease(project_id, owner, services.options.lease)
    if token is None:
        log.info("left to the worker that publishes the project now", project=project_id)
        yield None
        return
    ours = Turn(services, project_id, token)
    stopped = threading.Event()
    keeper = threading.Thread(target=_keep, args=(ours, stopped), name="turn", daemon=True)
    keeper.start()
    try:
        yield ours
    finally:
        stopped.set()
        keeper.join()  # or it might take up again what is given back here
        with suppress(LabelQueueError):  # the lease ends by itself
            services.rankings.end_lease(project_id, token)


def _keep(ours: Turn, stopped: threading.Event) -> None:
    while not stopped.wait(ours.services.options.lease / 3):
        try:
            ours.check()
        except LeaseLost:
            return
        except LabelQueueError as error:  # the database is away: the next one may reach it in time
            log.warning("the lease could not be renewed; trying again", project=ours.project, error=str(error))
