"""Serve the application with waitress: one process; a connection costs a thread only once its request is all there."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import structlog
from flask import Flask

from backend.core.errors import UserError
from backend.settings import Settings
from backend.web.connections import Server

log = structlog.get_logger()

BACKLOG = 1024  # connections that the kernel keeps for us


def serve(make: Callable[[], Flask], settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first. `make` is called once the port is ours.

    Raises `BadSetting` for a bind beyond loopback without a password, `UserError` for a port in use.
    """
    settings.check_bind()
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line for each request that waits for a thread
    with _listen(settings.host, settings.port) as listener:
        server = Server(make(), listener, threads=settings.threads, seconds=settings.request_seconds)
        log.info("listening", host=settings.host, port=settings.port)
        server.run()


def check_port(host: str, port: int) -> None:
    """Raise `UserError` unless the port can be bound now (0: any)."""
    _listen(host, port).close()


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; `::` means every address of this machine, IPv4 included."""
    six = ":" in host
    try:
        return socket.create_server(
            (host.strip("[]"), port),
            family=socket.AF_INET6 if six else socket.AF_INET,
            backlog=BACKLOG,
            dualstack_ipv6=host.strip("[]") == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(
            f"cannot listen at {host}:{port} ({why}); stop what listens there, or set PORT to a free port"
        ) from error
