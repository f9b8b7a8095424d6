"""Rules about image references that need no network: which hosts may be asked, data: URLs, safe shortening."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from urllib.parse import unquote

from urllib3.exceptions import LocationValueError
from urllib3.util import parse_url

from backend.adapters.net.guarded import Trust
from backend.core.errors import BadImage, BadSetting

PORTS = {"http": 80, "https": 443}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
PATTERN = re.compile(r"(\*|(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(:\d{1,5})?")


class HostRules:
    """The allow-list of hosts. An entry without a port means the scheme's own port.

    `*.suffix` lets in the hosts below suffix (not itself), `*` all hosts: both at public addresses only.
    """

    def __init__(self, label_studio_url: str, allowed: Sequence[str]) -> None:
        self._label_studio = _one_loopback(origin(label_studio_url))
        self._allowed = [entry.strip().lower() for entry in allowed if entry.strip()]
        for entry in self._allowed:
            if not PATTERN.fullmatch(entry):
                raise BadSetting(f"IMAGE_HOSTS: {entry!r} is not host, host:port, *.suffix or *")

    def is_label_studio(self, url: str) -> bool:
        """Whether scheme, host and port are Label Studio's; the names of this machine are one name."""
        return _one_loopback(origin(url)) == self._label_studio

    def trust(self, url: str, *, otherwise: Trust | None = None) -> Trust:
        """How far to trust the host of `url`; `otherwise` if no entry lets it in, None raises `BadImage` then."""
        scheme, host, port = origin(url)
        shown = f"[{host}]" if ":" in host else host
        names = {f"{shown}:{port}"} | ({shown} if port == PORTS[scheme] else set())
        if names & set(self._allowed):
            return "named"
        for entry in self._allowed:
            name, _, wanted = entry.partition(":") if not entry.startswith("[") else (entry, "", "")
            fits = name == "*" or (name.startswith("*.") and host.endswith(name[1:]))
            if fits and port == (int(wanted) if wanted else PORTS[scheme]):
                return "public"
        if otherwise is not None:
            return otherwise
        raise BadImage(f"host {shown if port == PORTS[scheme] else f'{shown}:{port}'} is not in IMAGE_HOSTS")


def decode_data_url(ref: str, max_bytes: int) -> bytes:
    """The bytes of a base64 data: URL. Raises `BadImage`."""
    head, comma, payload = ref.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise BadImage("the data: URL is not base64 (data:image/png;base64,...)")
    if len(payload) * 3 // 4 > max_bytes + 3:
        raise BadImage(f"the data: URL is larger than the limit of {max_bytes} bytes; raise MAX_IMAGE_MB to allow it")
    text = "".join(unquote(payload).split()) if "%" in payload or not payload.isalnum() else payload
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadImage(f"the data: URL is not valid base64: {error}") from error


def climbs(url: str) -> bool:
    """Whether the path holds a "..", encoded or not; parsers resolve some of them without a word."""
    return ".." in unquote(re.split("[?#]", url, maxsplit=1)[0]).replace("\\", "/").split("/")


def short(ref: str) -> str:
    """`ref` for people: without its query (it may hold a signature) unless that names a local file, 100 characters."""
    shows_query = re.search(r"/data/local-files/?\?d=[^&]*$", ref) or not re.match(r"(?i)https?://|/", ref)
    keep = ref if shows_query else re.sub(r"[?#].*", "", ref, flags=re.S)
    keep = re.sub(r"//[^/@]*@", "//", keep)
    keep = "".join(c if c.isprintable() else "?" for c in keep)
    return keep if len(keep) <= 100 else f"{keep[:70]}...{keep[-25:]}"


def _one_loopback(where: tuple[str, str, int]) -> tuple[str, str, int]:
    scheme, host, port = where
    return (scheme, "localhost", port) if host in LOOPBACK else where


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port as urllib3 will understand them: a second parser might see another host."""
    try:
        parts = parse_url(url)
    except LocationValueError:
        return ("", "", 0)
    scheme = (parts.scheme or "").lower()
    return scheme, (parts.host or "").strip("[]").rstrip(".").lower(), parts.port or PORTS.get(scheme, 0)
