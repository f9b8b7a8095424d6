"""Which references are Label Studio's own, by whatever name, and the address at which to ask for them.

Label Studio writes its addresses in several ways: as a path; as a path below the sub-path that it is served under (also
where it is asked directly and serves them without); as a whole address by the name that it gives itself. All of them
are asked for at LABEL_STUDIO_URL. What it keeps in cloud storages it resolves by itself.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from urllib3.exceptions import LocationValueError
from urllib3.util import parse_url

from backend.adapters.images.refs import HostRules, climbs, origin, short
from backend.core.errors import BadImage

CLOUD = {"s3", "s3s", "gs", "gcs", "azure-blob", "azure", "az", "dbfs", "hdfs"}
OURS = ("/data/", "/storage-data/")  # Label Studio's paths of images, which need the token
RESOLVED = re.compile(r"/(tasks|projects)/\d+/(resolve|presign)/?")  # redirects to a store, or hands on its bytes
BELOW = re.compile(r"/(data/(upload|local-files)|storage-data/uploaded|(tasks|projects)/\d+/(resolve|presign))(/|$)")
ASK_EVERY = 60.0  # seconds between two questions for Label Studio's own name


class Routes:
    """The ways to Label Studio's images. Safe for threads.

    Parameters
    ----------
    base: LABEL_STUDIO_URL.
    own_address: asks Label Studio for the address that it gives itself, "" if none; called when a reference looks like
        Label Studio's at another host, at most once a minute.
    """

    def __init__(self, base: str, rules: HostRules, own_address: Callable[[], str]) -> None:
        self._base = base
        self._prefix = urlsplit(base).path
        self._origin = base.removesuffix(self._prefix)
        self._rules = rules
        self._own_address = own_address
        self._named = ("", "", 0)  # origin of the own address
        self._asked = -ASK_EVERY
        self._lock = threading.Lock()

    def address(self, ref: str, task_id: int) -> str:
        """The URL to ask for `ref`. Raises `BadImage` if it is no reference to an image."""
        scheme = urlsplit(ref).scheme.lower()
        if scheme in CLOUD:
            named = base64.urlsafe_b64encode(ref.encode()).decode()
            return f"{self._base}/tasks/{task_id}/resolve/?fileuri={named}"
        if scheme in ("http", "https"):
            return self.own(ref)
        if scheme or not ref.startswith("/") or ref.startswith("//"):
            raise BadImage(
                f"{short(ref)} is no image reference; known are /data/..., http(s)://, data:image/... and s3://"
            )
        path = self._inner(ref)
        if path is None:
            raise BadImage(f"{short(ref)} is not a path of images in Label Studio (/data/...)")
        return self._base + path

    def own(self, url: str) -> str:
        """`url` at LABEL_STUDIO_URL if it is Label Studio's, else as it is."""
        try:
            found = parse_url(url)
        except LocationValueError:
            return url
        asked = found.path or "/"
        path = self._inner(asked if found.query is None else f"{asked}?{found.query}")
        if found.auth is not None or climbs(url):
            return url
        if self._rules.is_label_studio(url):
            return self._origin + found.request_uri if path is None else self._base + path
        return self._base + path if path is not None and BELOW.search(asked) and self._is_named(url) else url

    def takes_token(self, path: str) -> bool:
        """Whether Label Studio wants our token for this path of its own."""
        path = path.removeprefix(self._prefix)
        return path.startswith(OURS) or RESOLVED.fullmatch(path) is not None

    def resolves(self, path: str) -> bool:
        """Whether this path of Label Studio leads to a cloud storage."""
        return RESOLVED.fullmatch(path.removeprefix(self._prefix)) is not None

    def _inner(self, ref: str) -> str | None:
        """Path and query as Label Studio serves them when it is asked at the base."""
        path, mark, query = ref.partition("?")
        if self._prefix and path.startswith(self._prefix + "/"):
            path = path.removeprefix(self._prefix)
        if not (path.startswith(OURS) or RESOLVED.match(path)):
            below = BELOW.search(path)
            if below is None:
                return None
            path = path[below.start() :]
        return path + mark + query

    def _is_named(self, url: str) -> bool:
        """Whether Label Studio gives itself the host of `url`."""
        with self._lock:
            if time.monotonic() - self._asked >= ASK_EVERY and origin(url) != self._named:
                self._named = origin(self._own_address())
                self._asked = time.monotonic()
            return origin(url) == self._named
