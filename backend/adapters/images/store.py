"""What Label Studio and the stores behind it say when they do not give an image, in words that say what to do."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import parse_qs, urlsplit

from backend.adapters.images.refs import short

ERROR_BYTES = 4096  # of a store's answer that are looked at for its error code
STALE = {400, 403}  # what stores answer once a signature has expired
CODE = re.compile(rb"<Code>([\w.]{1,60})</Code>")  # S3, Google and Azure alike
EXPIRED = (
    "the address that Label Studio signed has expired at once: set the storage's time to live in Label Studio to a"
)
EXPIRED += " minute or more, and the clocks"
CODES = {
    "NoSuchKey": "the object is gone",
    "BlobNotFound": "the object is gone",
    "NoSuchBucket": "there is no such bucket",
    "ContainerNotFound": "there is no such bucket",
    "AccessDenied": "the keys of the storage in Label Studio may not read it",
    "AuthenticationFailed": "the keys of the storage in Label Studio are wrong, or the signature has expired",
    "InvalidAccessKeyId": "the keys of the storage in Label Studio are wrong",
    "SignatureDoesNotMatch": "the keys of the storage in Label Studio are wrong, or its endpoint is another name than"
    " the store's",
    "RequestTimeTooSkewed": "the clocks of Label Studio and the store differ",
    "ExpiredToken": "the keys of the storage in Label Studio, or its signature, have expired",
}


def stored(url: str) -> str:
    """What a resolving address of Label Studio stands for (s3://bucket/key), for people."""
    named = parse_qs(urlsplit(url).query).get("fileuri", [""])[0]
    try:
        return short(base64.urlsafe_b64decode(named.encode()).decode())
    except (binascii.Error, ValueError):
        return short(named)


def unresolved(url: str, status: int) -> str:
    """Why Label Studio answers `status` instead of leading to the store."""
    what = stored(url)
    if status == 404:
        return (
            f"Label Studio finds no cloud storage for {what} (HTTP 404): add a source storage of this bucket to the"
            " project, or was the task deleted?"
        )
    if status == 403:
        return f"Label Studio does not let the token's user see {what} (HTTP 403): give the user access to the project"
    if status == 424:
        return (
            f"Label Studio cannot read {what} (HTTP 424): is it gone, or may the keys of the storage in Label Studio"
            " not read it?"
        )
    return f"HTTP {status} from Label Studio for {what}"


def refused(store: str, path: str, status: int, body: bytes) -> str:
    """Why a store that Label Studio led to answers `status`; `body` is the start of its answer."""
    found = CODE.search(body)
    code = found[1].decode() if found else ""
    said = f"HTTP {status}{f' {code}' if code else ''} from the store {store} for {short(path)}"
    if b"expired" in body and code in ("", "AccessDenied"):
        return f"{said}: {EXPIRED}"
    return f"{said}: {CODES[code]}" if code in CODES else said
