"""What belongs to the worker's process: its services and its name. Set by `run_worker`, read by the jobs."""

from __future__ import annotations

from dataclasses import dataclass

from backend.adapters.queue.running import Running
from backend.core.services import Services


@dataclass
class _Process:
    services: Services | None = None
    running: Running | None = None
    job_id: str = ""


_process = _Process()


def install(services: Services | None, running: Running | None) -> None:
    """Say what the jobs of this process use; None, None to take it away."""
    _process.services, _process.running = services, running


def begin(job_id: str) -> None:
    """A job begins; its id becomes part of `owner`."""
    _process.job_id = job_id


def services() -> Services:
    """The services of this process."""
    if _process.services is None:
        raise RuntimeError("jobs run in a worker only; start one: labelqueue worker")
    return _process.services


def owner() -> str:
    """A name for leases that no other job, of this or of another worker, has."""
    name = _process.running.view.name if _process.running else "nobody"
    return f"{name}/{_process.job_id}"


def set_device(device: str) -> None:
    """Tell people on what this worker computes."""
    if _process.running:
        _process.running.set_device(device)
