"""The worker process: takes jobs from the queue one after the other, in this process and thread.

No fork: a GPU and Lance do not survive one, and the backbone stays warm. Two threads beside it give signs of life and
ask once a second what is due. Redis, database and Label Studio may go away and come back at any time.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any
from uuid import uuid4

import structlog
from redis import Redis, RedisError
from rq import Queue, SimpleWorker
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

from backend.adapters.queue.jobs import FUNCTIONS, QUEUES, RqJobs
from backend.adapters.queue.running import Running, one_line
from backend.adapters.state import StateDown
from backend.core.domain import WorkerView
from backend.core.errors import LabelQueueError, LabelStudioDown, QueueDown
from backend.core.services import Services
from backend.worker import context
from backend.worker.jobs import JOBS
from backend.worker.troubles import RQ_LOG, Hushed, Troubles

log = structlog.get_logger()

BEAT_SECONDS = 1.0
LONGEST_WAIT = 10.0  # seconds between two attempts to reach Redis or the database
IDLE_SECONDS = 45  # RQ's worker_ttl; it waits 15 s less for a job before it looks around


class UnknownJob(LabelQueueError):
    """The queue names something that is no job of ours."""


class NamedJob(Job):
    """A job whose name must be one of ours: what stands in Redis never decides what code is imported."""

    @property
    def func(self) -> Callable[..., None]:
        name = str(self.func_name).removeprefix(FUNCTIONS)
        if name not in JOBS:
            raise UnknownJob(f"the queue asks for {name[:100]!r}, which is no job; is its producer of our version?")
        return JOBS[name]


class QueueWorker(SimpleWorker):
    """RQ's in-process worker that keeps our keys around each job.

    It overrides methods that RQ calls with arguments of its own choice (RQ 3.0 added one), so setup.cfg ends at the
    last major version that the tests ran with.
    """

    job_class = NamedJob
    max_connection_wait_time = LONGEST_WAIT

    def __init__(
        self, running: Running, connection: Redis, stopping: threading.Event, troubles: Troubles | None = None
    ) -> None:
        queues = [Queue(name, connection=connection, serializer=JSONSerializer, job_class=NamedJob) for name in QUEUES]
        super().__init__(
            queues,
            name=f"{running.view.name}-{uuid4().hex[:6]}",  # RQ remembers names for hours and refuses a known one
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=IDLE_SECONDS,
            log_job_description=False,
            default_result_ttl=0,
        )
        self._running = running
        self._stopping = stopping
        self._troubles = troubles or Troubles()
        self._error: BaseException | None = None

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run a job under its key; one whose key runs elsewhere is dropped, because it was only a nudge."""
        key = str(job.meta.get("key") or job.id)
        if not self._started(key, job.id):
            log.info("not run: it runs elsewhere, or we stop", key=key, job=job.id)
            job.delete()
            return
        context.begin(job.id)
        self._error = None
        with structlog.contextvars.bound_contextvars(job=job.id, key=key):
            try:
                super().execute_job(job, queue)
            finally:
                # A job that was told to stop has not failed: the next tick submits it again.
                self._running.end(key, None if isinstance(self._error, SystemExit) else self._error)

    def _started(self, key: str, job_id: str) -> bool:
        """Take the key as soon as Redis answers; False if it runs elsewhere, or we are to stop."""
        while not self._stopping.is_set():
            try:
                return self._running.start(key, job_id)
            except QueueDown as error:
                self._troubles.met("rq", error)
                self._stopping.wait(BEAT_SECONDS)
        return False

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:  # Any: RQ's, handed on
        """Called by RQ before and after each wait for a job; it raises while Redis is gone."""
        super().heartbeat(timeout, pipeline)
        if pipeline is None:
            self._troubles.over("rq")

    def handle_exception(self, job: Job, *exc_info: Any) -> None:  # Any: as RQ has it, (type, error, traceback)
        """Called by RQ with what the job raised."""
        error: BaseException = exc_info[1]
        if isinstance(error, RedisError):  # RQ could not tell how the job ended; the jobs themselves raise `QueueDown`
            error = self._running.jobs.down(error)
        self._error = error
        if isinstance(error, LabelQueueError):
            log.warning("job failed", error=one_line(error))
        elif not isinstance(error, SystemExit):
            log.error("job failed", error=one_line(error), exc_info=exc_info)

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: object = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """RQ's bookkeeping, without the stack trace: it may hold what must not lie in Redis, and is in the log."""
        error = one_line(self._error) if self._error else ""
        super().handle_job_failure(job, queue, started_job_registry, error, execution)

    def reorder_queues(self, reference_queue: Queue) -> None:
        """Urgent jobs go first; the other queues take turns, so that looks at many projects cannot starve embedding."""
        urgent, *others = self.queues
        turn = [queue for queue in others if queue != reference_queue]
        self._ordered_queues = [urgent, *turn, *(queue for queue in others if queue == reference_queue)]

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """First signal: finish the job, then stop. RQ arranges that a second one stops at once."""
        self._stopping.set()
        log.info("stopping after the current job; once more to stop now")
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def subscribe(self) -> None:
        """No remote commands: they would need a connection and a thread, and we have keys for what we need."""

    def unsubscribe(self) -> None:
        """See `subscribe`."""

    def procline(self, message: str) -> None:
        """The process keeps its name."""

    def set_shutdown_requested_date(self) -> None:
        """Called in a signal handler, where talking to Redis could raise into the running job."""


def run_worker(
    services_factory: Callable[[], Services], redis_url: str, *, burst: bool = False, name: str | None = None
) -> None:
    """Work until SIGTERM or SIGINT (or, with `burst`, until the queues are empty).

    `services_factory` is called until it does not find the database (or another server) down.
    """
    host = socket.gethostname()
    unique = f"{name or host}-{uuid4().hex[:6]}"  # two containers may have the same name and process id
    view = WorkerView(unique, host, os.getpid(), "", "", 0.0)
    running = Running(RqJobs(redis_url, timeout=2.0), view)
    stopping, troubles = threading.Event(), Troubles()
    with _signals(stopping), _hushed(Hushed(troubles, running.jobs)):
        services = _patiently(services_factory, stopping, troubles)
        if services is None:
            return
        context.install(services, running)
        stopped = threading.Event()
        threads = [
            threading.Thread(target=_repeat, args=(step, title, stopped, troubles), name=title, daemon=True)
            for step, title in ((running.beat, "beat"), (lambda: _tick(services, running.jobs), "tick"))
        ]
        log.info("worker started", worker=view.name, queues=QUEUES)
        try:
            for thread in threads:
                thread.start()
            _work(running, redis_url, stopping, burst, troubles)
        finally:
            stopped.set()
            threads[0].join(BEAT_SECONDS)  # a sign of life after the leave would show a worker that is gone
            with suppress(QueueDown):
                running.leave()
            context.install(None, None)
    log.info("worker stopped", worker=view.name)


def _work(running: Running, redis_url: str, stopping: threading.Event, burst: bool, troubles: Troubles) -> None:
    """Run RQ's loop, and again when Redis threw it out."""
    wait = 0.5
    while not stopping.is_set():
        connection = Redis.from_url(redis_url, socket_connect_timeout=2)
        try:
            worker = QueueWorker(running, connection, stopping, troubles)
            worker.work(burst=burst, logging_level="WARNING")
            if burst and not stopping.is_set():
                return
            wait = 0.5
        except RedisError as error:
            troubles.met("rq", running.jobs.down(error))
        finally:
            connection.close()
        stopping.wait(wait)
        wait = min(wait * 2, LONGEST_WAIT)


def _patiently(factory: Callable[[], Services], stopping: threading.Event, troubles: Troubles) -> Services | None:
    wait = 0.5
    while not stopping.is_set():
        try:
            made = factory()
        except (StateDown, QueueDown, LabelStudioDown) as error:
            troubles.met("start", error)
        else:
            troubles.over("start")
            return made
        stopping.wait(wait)
        wait = min(wait * 2, LONGEST_WAIT)
    return None


def _tick(services: Services, jobs: RqJobs) -> None:
    from backend.core.queue import due

    if jobs.hit("tick", BEAT_SECONDS):
        due.tick(services)


def _repeat(step: Callable[[], None], title: str, stopped: threading.Event, troubles: Troubles) -> None:
    """Every second; whatever goes wrong is said once and tried again."""
    while not stopped.wait(BEAT_SECONDS):
        try:
            step()
        except Exception as error:  # this thread must outlive anything: without it the worker counts as dead
            troubles.met(title, error)
        else:
            troubles.over(title)


@contextmanager
def _hushed(quiet: Hushed) -> Iterator[None]:
    """The filter on RQ's log while we work."""
    rq = logging.getLogger(RQ_LOG)
    rq.addFilter(quiet)
    try:
        yield
    finally:
        rq.removeFilter(quiet)


@contextmanager
def _signals(stopping: threading.Event) -> Iterator[None]:
    """Stop on SIGTERM and SIGINT also while RQ's own handlers are not in place."""

    def stop(signum: int, frame: FrameType | None) -> None:
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
