"""No secret of an address is ever shown, however it was written."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.core.text.masking import MASK, mask_text, mask_url, secrets_in

WORD = "Zq7w"  # in every secret, and in nothing else
PIECES = [WORD, WORD, "@", "/", ":", "?", "#", "&", "=", ";", "%", "%40", "+", "://", "?password=", "6379/0?key=", "é"]
secret = st.lists(st.sampled_from(PIECES), max_size=8).map(lambda parts: WORD + "".join(parts))
any_secret = st.lists(st.sampled_from(PIECES), max_size=8).map(lambda parts: "".join([*parts, WORD]))
written = st.one_of(any_secret, any_secret.map(lambda text: quote(text, safe="")))
scheme = st.sampled_from(["redis", "rediss", "postgresql+psycopg", "http", "https", "s3", "HTTP"])
user = st.sampled_from(["", "me", "me%40home"])
host = st.sampled_from(["h", "h:6379", "[::1]:5432", "h.example"])
names = ["password", "PASSWD", "pwd", "token", "secret", "key", "sig", "sslpassword", "X-Amz-Signature", "AccountKey"]
LOADED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
name = st.sampled_from([*names, "pass%77ord", "access_token", "X-Amz-Security-Token", "api-key"])


@LOADED
@given(scheme, user, written, host, st.sampled_from(["", "/0", "/db?sslmode=require", "/db?password=also"]))
def test_a_password_never_shows(scheme: str, user: str, secret: str, host: str, rest: str) -> None:
    """(10-A6) `redis://u:p@x@host` showed the password's end."""
    assert WORD not in mask_url(f"{scheme}://{user}:{secret}@{host}{rest}")


@LOADED
@given(scheme, st.sampled_from(["", "me@", "me:pw@", ":pw@"]), host, name, written, st.sampled_from("?&#;"))
def test_a_secret_of_a_query_never_shows(scheme: str, user: str, host: str, name: str, secret: str, sign: str) -> None:
    """(10-A6) `?password=` was shown in full."""
    assert WORD not in mask_url(f"{scheme}://{user}{host}/db?a=1{sign}{name}={secret}")


@LOADED
@given(scheme, user, secret, host)
def test_a_password_in_any_text_never_shows(scheme: str, user: str, secret: str, host: str) -> None:
    """(10-A6) The last net: logs and error texts."""
    shown = mask_text(f"cannot reach {scheme}://{user}:{secret}@{host}/0: refused")
    assert WORD not in shown and shown.startswith("cannot reach ") and shown.endswith(" refused")


@LOADED
@given(scheme, host, name, written)
def test_a_secret_of_a_query_in_any_text_never_shows(scheme: str, host: str, name: str, secret: str) -> None:
    """(10-A6) Presigned addresses as well."""
    assert WORD not in mask_text(f"cannot read {scheme}://{host}/a/b.png?X=1&{name}={secret} (403)")


@LOADED
@given(scheme, user, written, host, name, written)
def test_the_secrets_are_named_for_the_log_to_find(
    scheme: str, user: str, secret: str, host: str, name: str, second: str
) -> None:
    """(10-A6) What a library repeats without its address is known by itself."""
    assert secret in secrets_in(f"{scheme}://{user}:{secret}@{host}/0")
    assert any(second in text for text in secrets_in(f"{scheme}://{host}/0?{name}={second}"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@h:6379/0", "redis://:***@h:6379/0"),
        ("redis://u:p@x@host", "redis://u:***@host"),
        ("redis://u:a/b@host:1/0", "redis://u:***@host:1/0"),
        ("postgresql://me@h/db?sslmode=require&password=x&host=y", "postgresql://me@h/db?sslmode=require&password=***"),
        ("https://token@ls.example", "https://***@ls.example"),
        ("abfss://box@account.dfs.core.windows.net/f", "abfss://box@account.dfs.core.windows.net/f"),
        ("sqlite:////home/me/state.sqlite", "sqlite:////home/me/state.sqlite"),
        ("unix:///run/q.sock?db=1", "unix:///run/q.sock?db=1"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("me:pw@host:6379", "me:***@host:6379"),
        ("AccountName=x;AccountKey=abc==", "AccountName=x;AccountKey=***"),
    ],
)
def test_what_is_no_secret_stays_readable(url: str, shown: str) -> None:
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://h:8080/data/a@2x.png?d=1 is gone", "http://h:8080/data/a@2x.png?d=1 is gone"),
        ("FATAL: conninfo user=me password=x y", f"FATAL: conninfo user=me password={MASK} y"),
        ("nothing here, key=embed:1:0", "nothing here, key=embed:1:0"),
    ],
)
def test_other_texts_stay_as_they_are(text: str, shown: str) -> None:
    assert mask_text(text) == shown
