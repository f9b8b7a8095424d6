"""Commands that keep running: up, serve, worker; and config, which shows what they run with."""

from __future__ import annotations

from typing import Annotated

import typer

from backend.cli import base

Port = Annotated[int | None, typer.Option(help="Port of the web process (PORT).")]
Host = Annotated[str | None, typer.Option(help="Address to listen at (HOST).")]


def up(
    workers: Annotated[int | None, typer.Option(help="Worker processes to start (WORKERS).", min=0)] = None,
    port: Port = None,
) -> None:
    """Run everything on this machine: an embedded Valkey, the web process and workers. Ctrl-C ends it.

    Keeps all it needs in LABELQUEUE_HOME (~/.labelqueue): SQLite, features, the queue's file. A worker or server that
    crashes is started again.

    Example: LABEL_STUDIO_URL=http://localhost:8080 LABEL_STUDIO_API_KEY=... labelqueue up
    """
    import os

    from backend import logs
    from backend.local.up import up as run

    made = base.settings(workers=workers, port=port)
    logs.configure(made, process="up")
    if port is not None:
        os.environ["LABELQUEUE_PORT"] = str(port)  # the parts read the environment

    def announce() -> None:
        out = base.console()
        out.print(f"LabelQueue listens at {made.public_url} (Label Studio: {made.label_studio_url})", markup=False)
        out.print(f"Everything is kept in {made.home}. Connect a project: labelqueue connect PROJECT", markup=False)
        if made.label_studio_api_key is None:
            out.print("LABEL_STUDIO_API_KEY is not set: nothing can be read from Label Studio", markup=False)

    raise typer.Exit(run(made, workers=made.workers, announce=announce))


def serve(host: Host = None, port: Port = None) -> None:
    """Run the web process that Label Studio calls (needs REDIS_URL and DATABASE_URL, or a running `up`).

    Example: HOST=0.0.0.0 BASIC_AUTH_USER=ls BASIC_AUTH_PASS=... labelqueue serve
    """
    from backend import logs, wiring
    from backend.web import create_app
    from backend.web.serve import serve as run

    made = base.settings(host=host, port=port)
    logs.configure(made, process="web")

    run(lambda: create_app(wiring.services(made), made), made)


def worker(
    name: Annotated[str | None, typer.Option(help="A name for lists and logs; default: the host's.")] = None,
    burst: Annotated[bool, typer.Option("--burst", help="End when the queue is empty.")] = False,
) -> None:
    """Run a worker: it embeds, learns, ranks and publishes. Start as many as you like, on any machine.

    Example: REDIS_URL=redis://queue:6379 DATABASE_URL=postgresql+psycopg://... labelqueue worker
    """
    from backend import logs, wiring
    from backend.worker.runtime import run_worker

    made = base.settings()
    logs.configure(made, process="worker")
    run_worker(lambda: wiring.services(made), made.redis_url, burst=burst, name=name)


def config(as_json: base.AsJson = False) -> None:
    """List every setting: its environment name, its value, where that came from, what it is for. Secrets are masked.

    A setting may also stand in LABELQUEUE_HOME/labelqueue.env, or in a file that NAME_FILE names.

    Example: labelqueue config --json
    """
    from dataclasses import asdict

    from rich.markup import escape

    from backend.settings import rows, strangers

    found = rows(base.settings())
    for what in strangers():
        base.tell(f"Note: {what}", err=True)
    if as_json:
        base.print_json([asdict(row) for row in found])
        return
    out = base.console()
    for row in found:
        out.print(f"[bold]{row.name}[/]={escape(row.value)}  [dim]({escape(row.source)})[/]")
        out.print(f"    [dim]{escape(row.help)}[/]")
