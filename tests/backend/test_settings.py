"""Settings: where they come from, what is refused, and that secrets stay secret."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from redis.connection import parse_url

from backend import settings as module
from backend.adapters.state.engine import make_engine
from backend.core.errors import BadSetting
from backend.home import ensure, in_use
from backend.settings import Settings, load, rows, strangers

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
    with pytest.raises(BadSetting, match="PORT: must be a whole number") as caught:
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


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%41b", "a b", "a%zz", "ä+b", "q'u\"o"])
def test_a_home_of_any_name_keeps_everything_in_it(monkeypatch, tmp_path, name):
    """(10-E4) The path was pasted into addresses: with ? or %41 the database lay elsewhere."""
    home = tmp_path / name
    monkeypatch.setenv("LABELQUEUE_HOME", str(home))
    made = load()
    assert make_engine(made.database_url).url.database == str(home / "labelqueue.sqlite")
    assert parse_url(made.redis_url)["path"] == str(home / "valkey.sock") == str(made.socket)
    assert made.storage_url == f"{home}/features" and in_use(made)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("file:///a%20b/c", "/a b/c"),
        ("/a%20b", "/a%20b"),
        ("s3://bucket/a%20b", "s3://bucket/a%20b"),
        ("/x/../y", "/x/../y"),
    ],
)
def test_the_store_is_a_plain_folder_or_an_object_store(given, kept):
    """(10-E4) Features and weights read a file:// address in two ways."""
    assert load(storage_url=given).storage_url == kept


@pytest.mark.parametrize("url", ["s3:/bucket/x", "http://h/x", "file://x/y", "~nobody-of-that-name/x"])
def test_an_address_that_is_no_store_is_refused(url):
    with pytest.raises(BadSetting, match="STORAGE_URL"):
        load(storage_url=url)


@pytest.mark.parametrize("home", ["/tmp/a\nb", "/tmp/a\x1bb", "/tmp/\udcff"])
def test_a_home_that_no_address_can_hold_is_refused(home):
    with pytest.raises(BadSetting, match="LABELQUEUE_HOME"):
        load(home=home)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "0"),
        ("PORT", "١٢٣٤"),
        ("PORT", "9_090"),
        ("PORT", "9090.0"),
        ("PORT", "9" * 5000),
        ("REQUEST_SECONDS", "inf"),
        ("REQUEST_SECONDS", "nan"),
        ("REQUEST_SECONDS", "1e999"),
        ("MAX_IMAGE_MB", "Infinity"),
        ("MIN_INTERVAL", "１"),
        ("IMAGE_SIZE", "2_24"),
    ],
)
def test_a_number_is_finite_and_in_plain_digits(monkeypatch, name, text):
    """(10-E4) Each of them was taken."""
    monkeypatch.setenv(name, text)
    with pytest.raises(BadSetting, match=f"^{name}: .*(digits|greater than)"):
        load()


def test_no_number_of_the_settings_may_be_infinite():
    for field, about in Settings.model_fields.items():
        if "float" in str(about.annotation):
            with pytest.raises(BadSetting, match="finite"):
                load(**{field: float("inf")})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("POTR=9091", "POTR in labelqueue.env is no setting .*did you mean PORT?"),
        ("LABEL_STUDIO_APIKEY=x", "did you mean LABEL_STUDIO_API_KEY?"),
        ("port=9091", "did you mean PORT?"),
        ("WHOLLY_ELSE=1", "WHOLLY_ELSE in labelqueue.env is no setting of LabelQueue and is passed over$"),
        ("SEED=1\nPORT 9091", "line 2 of labelqueue.env is not of the form NAME=value"),
        ("SEED", "line 1 of labelqueue.env is not of the form"),
        ("SSL_CERT_FILE=/x.pem", "from the environment only"),
    ],
)
def test_what_nobody_reads_in_the_settings_file_is_told(tmp_path, line, told):
    """(10-E4) A slip in a name was passed over silently."""
    (tmp_path / "labelqueue.env").write_text(f"{line}\n")
    [found] = strangers()
    assert re.search(told.replace("?", r"\?"), found), found


def test_names_that_are_read_are_not_told(tmp_path, monkeypatch):
    (tmp_path / "labelqueue.env").write_text(
        "# a comment\n\nexport PORT=9091\nLABELQUEUE_SEED=1\nLABEL_STUDIO_HOST=ls\nREDIS_URL_FILE=/k\nTHREADS=\n"
    )
    monkeypatch.setenv("LABELQUEUE_DEBUG", "1")
    monkeypatch.setenv("LABELQUEUE_OF_ANOTHER_PROGRAM", "1")
    assert strangers() == []
    monkeypatch.setenv("LABELQUEUE_PROT", "9091")
    assert strangers() == [
        "LABELQUEUE_PROT in the environment is no setting of LabelQueue; did you mean LABELQUEUE_PORT?"
    ]


def test_the_commands_that_run_log_what_nobody_reads(tmp_path, capfd):
    from backend import logs

    (tmp_path / "labelqueue.env").write_text("POTR=9091\n")
    made = load()
    logs.configure(made, process="test")
    ensure(made)
    assert "did you mean PORT?" in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["a folder", "a link to nothing"])
def test_a_settings_file_that_is_no_file_is_refused(tmp_path, kind):
    """(10-E4) It counted as none."""
    path = tmp_path / "labelqueue.env"
    path.mkdir() if kind == "a folder" else path.symlink_to(tmp_path / "absent")
    with pytest.raises(BadSetting, match=r"labelqueue.env is no file"):
        load()


@pytest.mark.parametrize("host", ["::1", "[::1]", "127.0.0.1", "10.0.0.5"])
def test_our_address_is_by_default_where_we_listen(host):
    """(10-E4) With HOST=::1 it named 127.0.0.1, where nobody listens."""
    made = load(host=host)
    assert urlsplit(made.public_url).hostname == host.strip("[]") and urlsplit(made.public_url).port == 9090


HEADERS = ["SEKRET\nabc", "SEKRET\x1b", "\u201cSEKRET\u201d", "SEKR\u00c9T", "\u200bSEKRET", "SEKRET\x7f"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("LABEL_STUDIO_API_KEY", text) for text in HEADERS),
        *((f"BASIC_AUTH_{part}", text) for part in ("USER", "PASS") for text in HEADERS if not text.isprintable()),
    ],
)
def test_what_no_header_can_carry_is_refused_by_name_and_never_told(monkeypatch, name, text):
    """(10-A6, 10-E4) The HTTP client's error told the token, or there was a stack trace."""
    monkeypatch.setenv(name, text)
    with pytest.raises(BadSetting, match=f"^{name}: holds ") as caught:
        load()
    assert "SEK" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_token_is_one_word_and_a_password_may_be_several():
    made = load(label_studio_api_key=f" {TOKEN}\n", basic_auth_user="ls", basic_auth_pass=" zwei Wörter ")
    assert made.label_studio_api_key.get_secret_value() == TOKEN and made.basic_auth == ("ls", "zwei Wörter")
    with pytest.raises(BadSetting, match="LABEL_STUDIO_API_KEY"):
        load(label_studio_api_key="two words")
    with pytest.raises(BadSetting, match="BASIC_AUTH_USER: must not hold a colon"):
        load(basic_auth_user="a:b", basic_auth_pass="x")
