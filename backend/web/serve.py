"""Serve the application with gunicorn: one process with threads, nothing loaded before its fork."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import gunicorn.app.base
import gunicorn.glogging
from flask import Flask

from backend.core.errors import UserError
from backend.settings import Settings


def serve(make: Callable[[], Flask], settings: Settings, *, after_fork: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT. `make` runs in the serving process: connections must not cross a fork.

    Raises `BadSetting` for a bind beyond loopback without a password, `UserError` for a port in use.
    """
    settings.check_bind()
    check_port(settings.host, settings.port)
    _Server(make, settings, after_fork).run()


def check_port(host: str, port: int) -> None:
    """Raise `UserError` unless the port can be bound now (0: any)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            why = error.strerror or str(error)
            raise UserError(
                f"cannot listen at {host}:{port} ({why}); stop what listens there, or set PORT to a free port"
            ) from error


class _Logger(gunicorn.glogging.Logger):  # type: ignore[misc]
    """gunicorn's messages through our log; requests are logged by the application."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        return None


class _Server(gunicorn.app.base.BaseApplication):  # type: ignore[misc]
    def __init__(self, make: Callable[[], Flask], settings: Settings, after_fork: Callable[[], None]) -> None:
        self._make, self._settings, self._after_fork = make, settings, after_fork
        super().__init__()

    def load_config(self) -> None:
        host = self._settings.host
        values: dict[str, Any] = {
            "bind": f"[{host.strip('[]')}]:{self._settings.port}" if ":" in host else f"{host}:{self._settings.port}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": self._settings.threads,
            "preload_app": False,
            "timeout": 60,
            "graceful_timeout": 10,
            "keepalive": 5,
            "control_socket_disable": True,
            "logger_class": _Logger,
            "post_fork": lambda _arbiter, _worker: self._after_fork(),  # gunicorn counts the parameters
        }
        for name, value in values.items():
            if name in self.cfg.settings:  # the control socket came with gunicorn 25
                self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._make()
