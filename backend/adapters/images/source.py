"""Fetches the bytes behind an image reference of a task: everything in a task is written by strangers.

Only Label Studio gets our token, and only on its image paths; other hosts are asked only if the operator allows them,
or Label Studio itself leads to them; every other redirect is judged like a new reference.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import (
    HTTPError,
    IncompleteRead,
    LocationValueError,
    NewConnectionError,
    ProtocolError,
    SSLError,
    TimeoutError,
)
from urllib3.util import parse_url

from backend.adapters.images.refs import HostRules, climbs, decode_data_url, short
from backend.adapters.images.routes import Routes
from backend.adapters.images.store import ERROR_BYTES, STALE, refused, unresolved
from backend.adapters.net.guarded import Forbidden, Trust, open_pool
from backend.adapters.net.tls import tls_trouble
from backend.core.errors import BadImage, LabelStudioDown, LabelStudioRefused

MIB = 1 << 20
REDIRECTS = {301, 302, 303, 307, 308}
MAX_REDIRECTS = 5
WAITS = (0.5, 2.0)  # seconds before another try when a server is away for a moment
AWAY = {429, 502, 503, 504}
SEE_OTHER = 303  # how Label Studio leads to a store


@dataclass(frozen=True, slots=True)
class _Hop:
    url: str
    trust: Trust
    with_token: bool
    label_studio: bool
    resolves: bool = False  # Label Studio leads from here to a store, or hands on the store's bytes
    store: bool = False  # Label Studio led here


class ImageSource:
    """`fetch` by the routes of Label Studio: uploads, local files, cloud storages, http(s) and data: URLs.

    Safe for threads.

    Parameters
    ----------
    label_studio_url: where Label Studio answers, with its path prefix if it has one.
    auth_headers: called before each request to Label Studio, so that short-lived tokens stay fresh.
    own_address: asks Label Studio for the address that it gives itself in task data, "" if none.
    allowed_hosts: other hosts: `host`, `host:port` (may have a private address), `*.suffix` or `*` (public ones only).
    local_root: Label Studio's LOCAL_FILES_DOCUMENT_ROOT if this machine sees it; files below it are read directly.
    max_bytes, max_pixels: larger images are refused; the pixels are checked by the decoder.
    timeout: seconds for one answer as a whole.
    """

    def __init__(
        self,
        *,
        label_studio_url: str,
        auth_headers: Callable[[], Mapping[str, str]],
        own_address: Callable[[], str] = str,
        allowed_hosts: Sequence[str] = (),
        local_root: Path | None = None,
        max_bytes: int = 50 * MIB,
        max_pixels: int = 100_000_000,
        timeout: float = 20.0,
    ) -> None:
        self._base = label_studio_url.rstrip("/")
        self._auth_headers = auth_headers
        self._rules = HostRules(self._base, allowed_hosts)
        self._routes = Routes(self._base, self._rules, own_address)
        self._root = local_root.resolve() if local_root else None
        self.max_bytes = max_bytes
        self.max_pixels = max_pixels
        self._timeout = timeout
        self._pools = {trust: open_pool(trust, timeout=timeout) for trust in ("named", "public")}

    def fetch(self, ref: str, task_id: int) -> bytes:
        """The bytes behind `ref` in this task's data, at most `max_bytes`.

        Raises
        ------
        BadImage: with the reason; another try would most likely end the same way.
        LabelStudioDown, LabelStudioRefused: Label Studio is away, or refuses our token; no fault of the image.
        """
        ref = ref.strip()
        if not ref:
            raise BadImage("the task's image field is empty")
        try:
            urlsplit(ref.encode().decode())  # half a surrogate pair is no text
        except ValueError as error:
            raise BadImage(f"{short(ref)} is not a URL: {error}") from error
        if ref[:5].lower() == "data:":
            data = decode_data_url(ref, self.max_bytes)
        else:
            url = self._routes.address(ref, task_id)
            local = self._local(url)
            data = self._download(url) if local is None else local
        if not data:
            raise BadImage(f"{short(ref)} has 0 bytes")
        return data

    def _local(self, ref: str) -> bytes | None:
        """The file that a local-files reference names, if we may read it here; None: ask Label Studio."""
        parts = urlsplit(ref)
        if "/data/local-files" not in parts.path or not self._rules.is_label_studio(ref):
            return None
        name = parse_qs(parts.query).get("d", [""])[0]
        if ".." in unquote(name).replace("\\", "/").split("/"):
            raise BadImage(f"{short(name)} points outside the folder of local files")
        if self._root is None:
            return None
        try:
            path = Path(os.path.realpath(self._root / name.lstrip("/")))
            if not path.is_relative_to(self._root):
                raise BadImage(f"{short(name)} points outside the folder of local files")
            return self._read(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise BadImage(f"{short(name)} cannot be read: {error}") from error

    def _read(self, path: Path) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)  # a pipe must not hold us
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise BadImage(f"{path.name} is not a file")
            self._check_size(status.st_size)
            return file.read(self.max_bytes)

    def _download(self, url: str) -> bytes:
        led = ""  # the address at which Label Studio led to the store that is asked now
        again = True  # whether it may be asked for a fresh address if the store refuses this one
        for _ in range(MAX_REDIRECTS + 1):
            hop = self._judge(url, led=bool(led))
            response = self._ask(hop)
            try:
                if led and again and response.status in STALE:
                    response.close()
                    url, led, again = led, "", False
                    continue
                if response.status not in REDIRECTS:
                    return self._body(response, hop)
                target = urljoin(url, response.headers.get("Location", ""))
                response.drain_conn() if _length(response) < 65536 else response.close()
                led = url if hop.resolves and response.status == SEE_OTHER else ""
                url = target if led else self._routes.own(target)
            except (HTTPError, OSError) as error:
                raise self._away(hop, _reason(error, self._timeout)) from error
            except ValueError as error:
                raise BadImage(f"{short(url)}: {error}") from error
            finally:
                response.release_conn()
        raise BadImage(f"{short(url)}: more than {MAX_REDIRECTS} redirects")

    def _judge(self, url: str, *, led: bool = False) -> _Hop:
        """Whether and how `url` may be asked; called for every hop. `led`: Label Studio named it for this hop."""
        try:
            parts = parse_url(url)
        except LocationValueError as error:
            raise BadImage(f"{short(url)} is not a URL") from error  # its text may show a signature
        if parts.scheme not in ("http", "https") or not parts.host:
            raise BadImage(f"{short(url)} is not an http(s) URL")
        if parts.auth is not None:
            raise BadImage(f"{short(url)} carries a user name; credentials in URLs are not used")
        path = parts.path or "/"
        if climbs(url):
            raise BadImage(f"{short(url)} has .. in its path")
        if self._rules.is_label_studio(url):
            return _Hop(parts.url, "named", self._routes.takes_token(path), True, self._routes.resolves(path))
        return _Hop(parts.url, self._rules.trust(url, otherwise="public" if led else None), False, False, store=led)

    def _ask(self, hop: _Hop) -> BaseHTTPResponse:
        """The answer, its body not yet read; servers that are away for a moment are asked again."""
        fresh = False
        for wait in (*WAITS, None):
            try:
                response = self._request(hop)
            except (NewConnectionError, ProtocolError) as error:
                if wait is None:
                    raise self._away(hop, _reason(error, self._timeout)) from error
            except (Forbidden, LocationValueError, ValueError) as error:
                raise BadImage(f"{short(hop.url)}: {_reason(error, self._timeout)}") from error
            except (HTTPError, OSError) as error:
                raise self._away(hop, _reason(error, self._timeout)) from error
            else:
                refused = response.status == 401 and hop.with_token
                if response.status not in AWAY and not (refused and not fresh):
                    return response
                response.close()
                if refused:  # the token may have run out just now
                    fresh = True
                    continue
                if wait is None:
                    raise self._away(hop, f"HTTP {response.status}")
            time.sleep(wait)
        raise LabelStudioRefused(401, "Label Studio refuses our token for images; check LABEL_STUDIO_API_KEY")

    def _request(self, hop: _Hop) -> BaseHTTPResponse:
        # Label Studio answers 406 to those who take images only
        headers = {"User-Agent": "labelqueue", "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}
        if hop.with_token:
            headers |= self._auth_headers()
        return self._pools[hop.trust].request(
            "GET", hop.url, headers=headers, redirect=False, preload_content=False, decode_content=False
        )

    def _away(self, hop: _Hop, reason: str) -> Exception:
        if hop.label_studio:
            return LabelStudioDown(f"Label Studio does not answer at {self._base} for {short(hop.url)}: {reason}")
        if hop.store and "unknown host" not in reason:  # all images of the project are there, and none is at fault
            at = urlsplit(hop.url)
            return LabelStudioDown(
                f"the store {at.netloc}, to which Label Studio leads, does not answer for {short(at.path)}: {reason}"
            )
        return BadImage(f"{short(hop.url)}: {reason}")

    def _body(self, response: BaseHTTPResponse, hop: _Hop) -> bytes:
        who = "Label Studio" if hop.label_studio else urlsplit(hop.url).netloc
        if response.status == 401 and hop.with_token:
            raise LabelStudioRefused(401, "Label Studio refuses our token for images; check LABEL_STUDIO_API_KEY")
        if response.status != 200:
            words = self._no(response, hop)
            response.close()
            raise BadImage(words or f"HTTP {response.status} from {who} for {short(urlsplit(hop.url).path)}")
        try:
            self._check_size(_length(response))
            data = bytearray()
            for chunk in response.stream(1 << 16, decode_content=False):
                data += chunk
                self._check_size(len(data))
        except (BadImage, HTTPError, OSError):
            response.close()  # what is left of the body would come back with the next answer
            raise
        return bytes(data)

    def _no(self, response: BaseHTTPResponse, hop: _Hop) -> str:
        """Why a cloud storage's image is not had, "" for other images."""
        if hop.resolves:
            return unresolved(hop.url, response.status)
        if not hop.store:
            return ""
        parts = urlsplit(hop.url)
        try:
            said = response.read(ERROR_BYTES, decode_content=False)
        except (HTTPError, OSError):
            said = b""
        return refused(parts.netloc, parts.path, response.status, said)

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise BadImage(f"larger than the limit of {self.max_bytes / MIB:.3g} MiB; raise MAX_IMAGE_MB to allow it")


def _length(response: BaseHTTPResponse) -> int:
    """Bytes that a body is said to have, 0 for none or nonsense."""
    said = response.headers.get("Content-Length", "")
    return int(said) if re.fullmatch("[0-9]{1,15}", said) else 0


def _reason(error: Exception, timeout: float) -> str:
    """The failure in a few words."""
    cause = error.__cause__ or error.__context__
    if isinstance(error, Forbidden | LocationValueError) or "Forbidden" in type(cause).__name__:
        return str(error)
    if isinstance(error, IncompleteRead) or isinstance(cause, IncompleteRead):
        return "the connection broke off before the end"
    if isinstance(error, TimeoutError | OSError) and "time" in f"{type(error).__name__} {error}".lower():
        return f"no complete answer within {timeout:g} s"
    if isinstance(error, SSLError):
        cure = tls_trouble(error)
        return f"TLS failed: {error}; {cure}" if cure else f"TLS failed: {error}"
    return str(error).rsplit(">: ", 1)[-1].rsplit(": 0x", 1)[-1][:150]
