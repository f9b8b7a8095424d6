"""Hide the secrets in addresses: passwords before an @, and values of a query that are called like secrets.

Masking hides too much rather than too little: people write passwords unescaped, with @ / : ? # in them, and an address
that can be read in two ways is hidden in both.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

MASK = "***"
ESCAPE = "in a user name or password write @ as %40, / as %2F, : as %3A, ? as %3F, # as %23, % as %25"

_SECRET_NAME = re.compile(r"pass|pwd|token|secret|signature|credential|key|auth|^(sig|pw|sas)$")
_NAME = re.compile(r"(?:^|[?&#;])([^?&#;=/@:\s]+)=")  # of a query; connection strings have ; between theirs
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ADDRESS = re.compile(_SCHEME.pattern + r"\S+")
_PLAIN = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:]+)(:\d{1,5})?(?=[/?#]|$)", re.I)  # host, perhaps a port
_PAIR = re.compile(r"\b(\w*(?:password|passwd|pwd|secret|accountkey|api_?key))=(?!\*\*\*)[^\s&;]+", re.I)


def mask_url(url: str) -> str:
    """One address, as a setting holds it, without its secrets: `redis://me:***@host/0?password=***`.

    A password reaches to the last @, whatever is in it. From the first name of the query that is called like a secret
    (password, token, sig, X-Amz-Signature, AccountKey...) all is hidden to the end.
    """
    scheme, rest = _split(url)
    before, at, after = rest.rpartition("@")
    if not at:
        return scheme + _mask_query(rest)
    user, colon, _ = before.partition(":")
    shown = MASK if not colon and scheme.lower() in ("http://", "https://") else _mask_query(user)
    shown += f":{MASK}" if colon else ""
    if _secret_from(before) is not None:  # the @ may stand within that secret, and so may what follows it
        return scheme + shown
    return f"{scheme}{shown}@{_mask_query(after)}"


def mask_text(text: str) -> str:
    """Any text with the secrets in its addresses hidden, and in pairs such as password=x.

    An address ends at a space here. One whose host and port are plain, as http://host:8080/a@2x.png, has no password
    and stays readable.
    """
    if "://" in text:
        text = _ADDRESS.sub(lambda match: _mask_found(match[0]), text)
    return _PAIR.sub(rf"\1={MASK}", text) if "=" in text else text


def secrets_in(url: str) -> list[str]:
    """The texts that `mask_url` hides, as they stand and decoded, so that they can be found elsewhere."""
    scheme, rest = _split(url)
    before, at, _ = rest.rpartition("@")
    user, colon, password = before.partition(":")
    found = [password if colon else user if scheme.startswith("http") else ""] if at else []
    start = _secret_from(rest)
    if start is not None:
        found += [rest[start:], *(pair.partition("=")[2] for pair in re.split(r"[?&#;]", rest) if _is_secret(pair))]
    return list(dict.fromkeys(form for text in found for form in (text, unquote(text)) if text))


def _split(url: str) -> tuple[str, str]:
    scheme = _SCHEME.match(url)
    return (scheme[0], url[scheme.end() :]) if scheme else ("", url)


def _mask_found(url: str) -> str:
    plain = _PLAIN.match(url)
    return url[: plain.end()] + _mask_query(url[plain.end() :]) if plain else mask_url(url)


def _mask_query(text: str) -> str:
    start = _secret_from(text)
    return text if start is None else text[:start] + MASK


def _secret_from(text: str) -> int | None:
    """Where the first secret value of a query begins."""
    return next((match.end() for match in _NAME.finditer(text) if _is_secret(match[1])), None)


def _is_secret(pair: str) -> bool:
    return bool(_SECRET_NAME.search(re.sub(r"[^a-z]", "", unquote(pair.partition("=")[0]).lower())))
