"""Talk to Label Studio's API: tokens of both kinds, retries of reads, errors that say what to do.

Tokens are label-studio-sdk's `TokensClientExt` (0.1 s and 10 MB over httpx), not its whole client: that loads for
0.7 s and 145 MB, repeats writes by itself, and an import sent twice would serve every task twice.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_exponential

from backend.adapters.net.tls import tls_trouble
from backend.core.errors import BadSetting, LabelStudioDown, LabelStudioError, LabelStudioRefused
from backend.core.text.masking import MASK, mask_url

if TYPE_CHECKING:
    from label_studio_sdk.tokens.client_ext import TokensClientExt

MARGIN = timedelta(seconds=30)  # an access token lives 300 s; one about to end is not handed out
ACCOUNT = "Account & Settings > Personal Access Token in Label Studio"
Answer: TypeAlias = Any  # Any: JSON of Label Studio, which is read where its shape is known
Query: TypeAlias = Mapping[str, Any]  # Any: what httpx writes into an address
BUSY = (429, 502, 503, 504)
START = "start it, or correct LABEL_STUDIO_URL"

HINTS: tuple[tuple[str, str], ...] = (
    ("legacy token authentication has been disabled", f"make a token in {ACCOUNT} and set LABEL_STUDIO_API_KEY to it"),
    ("Invalid token", f"make a token in {ACCOUNT} and set LABEL_STUDIO_API_KEY to it"),
    ("Authentication credentials were not provided", "set LABEL_STUDIO_API_KEY to a token of Label Studio"),
    (
        "reserved network address",
        "Label Studio blocks local addresses: start it with SSRF_PROTECTION_ENABLED=false and ML_BLOCK_LOCAL_IP=false"
        " (both are needed), or give LabelQueue a public address with PUBLIC_URL",
    ),
    (
        "authentication parameters were either not provided or are incorrect",
        "connect with the user and password that BASIC_AUTH_USER and BASIC_AUTH_PASS of LabelQueue hold",
    ),
    (
        "health check failed",
        "Label Studio cannot reach LabelQueue: is `labelqueue serve` up, and does PUBLIC_URL hold from Label Studio's"
        " machine (inside a container 127.0.0.1 is the container)?",
    ),
)


class TokenAuth(httpx.Auth):
    """Sign requests with a legacy or a personal access token; the kind is told by the token itself.

    A personal one is a refresh token, exchanged for an access token that lives 5 minutes. A 401 drops the cached
    access token and tries once more, so that a skewed clock or a restarted Label Studio does no harm.
    """

    def __init__(self, url: str, token: str, client: httpx.Client) -> None:
        self._url, self._token, self._client = url, token.strip(), client
        self._shown = mask_url(url)

    @cached_property
    def _tokens(self) -> TokensClientExt:
        from label_studio_sdk.core.api_error import ApiError
        from label_studio_sdk.tokens.client_ext import TokensClientExt

        wrapper = SimpleNamespace(httpx_client=SimpleNamespace(httpx_client=self._client))
        try:
            return TokensClientExt(base_url=self._url + "/", api_key=self._token, client_wrapper=wrapper)
        except ApiError as error:
            raise LabelStudioRefused(401, f"the Label Studio token has expired; make a new one in {ACCOUNT}") from error

    @property
    def kind(self) -> Literal["legacy", "personal"]:
        return "legacy" if self._tokens._use_legacy_token else "personal"

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """No error of ours tells a token, whatever a library or the server says of it."""
        try:
            yield
        except LabelStudioError as error:
            text = str(error)
            for token in (self._token, getattr(self.__dict__.get("_tokens"), "_access_token", None)):
                for form in (token, repr(token)[1:-1]) if token else ():
                    text = text.replace(form, MASK)
            error.args = (text,)
            raise

    def headers(self) -> dict[str, str]:
        """The Authorization header, good for at least 30 s. May ask Label Studio for a fresh access token."""
        with self.hidden():
            return self._headers()

    def _headers(self) -> dict[str, str]:
        if not self._token:
            raise LabelStudioRefused(401, f"no Label Studio token: make one in {ACCOUNT} and set LABEL_STUDIO_API_KEY")
        if self.kind == "legacy":
            return {"Authorization": f"Token {self._token}"}
        ends = self._tokens._access_token_expiration
        if ends is not None and ends - datetime.now(UTC) < MARGIN:
            self.forget()
        return {"Authorization": f"Bearer {self._exchange()}"}

    def forget(self) -> None:
        """Drop the cached access token."""
        self._tokens._access_token = self._tokens._access_token_expiration = None

    def _exchange(self) -> str:
        from label_studio_sdk.core.api_error import ApiError

        try:
            return str(self._tokens.api_key)
        except (httpx.TransportError, ValueError, RecursionError) as error:
            raise LabelStudioDown(
                f"Label Studio at {self._shown} does not exchange the personal access token ({error});"
                f" {tls_trouble(error) or START}"
            ) from error
        except ApiError as error:
            status = error.status_code or 401
            if status in BUSY:
                raise LabelStudioDown(f"Label Studio at {self._shown} is busy ({status}); try again later") from error
            raise LabelStudioRefused(
                status,
                f"Label Studio at {self._shown} does not take the personal access token ({status}); it was revoked"
                f" or is another server's: make a new one in {ACCOUNT}",
            ) from error

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers.update(self.headers())
        response = yield request
        if response.status_code == 401 and self.kind == "personal":
            self.forget()
            request.headers.update(self.headers())
            yield request


class Api:
    """Label Studio's HTTP API at `url`; reads are tried up to three times within 10 s, writes once."""

    def __init__(self, url: str, token: str, *, timeout: float) -> None:
        self.url = url.rstrip("/")
        self._shown = mask_url(self.url)
        self._timeout = timeout
        try:
            self._client = httpx.Client(timeout=httpx.Timeout(timeout, connect=5.0))
        except OSError as error:  # httpx reads it now
            trusted = os.environ.get("SSL_CERT_FILE", "")
            raise BadSetting(f"SSL_CERT_FILE={trusted} cannot be read: {error}") from error
        self.auth = TokenAuth(self.url, token, self._client)

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def get(self, path: str, params: Query | None = None, *, timeout: float | None = None) -> Answer:
        """JSON of a GET."""
        for attempt in Retrying(
            stop=stop_after_attempt(3) | stop_after_delay(10),
            wait=wait_exponential(0.2, max=2),
            retry=retry_if_exception_type(LabelStudioDown),
            reraise=True,
        ):
            with attempt:
                return self._json("GET", path, params=params, timeout=timeout)
        raise AssertionError("unreachable: the last attempt raises")

    def send(self, method: str, path: str, body: object = None, *, timeout: float | None = None) -> Answer:
        """JSON of a write, None for an empty answer. Never repeated: it may have taken effect though it failed."""
        return self._json(method, path, json=body, timeout=timeout)

    def _json(
        self, method: str, path: str, *, timeout: float | None, params: Query | None = None, json: object = None
    ) -> Answer:
        with self.auth.hidden():
            return self._asked(method, path, timeout, params, json)

    def _asked(self, method: str, path: str, timeout: float | None, params: Query | None, json: object) -> Answer:
        limit = httpx.Timeout(timeout or self._timeout, connect=5.0)
        try:
            answer = self._client.request(
                method, self.url + path, auth=self.auth, timeout=limit, params=params, json=json
            )
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise LabelStudioDown(
                f"Label Studio at {self._shown} does not answer {method} {path} ({error or type(error).__name__});"
                f" {tls_trouble(error) or START}"
            ) from error
        if not answer.is_success:
            raise _error(self._shown, method, path, answer)
        if not answer.content:
            return None
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, long numbers, deep nesting
            raise LabelStudioRefused(
                answer.status_code,
                f"{self._shown}{path} answers, but not as Label Studio does; correct LABEL_STUDIO_URL",
            ) from error


def _error(url: str, method: str, path: str, answer: httpx.Response) -> LabelStudioDown | LabelStudioRefused:
    status, text = answer.status_code, _words(answer)
    what = f"Label Studio at {url} answered {status} to {method} {path}: {text}"
    if status in BUSY or "database is locked" in answer.text:
        return LabelStudioDown(f"{what}; it is busy or restarting, try again later")
    if answer.is_redirect:
        return LabelStudioRefused(status, f"{what}; set LABEL_STUDIO_URL to the address it redirects to")
    cure = next((cure for sign, cure in HINTS if sign in answer.text), "")
    if not cure and status == 403:
        cure = "give the token's user access to the project"
    if not cure and status == 404:
        cure = "is the project or task deleted, or of another organization than the token's user?"
    return LabelStudioRefused(status, f"{what}; {cure}" if cure else what)


def _words(answer: httpx.Response) -> str:
    """What Label Studio says, without its tracebacks; 500 characters at most."""
    if answer.is_redirect:
        return f"moved to {answer.headers.get('location', '?')}"
    try:
        said = answer.json()
    except (ValueError, RecursionError):
        return answer.reason_phrase
    if not isinstance(said, dict):
        return str(said)[:500]
    parts = [said.get("detail")]
    if said.get("validation_errors"):
        parts.append(said["validation_errors"])
    known = {"id", "status_code", "version", "detail", "exc_info", "validation_errors"}
    parts += [f"{key}: {value}" for key, value in said.items() if key not in known]
    return "; ".join(str(part) for part in parts if part)[:500] or answer.reason_phrase
