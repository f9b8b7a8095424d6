"""`make demo`: a Label Studio with a live queue on this machine, from nothing; Ctrl-C ends it, a second run goes on.

Starts Label Studio and `labelqueue up`, makes a project of images, connects it by `labelqueue connect`, waits until the
first ranking is live and says where to look. Environment: IMAGES (a folder), LABELS (a,b), LS_PORT (8080), PORT (9090).
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from backend.cli.terminal import Terminal, shown
from scripts.demo_home import DemoHome, ports
from scripts.demo_images import DemoError, Images, drawn_digits, own_images
from scripts.label_studio_server import EMAIL, ROOT, LabelStudioServer, LabelStudioStartError

HOME = ROOT / ".demo"
SILENT_LIMIT = 900.0  # seconds without progress before we give up
FAILING_LIMIT = 60.0  # the same while a job fails again and again
console = Terminal(highlight=False)


class LabelQueueUp:
    """`labelqueue up` as a child: web process, embedded Valkey and a worker."""

    def __init__(self, home: DemoHome, label_studio: str, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = home.folder / "labelqueue.log"
        self.command = str(Path(sys.executable).with_name("labelqueue"))
        self.environment = {
            **os.environ,
            "PYTHONSAFEPATH": "1",  # a folder called backend where this is started is none of ours
            "LABELQUEUE_HOME": str(home.folder / "labelqueue"),
            "LABEL_STUDIO_URL": label_studio,
            "LABEL_STUDIO_API_KEY": home.token,
            "LOCAL_FILES_ROOT": str(home.folder / "files"),
            "PUBLIC_URL": self.url,
            "HOST": "127.0.0.1",
            "PORT": str(port),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.command, "up"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,  # Ctrl-C is for us; we end it in order
            )
        end = time.monotonic() + 120
        while not self._healthy():
            self.check()
            if time.monotonic() > end:
                raise DemoError(f"labelqueue did not come up in 120 s; the end of {self.log}:\n{self.tail()}")
            time.sleep(0.2)

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def check(self) -> None:
        """Raise `DemoError` if it has ended."""
        if self.process is not None and self.process.poll() is not None:
            raise DemoError(f"labelqueue ended with {self.process.returncode}; the end of {self.log}:\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def run(self, *arguments: str) -> str:
        """A command of ours against this installation; its output."""
        done = subprocess.run([self.command, *arguments], env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise DemoError(f"labelqueue {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def status(self, project: int) -> dict[str, Any]:
        """What `labelqueue status PROJECT --json` shows, asked over HTTP because it is asked often."""
        return dict(httpx.get(f"{self.url}/api/projects/{project}", timeout=30).raise_for_status().json())

    def stop(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
        self.process = None


def label_studio(home: DemoHome, port: int) -> LabelStudioServer:
    """The demo's Label Studio, started; its first start makes the database (half a minute)."""
    data = home.folder / "label-studio"
    finished = data / ".finished"
    if data.exists() and not finished.exists():
        console.print("An earlier run was ended while it made Label Studio's database; making it anew.")
        shutil.rmtree(data)
        home.projects.clear()
    data.mkdir(exist_ok=True)
    (home.folder / "files" / "images").mkdir(parents=True, exist_ok=True)
    server = LabelStudioServer(
        data,
        files=home.folder / "files",
        port=port,
        from_template=False,
        limit=300,
        password=home.password,
        token=home.token,
    )
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    finished.touch()
    return server


def ensure_project(home: DemoHome, url: str, images: Images) -> int:
    """The project of these images: the one of an earlier run, or a new one with all of them imported."""
    headers = {"Authorization": f"Token {home.token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=300) as http:
        known = home.projects.get(images.key)
        if known is not None and http.get(f"/api/projects/{known}/").is_success:
            return known
        body = {"title": images.title, "label_config": images.label_config}
        project = int(_sent(http.post("/api/projects/", json=body))["id"])
        served = home.folder.resolve() / "files"
        storage = {"project": project, "path": str(served / "images"), "use_blob_urls": True, "title": "demo images"}
        _sent(http.post("/api/storages/localfiles/", json=storage))
        tasks = [{"image": f"/data/local-files/?d={path.relative_to(served)}"} for path in images.paths]
        for begin in range(0, len(tasks), 1000):
            _sent(http.post(f"/api/projects/{project}/import", json=tasks[begin : begin + 1000]))
        home.projects[images.key] = project
        home.save()
        return project


def _sent(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise DemoError(f"Label Studio refused {answer.request.url.path}: {answer.status_code} {answer.text[:300]}")
    return dict(answer.json())


def wait_for_ranking(queue: LabelQueueUp, project: int) -> dict[str, Any]:
    """Show progress until the first ranking is live; the last status. What keeps failing is shown, then raised."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        row = bar.add_task("looking at the images", total=None)
        seen, since = -1, time.monotonic()
        while True:
            queue.check()
            status = queue.status(project)
            done = status["embedded"] + status["failed"]
            errors = [job["error"] for job in status["jobs"] if job["state"] == "failed"]
            if status["live"] is not None:
                bar.update(row, description="the first ranking is live", completed=done, total=status["tasks"])
                return status
            words = "ranking the images" if status["tasks"] and done >= status["tasks"] else "looking at the images"
            if errors:
                words = shown(f"trying again: {errors[0][:80]}")
            bar.update(row, description=words, completed=done, total=status["tasks"] or None)
            if done != seen:
                seen, since = done, time.monotonic()
            elif time.monotonic() - since > (FAILING_LIMIT if errors else SILENT_LIMIT):
                raise DemoError(f"no progress; {errors[0] if errors else 'nothing is reported'}; see {queue.log}")
            time.sleep(0.5)


def tell(home: DemoHome, server: LabelStudioServer, queue: LabelQueueUp, project: int, status: dict[str, Any]) -> None:
    """Where to look and what to press."""
    environment = f"LABELQUEUE_HOME={home.folder.relative_to(ROOT)}/labelqueue"
    text = (
        f"Label Studio  {server.url}/projects/{project}/data\n"
        f"login         {EMAIL}\n"
        f"password      {home.password}\n"
        f"LabelQueue    {queue.url}\n\n"
        f"Log in and press [bold]Label All Tasks[/bold]: images come in our order, soon with a suggested label.\n"
        f"After each {status['batch_size']} labels the order is renewed.\n\n"
        f"In another terminal:\n"
        f"  {environment} .venv/bin/labelqueue status {project} --watch\n"
        f"  {environment} .venv/bin/labelqueue queue {project}\n"
        f"  {environment} .venv/bin/labelqueue strategy {project} coreset\n\n"
        f"Ctrl-C ends all of it. `make demo` goes on where you left; `make demo-clean` forgets it."
    )
    console.print(Panel(text, title=f"{status['tasks']} images, queue live", expand=False))


def keep_settings(home: DemoHome, queue: LabelQueueUp) -> None:
    """Write what `labelqueue` needs to find this installation into its home, for commands in another terminal."""
    names = ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "LOCAL_FILES_ROOT", "PUBLIC_URL", "PORT")
    folder = home.folder / "labelqueue"
    folder.mkdir(mode=0o700, exist_ok=True)
    text = "".join(f"{name}={queue.environment[name]}\n" for name in names)
    with os.fdopen(os.open(folder / "labelqueue.env", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)


def demo(once: bool) -> None:
    """All of it, until Ctrl-C (or, with `once`, until the first ranking is live)."""
    home = DemoHome.load(HOME)
    with ExitStack() as ends:
        ends.enter_context(home.alone())
        ls_port, port = ports(os.environ)
        served = home.folder / "files" / "images"
        labels = tuple(part.strip() for part in os.environ.get("LABELS", "").split(",") if part.strip())
        folder = os.environ.get("IMAGES", "")
        if labels and not folder:
            raise DemoError("LABELS names the classes of your own images; give them as well: make demo IMAGES=folder")
        images = own_images(Path(folder), served, labels) if folder else drawn_digits(served)
        if images.note:
            console.print(f"Note: {images.note}")
        with console.status("starting Label Studio (the first time takes half a minute)"):
            server = label_studio(home, ls_port)
        ends.callback(server.stop)
        queue = LabelQueueUp(home, server.url, port)
        ends.callback(queue.stop)
        keep_settings(home, queue)
        with console.status("starting LabelQueue"):
            queue.start()
        with console.status(f"importing {len(images.paths)} images"):
            project = ensure_project(home, server.url, images)
        queue.run("connect", str(project), "--url", queue.url)
        tell(home, server, queue, project, wait_for_ranking(queue, project))
        while not once:
            time.sleep(1)
            queue.check()
            if server.process is None or server.process.poll() is not None:
                raise DemoError(f"Label Studio has ended; its log:\n{server.tail(15)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", action="store_true", help="forget what earlier runs kept")
    parser.add_argument("--once", action="store_true", help="end when the first ranking is live (for tests)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if arguments.clean:
            with DemoHome(HOME).alone() if HOME.exists() else ExitStack():
                shutil.rmtree(HOME, ignore_errors=True)
            return 0
        demo(arguments.once)
    except KeyboardInterrupt:
        console.line()
        console.print("Ended. `make demo` goes on where you left.")
    except (DemoError, LabelStudioStartError) as error:
        for line in f"demo: {error}".splitlines():  # the end of a log may follow
            console.print(line, markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
