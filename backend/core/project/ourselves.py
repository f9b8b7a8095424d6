"""Recognise ourselves among the backends and webhooks that a Label Studio project lists.

One web process has many names: localhost, 127.0.0.1, a container's, a tunnel's. So its answer counts (`Addresses`): it
proves to know a secret of this installation. Where nobody answers, the address's text, our title, or our secret header
have to do.
"""

from __future__ import annotations

import hashlib
import hmac

from backend.core.domain import TITLE, RemoteBackend, RemoteWebhook
from backend.core.services import Services

SECRET_HEADER = "X-LabelQueue-Secret"
CONNECTED = "CO"  # state of a backend row that answered Label Studio's last look
PATH = "/webhook"
MOST_ASKED = 20  # webhooks of a project that are asked who they are


def proof(secret: str, challenge: str) -> str:
    """What only a process of this installation can answer to `challenge`; tells nothing of the secret."""
    return hmac.new(secret.encode(), f"labelqueue:{challenge}".encode(), hashlib.sha256).hexdigest()


def secret_header(services: Services) -> dict[str, str]:
    """The header by which our webhooks are known."""
    return {SECRET_HEADER: services.projects.secret("webhook")}


def carries_secret(services: Services, hook: RemoteWebhook) -> bool:
    """Whether it is signed as ours."""
    return secret_header(services).items() <= dict(hook.headers).items()


def base_of(hook: RemoteWebhook) -> str:
    """The address of the backend that it belongs to."""
    return hook.url.rstrip("/").removesuffix(PATH)


def is_our_row(services: Services, row: RemoteBackend, answer: bool | None) -> bool:
    """Whether a backend row is us; `answer` is what `Addresses.ours` says of its address."""
    return _at_public(services, row.url) or row.title == TITLE if answer is None else answer


def our_hooks(services: Services, hooks: list[RemoteWebhook]) -> list[RemoteWebhook]:
    """Those that lead to us. Cost: a request for each that does not carry our secret, of the first `MOST_ASKED`."""
    found = []
    asked = 0
    for hook in hooks:
        ours = carries_secret(services, hook)
        if not ours and hook.url.rstrip("/").endswith(PATH) and asked < MOST_ASKED:
            asked += 1
            answer = services.addresses.ours(base_of(hook))
            ours = _at_public(services, base_of(hook)) if answer is None else answer
        if ours:
            found.append(hook)
    return found


def ensure_webhook(services: Services, ls_id: int, address: str | None = None) -> RemoteWebhook:
    """One webhook to us, with our secret: found, signed or made; a second one goes if it certainly is ours.

    `address` is where Label Studio reaches us, if that is known; else its backend rows are asked when it matters.
    """
    hooks = services.label_studio.webhooks(ls_id)
    ours = our_hooks(services, hooks)
    if len(ours) != 1 or address is not None:
        address = address or _address(services, ls_id)
        ours = sorted(
            [hook for hook in hooks if hook in ours or base_of(hook) == address],
            key=lambda hook: (base_of(hook) != address, not carries_secret(services, hook), hook.id),
        )
    headers = secret_header(services)
    if not ours:
        return services.label_studio.add_webhook(ls_id, f"{address}{PATH}", headers)
    kept, *others = ours
    if not carries_secret(services, kept):
        services.label_studio.set_webhook_headers(kept.id, {**kept.headers, **headers})
    for hook in others:
        if base_of(hook) == base_of(kept) or services.addresses.ours(base_of(hook)):
            services.label_studio.delete_webhook(hook.id)
    return kept


def _address(services: Services, ls_id: int) -> str:
    """Where Label Studio reaches us: as our row there says, connected ones first, else our public address."""
    rows = services.label_studio.backends(ls_id)
    ours = [row for row in rows if is_our_row(services, row, services.addresses.ours(row.url))]
    ours.sort(key=lambda row: (row.state != CONNECTED, not _at_public(services, row.url)))
    return (ours[0].url if ours else services.options.public_url).rstrip("/")


def _at_public(services: Services, url: str) -> bool:
    return url.rstrip("/") == services.options.public_url.rstrip("/")
