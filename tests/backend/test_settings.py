"""Settings: where they come from, what is refused, and that secrets stay secret."""

from __future__ import annotations

import pytest

from backend import settings as module
from backend.core.errors import BadSetting
from backend.settings import Settings, load, rows

TOKEN = "tok-5f0c1d"


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    for field in Settings.model_fields:
        for name in module.names_of(field):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.setenv("LABELQUEUE_HOME", str(tmp_path))


def test_defaults_need_nothing_but_the_home(tmp_path):
    made = load()
    assert made.database_url == f"sqlite:///{tmp_path}/labelqueue.sqlite"
    assert made.storage_url == f"{tmp_path}/features"
    assert (made.host, made.port, made.public_url) == ("127.0.0.1", 9090, "http://127.0.0.1:9090")
    made.check_bind()


@pytest.mark.parametrize(
    ("name", "field", "text", "value"),
    [
        ("LABEL_STUDIO_URL", "label_studio_url", "http://ls:8080/", "http://ls:8080"),
        ("LABEL_STUDIO_HOST", "label_studio_url", "ls:8080", "http://ls:8080"),
        ("LABELQUEUE_PORT", "port", "9191", 9191),
        ("IMAGE_HOSTS", "image_hosts", "a.org, b.org:81", ("a.org", "b.org:81")),
        ("PREANNOTATE", "preannotate", "off", False),
        ("PORT", "port", " ", 9090),
    ],
)
def test_every_conventional_name_is_read(monkeypatch, name, field, text, value):
    monkeypatch.setenv(name, text)
    assert getattr(load(), field) == value


@pytest.mark.parametrize("name", ["LABEL_STUDIO_API_KEY", "LABEL_STUDIO_ACCESS_TOKEN"])
def test_the_token_is_read_and_never_shown(monkeypatch, name):
    monkeypatch.setenv(name, TOKEN)
    monkeypatch.setenv("REDIS_URL", f"redis://:{TOKEN}@cache:6379/0")
    made = load()
    assert made.label_studio_api_key.get_secret_value() == TOKEN
    assert TOKEN not in repr(made) + str([r.value for r in rows(made)])
    assert made.secrets() == [TOKEN, TOKEN]


def test_a_secret_may_come_from_a_file(monkeypatch, tmp_path):
    (tmp_path / "key").write_text(TOKEN + "\n")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY_FILE", str(tmp_path / "key"))
    made = load()
    assert made.label_studio_api_key.get_secret_value() == TOKEN
    assert {r.name: r.source for r in rows(made)}["LABEL_STUDIO_API_KEY"] == "LABEL_STUDIO_API_KEY_FILE"
    monkeypatch.setenv("LABEL_STUDIO_API_KEY_FILE", str(tmp_path / "absent"))
    with pytest.raises(BadSetting, match="cannot be read"):
        load()


def test_the_file_in_the_home_is_read_after_the_environment(monkeypatch, tmp_path):
    (tmp_path / "labelqueue.env").write_text("PORT=9300\nSEED=7\n")
    monkeypatch.setenv("PORT", "9200")
    made = load()
    assert (made.port, made.seed) == (9200, 7)
    assert {r.name: r.source for r in rows(made)}["SEED"] == "labelqueue.env: SEED"


def test_a_bad_value_is_told_by_name_without_the_value(monkeypatch):
    monkeypatch.setenv("PORT", "sesame")
    with pytest.raises(BadSetting, match="PORT: Input") as caught:
        load()
    assert "sesame" not in str(caught.value) and "factory" not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "myhost"])
def test_beyond_loopback_needs_a_password(host):
    with pytest.raises(BadSetting, match="BASIC_AUTH_USER and BASIC_AUTH_PASS"):
        load(host=host).check_bind()
    load(host=host, basic_auth_user="ls", basic_auth_pass="pw").check_bind()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_none(host):
    load(host=host).check_bind()


def test_half_a_login_is_refused():
    with pytest.raises(BadSetting, match="set both or none"):
        load(basic_auth_user="ls").check_bind()


def test_a_long_home_gets_a_short_socket_path(monkeypatch, tmp_path):
    home = tmp_path / ("x" * 120)
    monkeypatch.setenv("LABELQUEUE_HOME", str(home))
    path = load().redis_url.removeprefix("unix://")
    assert len(path) <= module.SOCKET_PATH_LIMIT and load().redis_url == load().redis_url


def test_every_setting_has_a_help_text_and_a_row():
    made = load()
    assert [r.name for r in rows(made)] == [module.shown_name(f) for f in Settings.model_fields]
    assert all(r.help for r in rows(made))


def test_a_settings_file_that_is_no_utf8_is_named(tmp_path, monkeypatch):
    """(10-E4) An editor that saves UTF-16 gave a stack trace."""
    monkeypatch.setenv("LABELQUEUE_HOME", str(tmp_path))
    (tmp_path / "labelqueue.env").write_bytes("PORT=9091".encode("utf-16"))
    with pytest.raises(BadSetting, match=r"labelqueue.env is not UTF-8 text"):
        load()
