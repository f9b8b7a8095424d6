"""All settings, and the only reader of the environment.

A setting NAME comes from, in this order: LABELQUEUE_NAME, NAME, LABELQUEUE_NAME_FILE or NAME_FILE (a file that holds
the value, as container secrets do), the same names in LABELQUEUE_HOME/labelqueue.env, the default.
`labelqueue config` lists them with where each came from. How texts are read: `setting_values`; where they stand:
`setting_sources`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SecretStr, ValidationError, create_model, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from backend import setting_sources as sources
from backend import setting_values as values
from backend.core.domain import SETTINGS, ProjectSettings
from backend.core.errors import BadSetting
from backend.core.text.masking import MASK, mask_text, mask_url, secrets_in
from backend.setting_values import Decimal, Whole, Words

SOCKET_PATH_LIMIT = 100  # bytes; sockaddr_un holds 107
ADDRESSES = ("label_studio_url", "redis_url", "database_url", "storage_url", "public_url")
DEFAULT_HOME = "~/.labelqueue"


def _setting(help: str, default: Any = ..., *, names: tuple[str, ...] = (), **limits: Any) -> Any:
    """A field; `default` may be a function of the settings before it; `names` are further environment names."""
    given = {"default_factory": default} if callable(default) else {"default": default}
    return Field(description=help, json_schema_extra={"names": list(names)}, **given, **limits)


def _socket(data: dict[str, Any]) -> str:
    """URL of the embedded Valkey's socket; a home with a long path has it in a private folder of the temp folder."""
    path = data["home"] / "valkey.sock"
    if len(bytes(path)) > SOCKET_PATH_LIMIT:
        short = hashlib.sha256(bytes(path)).hexdigest()[:16]
        path = Path(tempfile.gettempdir(), f"labelqueue-{os.getuid()}", f"{short}.sock")
    return values.socket_url(path)


if TYPE_CHECKING:
    _NewProjects = BaseSettings
else:  # a field for each setting of projects that has an installation default
    _NewProjects = create_model("NewProjects", __base__=BaseSettings, **values.of_new_projects())


class Settings(_NewProjects):
    """What the operator decides, frozen; field `label_studio_url` is LABEL_STUDIO_URL and so on."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path = _setting(
        "Folder of everything that is kept on this machine", lambda: Path(DEFAULT_HOME), names=("LABELQUEUE_HOME",)
    )
    label_studio_url: str = _setting(
        "Label Studio as we reach it", "http://localhost:8080", names=("LABEL_STUDIO_HOST",), repr=False
    )
    label_studio_api_key: SecretStr | None = _setting(
        "Label Studio token, personal or legacy (Account & Settings)", None, names=("LABEL_STUDIO_ACCESS_TOKEN",)
    )
    redis_url: str = _setting(
        "Redis or Valkey (redis://, rediss://, unix://); default: the one `labelqueue up` runs", _socket, repr=False
    )
    database_url: str = _setting(
        "SQLAlchemy URL of the state, SQLite or PostgreSQL",
        lambda data: values.sqlite_url(data["home"] / "labelqueue.sqlite"),
        repr=False,
    )
    storage_url: str = _setting(
        "Folder or object store URL (s3://, gs://, abfss://) for features and fine-tuned weights",
        lambda data: f"{data['home']}/features",
        repr=False,
    )
    host: str = _setting("Address that the web process binds", "127.0.0.1")
    port: Whole = _setting("Port of the web process", 9090, ge=1, le=65535)
    public_url: str = _setting(
        "Our address as Label Studio reaches it",
        lambda data: f"http://{values.host_in_url(data.get('host', ''))}:{data.get('port', 9090)}",
        repr=False,
    )
    basic_auth_user: str = _setting("User name asked of Label Studio and of API callers; empty: no check", "")
    basic_auth_pass: SecretStr | None = _setting("Password to BASIC_AUTH_USER", None)
    threads: Whole = _setting("Threads of the web process", 8, ge=1, le=256)
    max_body_mb: Whole = _setting(
        "Largest request body taken from who shows a password or our secret, MB", 64, ge=1, le=1024
    )
    request_seconds: Decimal = _setting("Seconds within which a request must be in, and its answer fetched", 20.0, gt=0)
    workers: Whole = _setting("Worker processes that `labelqueue up` starts", 1, ge=0, le=64)
    backbone: str = _setting(
        "timm model name or checkpoint path; empty: EfficientNet-Lite0, its weights come with the program", ""
    )
    image_size: Whole | None = _setting("Side of the square input, pixels; empty: the backbone's own", None, ge=32)
    device: str = _setting("auto, cpu, cuda or cuda:N", "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    precision: Literal["auto", "fp32", "bf16"] = _setting("Precision of the forward pass", "auto")
    image_hosts: Words = _setting(
        "Further hosts that images may come from (host or host:port, comma separated); `*`: any public one", ()
    )
    local_files_root: Path | None = _setting(
        "Folder that Label Studio serves as /data/local-files/, if we may read it directly", None
    )
    max_image_mb: Decimal = _setting("Largest image file, MB", 50.0, gt=0)
    max_image_pixels: Whole = _setting("Largest image, pixels", 100_000_000, ge=1)
    image_seconds: Decimal = _setting("CPU seconds that decoding one image may take", 20.0, gt=0, le=3600)
    shard_size: Whole = _setting("Images that one embedding job takes", 512, ge=1, le=100_000)
    chunk_size: Whole = _setting("Images per write: what a killed worker may have to do again", 64, ge=1, le=10_000)
    reconcile_seconds: Decimal = _setting("Seconds between looks at Label Studio for what no event told", 60.0, gt=0)
    seed: Whole = _setting("Seed of all random choices", 0, ge=0)
    log_level: Literal["debug", "info", "warning", "error"] = _setting("Least severe log line written", "info")
    log_format: Literal["json", "text"] = _setting("Form of the log lines", "text")

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return values.home_path(home)

    @field_validator("redis_url")
    @classmethod
    def _queue(cls, url: str) -> str:
        return values.queue(url)

    @field_validator("storage_url")
    @classmethod
    def _storage(cls, url: str) -> str:
        return values.storage(url)

    @field_validator("label_studio_url", "public_url")
    @classmethod
    def _http(cls, url: str) -> str:
        return values.http(url)

    @field_validator("label_studio_api_key")
    @classmethod
    def _token(cls, secret: SecretStr | None) -> SecretStr | None:
        return secret and SecretStr(values.header(secret.get_secret_value()))

    @field_validator("basic_auth_pass")
    @classmethod
    def _password(cls, secret: SecretStr | None) -> SecretStr | None:
        return secret and SecretStr(values.one_line(secret.get_secret_value()))

    @field_validator("basic_auth_user")
    @classmethod
    def _user(cls, name: str) -> str:
        if ":" in name:  # the sign between name and password
            raise ValueError("must not hold a colon; choose another name")
        return values.one_line(name)

    @field_validator("log_level", "log_format", "precision", "device", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """(user, password) if callers must show them."""
        password = self.basic_auth_pass.get_secret_value() if self.basic_auth_pass else ""
        return (self.basic_auth_user, password) if self.basic_auth_user and password else None

    @property
    def socket(self) -> Path | None:
        """Socket of the embedded Valkey; None where REDIS_URL names another server."""
        return values.socket_of(self.redis_url) if self.redis_url == _socket({"home": self.home}) else None

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the web process."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def new_projects(self) -> ProjectSettings:
        """What new projects begin with."""
        return ProjectSettings(**{name: getattr(self, name) for name, item in SETTINGS.items() if item.installation})

    def secrets(self) -> list[str]:
        """Every secret text among the settings, for the log's mask."""
        kept = [s.get_secret_value() for s in (self.label_studio_api_key, self.basic_auth_pass) if s]
        return [text for text in [*kept, *(s for name in ADDRESSES for s in secrets_in(getattr(self, name)))] if text]

    def check_bind(self) -> None:
        """Raise `BadSetting` when the network could reach us without a password."""
        if bool(self.basic_auth_user) != bool(self.basic_auth_pass):
            raise BadSetting("only one of BASIC_AUTH_USER and BASIC_AUTH_PASS is set; set both or none")
        if not self.loopback and self.basic_auth is None:
            raise BadSetting(
                f"HOST={self.host} lets other machines in without a password; "
                "set BASIC_AUTH_USER and BASIC_AUTH_PASS, or HOST=127.0.0.1"
            )

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # pydantic calls it by keywords
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **_: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Environment(settings_cls)


def names_of(field: str) -> list[str]:
    """Environment names of a field, the first one found wins; the plain one people know is `shown_name`."""
    extra = (Settings.model_fields[field].json_schema_extra or {}).get("names", [])  # type: ignore[union-attr]
    if field == "home":  # never HOME: that one is everybody's
        return ["LABELQUEUE_HOME"]
    return [f"LABELQUEUE_{field.upper()}", field.upper(), *extra]  # type: ignore[misc]


def shown_name(field: str) -> str:
    return "LABELQUEUE_HOME" if field == "home" else field.upper()


def _home() -> str:
    """The home folder as it is written, before any other setting is read."""
    found = sources.find(names_of("home"), os.environ)
    return found[0] if found else DEFAULT_HOME


def _lookup() -> dict[str, tuple[str, str]]:
    """Field -> (value, source) for all fields that are set anywhere."""
    kept = sources.home_file(_home())
    label = f"{sources.HOME_FILE}: "
    names = {field: names_of(field) for field in Settings.model_fields}
    found = {
        field: sources.find(names[field], os.environ) or sources.find(names[field], kept, label) for field in names
    }
    return {field: hit for field, hit in found.items() if hit is not None}


def strangers() -> list[str]:
    """What the operator set and nothing reads, in words: a name with a slip, say."""
    return sources.strangers(_home(), [name for field in Settings.model_fields for name in names_of(field)])


class _Environment(PydanticBaseSettingsSource):
    """Our naming rules as a source of pydantic-settings."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        hit = sources.find(names_of(field_name), os.environ)
        return (hit[0] if hit else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        return {name: value for name, (value, _) in _lookup().items()}


def load(**given: Any) -> Settings:
    """The settings, `given` ones first; what is wrong raises `BadSetting` that names the variable, never the value."""
    try:
        return Settings(**given)
    except ValidationError as error:
        told = "; ".join(
            f"{shown_name(str(e['loc'][0]))}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_input=False, include_url=False)
            if e["type"] != "default_factory_not_called"
        )
        raise BadSetting(f"{told}") from None


@dataclass(frozen=True, slots=True)
class Row:
    """A setting for people; `value` is masked if secret."""

    name: str
    value: str
    source: str
    help: str
    also: tuple[str, ...]


def _shown(name: str, value: Any) -> str:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, tuple):
        return mask_text(",".join(value))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else mask_url(str(value)) if name in ADDRESSES else mask_text(str(value))


def rows(settings: Settings) -> list[Row]:
    """All settings with value, source and help, in the order of the class."""
    found = _lookup()
    return [
        Row(
            name=shown_name(name),
            value=_shown(name, getattr(settings, name)),
            source=found[name][1] if name in found else "default",
            help=field.description or "",
            also=tuple(n for n in names_of(name) if n != shown_name(name)),
        )
        for name, field in Settings.model_fields.items()
    ]


def debug() -> bool:
    """Whether LABELQUEUE_DEBUG asks for stack traces."""
    return os.environ.get(sources.DEBUG, "") not in ("", "0")
