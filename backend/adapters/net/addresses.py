"""Ask an address whether it is us: /health proves to know our secret, in answer to a number used only once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from hmac import compare_digest

from urllib3.exceptions import HTTPError

from backend.adapters.net.guarded import Forbidden, open_pool
from backend.core.domain import TITLE
from backend.core.json_values import JSON
from backend.core.project.ourselves import proof

LONGEST = 10_000  # bytes of an answer that are read


class HttpAddresses:
    """Implements `ports.Addresses`. Private addresses are asked, because we live at one; redirects are not followed."""

    def __init__(self, secret: Callable[[], str], *, timeout: float = 2.0) -> None:
        self._secret = secret
        self._pool = open_pool("named", timeout=timeout, size=2)

    def ours(self, url: str) -> bool | None:
        """True, False, or None for no answer of ours or of another program that answers as an ML backend does."""
        challenge = secrets.token_hex(16)
        said = self._ask(f"{url.rstrip('/')}/health?challenge={challenge}")
        if said is None:
            return None
        given = said.get("proof")
        if isinstance(given, str):
            return compare_digest(given.encode(), proof(self._secret(), challenge).encode())
        # Our model class in label-studio-ml 2.x and our older versions prove nothing, but tell their class; 1.0.9 does
        # not even tell that, only a folder of models.
        return None if str(said.get("model_class", "")).startswith(TITLE) or "model_dir" in said else False

    def _ask(self, url: str) -> dict[str, JSON] | None:
        """The JSON object behind `url`, or None."""
        if not url.lower().startswith(("http://", "https://")):
            return None
        try:
            answer = self._pool.request("GET", url, redirect=False, preload_content=False)
            try:
                said = json.loads(answer.read(LONGEST)) if answer.status == 200 else None
            finally:
                answer.close()
        except (HTTPError, OSError, ValueError, RecursionError, Forbidden):
            return None
        return said if isinstance(said, dict) else None
