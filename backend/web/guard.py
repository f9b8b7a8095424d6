"""Who may call: basic auth where it is set, the webhook's secret, no foreign web pages.

Label Studio signs everything but its webhooks with the basic auth of the backend row; the webhooks carry our secret
header instead. Without basic auth we are bound to loopback (see `Settings.check_bind`), where the danger is a web page
in the operator's browser: hence the looks at Origin and Host. A page whose name is made to lead to us (DNS rebinding)
is of the same origin as we are then, and only the Host header tells it from us: without basic auth everything but
/health wants a name of ours there. With basic auth it may be any name: a browser shows a password only to the origin
that it was typed for, so that such a page has none; and Label Studio may reach us by names that we cannot know, of
containers or balancers.
"""

from __future__ import annotations

import hmac
import ipaddress
import threading
from urllib.parse import urlsplit

from flask import Response, request
from werkzeug.datastructures import Authorization
from werkzeug.wrappers import Request

from backend.core.errors import UserError
from backend.core.project.ourselves import SECRET_HEADER
from backend.core.services import Services
from backend.settings import Settings
from backend.web import limits
from backend.web.body import json_object
from backend.web.errors import answer

ASK = {"WWW-Authenticate": 'Basic realm="LabelQueue", charset="UTF-8"'}
LARGE = "labelqueue.large"  # in the environ of the request that has the turn of the large ones


class Guard:
    """`check` runs before every request and returns an answer only to those who may not pass."""

    def __init__(self, services: Services, settings: Settings) -> None:
        self._settings = settings
        self._expected = settings.basic_auth
        self._own_hosts = {urlsplit(settings.public_url).hostname, settings.host, "localhost"}
        self._secret = services.projects.secret("webhook")
        self._large = threading.Lock()  # held while a stranger's large body is parsed and answered

    def most_bytes(self, asked: Request) -> int:
        """The largest body that this caller may send, by the headers; also asked by the server, before the body."""
        signed = self._known(asked)
        path = asked.path if self._expected is None else ""  # who has no password will be refused anyway
        return limits.most_bytes(path, signed=signed, max_body_mb=self._settings.max_body_mb)

    def check(self) -> Response | None:
        """Nothing of a body is read before this has passed, but for a bare "Start Training" (see `_webhook`)."""
        return self._refused() or self._too_much()

    def done(self, error: BaseException | None) -> None:
        """After every request."""
        if request.environ.pop(LARGE, False):
            self._large.release()

    def _too_much(self) -> Response | None:
        request.max_content_length = most = self.most_bytes(request)
        if (request.content_length or 0) <= most:
            return self._another()
        cure = "" if most == self._settings.max_body_mb * limits.MB else " from a caller without password or secret"
        return answer(413, f"the body has {request.content_length:,} bytes; at most {most:,} are taken here{cure}")

    def _another(self) -> Response | None:
        """A thread does not wait for its turn: /health would then have none."""
        if (request.content_length or 0) <= limits.ELSEWHERE or self._known(request) or LARGE in request.environ:
            return None
        if self._large.acquire(blocking=False):
            request.environ[LARGE] = True
            return None
        busy = "another large request is being answered; send this one again"
        return answer(503, busy, headers={"Retry-After": "5"})

    def _refused(self) -> Response | None:
        if request.method not in ("GET", "HEAD", "OPTIONS") and not self._same_origin():
            return answer(403, "requests from other web sites are refused")
        if request.endpoint != "protocol.health" and self._expected is None and not self._own_host():
            cure = f"set PUBLIC_URL to the address that Label Studio uses (now {self._settings.public_url})"
            return answer(403, f"host {request.host} is not a name of LabelQueue; {cure}")
        if request.path == "/webhook":
            return self._webhook()
        if request.endpoint == "protocol.health":
            refused = self._expected is not None and "Authorization" in request.headers and not self._signed(request)
            return answer(401, "wrong user or password", headers=ASK) if refused else None
        if self._expected is not None and not self._signed(request):
            return answer(401, "user and password are needed", headers=ASK)
        return None

    def _known(self, asked: Request) -> bool:
        return self._signed(asked) or (asked.path == "/webhook" and self._knows_secret(asked))

    def _signed(self, asked: Request) -> bool:
        given = _authorization(asked)
        if self._expected is None or given is None or given.type != "basic":
            return False
        user, password = self._expected
        right_user = _same(given.username or "", user)
        return _same(given.password or "", password) and right_user

    def _webhook(self) -> Response | None:
        """Our secret, or basic auth; a bare "Start Training" only where nobody but this machine can call."""
        if self._knows_secret(request) or self._signed(request):
            return None
        if self._expected is None and self._settings.loopback:
            return self._too_much() or (None if _is_nudge() else self._unknown())
        return self._unknown()

    def _unknown(self) -> Response:
        return answer(
            401, f"the webhook needs the header {SECRET_HEADER}; LabelQueue sets it within minutes, or: connect again"
        )

    def _knows_secret(self, asked: Request) -> bool:
        return _same(asked.headers.get(SECRET_HEADER, ""), self._secret)

    def _same_origin(self) -> bool:
        """Browsers name the page that sends a request; programs name none."""
        origin = request.headers.get("Origin")
        try:
            return origin is None or urlsplit(origin).netloc == request.host
        except ValueError:  # no address at all
            return False

    def _own_host(self) -> bool:
        """Whether the Host header is a name of ours: a foreign name that resolves to us is DNS rebinding."""
        name = urlsplit(f"//{request.host}").hostname or ""
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name in self._own_hosts


def _authorization(asked: Request) -> Authorization | None:
    """What the header says; None for none, and for one that is no text of base64."""
    try:
        return asked.authorization
    except ValueError:
        return None


def _is_nudge() -> bool:
    try:
        return json_object().get("action") == "START_TRAINING"
    except UserError:
        return False


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
