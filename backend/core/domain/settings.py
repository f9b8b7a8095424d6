"""The settings of a project: this table is all there is of them.

From it come the fields of `Project`, their columns and checks, `labelqueue set` and its help, extra params,
our API and its description, the installation's defaults (`backend.settings`) and the table in docs/operate.md. A new
setting is an entry here, and a migration that adds its column with a server default for old rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from backend.core.domain.setting_kinds import (
    COUNT,
    COUNT_OR_DEFAULT,
    SECONDS,
    SWITCH,
    TAG,
    SettingKind,
    Value,
    one_of_or_default,
    share,
)

RenewalMode = Literal["off", "suggest", "auto"]
MODE: SettingKind[RenewalMode | None] = one_of_or_default(get_args(RenewalMode))


@dataclass(frozen=True, slots=True)
class Setting:
    """An entry of the table, see `setting`."""

    name: str
    default: Any  # Any: of the type of its field
    kind: SettingKind[Any]
    help: str
    installation: bool
    preset: bool


def setting(
    default: Value, kind: SettingKind[Value], help: str, *, installation: bool = False, preset: bool = False
) -> Value:
    """A field with what belongs to it.

    help : what it does, for people, in lower case
    installation : whether the environment has a default for new projects, under the same name in capitals
    preset : whether a preset takes it over until the next switch (see `core.project.strategy`); people may set all
    """
    about = {"kind": kind, "help": help, "installation": installation, "preset": preset}
    return field(default=default, metadata=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSettings:
    """What people may set of a project, with the defaults of new ones."""

    batch_size: int = setting(10, COUNT, "new labels that cause a re-ranking", installation=True)
    min_interval: float = setting(5.0, SECONDS, "least time between two re-rankings", installation=True)
    head_size: int | None = setting(
        None, COUNT_OR_DEFAULT, "tasks published at once; default: ten batches, at most 1,000"
    )
    preannotate: bool = setting(True, SWITCH, "put the guessed label into the annotator's form", installation=True)
    audit_share: float = setting(
        0.05, share(0.5), "tasks drawn at random to judge by; 0: none; more are drawn from later tasks only"
    )
    renewal: RenewalMode | None = setting(  # noqa: RUF009  (it is a dataclass field)
        None, MODE, "who starts to fine-tune; default: auto with a GPU, else suggest", preset=True
    )
    calibrate: bool = setting(False, SWITCH, "fine-tune on guessed labels as well", preset=True)
    learn_from: str = setting(
        "",
        TAG,
        "tag to learn from; default: the first that can be learnt from; all labels are read anew",
    )


SETTINGS: Mapping[str, Setting] = {
    item.name: Setting(item.name, item.default, **item.metadata) for item in fields(ProjectSettings)
}
DEFAULTS = ProjectSettings()
