"""The tables. Times are seconds since the epoch; ids of tasks and annotations are Label Studio's, all others ours.

Our ids are never given twice, not even after a deletion: features on disk and versions in Label Studio carry them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.types import TypeEngine

from backend.core.domain import SETTINGS, Setting

metadata = MetaData()
Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only for INTEGER


def _of_project(*, primary_key: bool = False) -> Column[int]:
    return Column("project", Id, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False, primary_key=primary_key)


def _of_setting(setting: Setting) -> Column[Any]:
    types: dict[type, TypeEngine[Any]] = {int: Integer(), float: Double(), bool: Boolean(), str: Text()}
    longest = setting.kind.longest
    return Column(
        setting.name, String(longest) if longest else types[setting.kind.stored], nullable=setting.default is None
    )


projects = Table(
    "projects",
    metadata,
    Column("id", Id, primary_key=True),
    Column("ls_id", BigInteger, nullable=False, unique=True),
    Column("key", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("config", JSON, nullable=False),
    Column("label_config", Text, nullable=False),
    Column("strategy", String, nullable=False),
    Column("params", JSON, nullable=False),
    Column("features_version", Integer, nullable=False),
    Column("extra_params", Text, nullable=False),
    Column("synced_at", Double),
    Column("strategy_changed_at", Double, nullable=False),
    Column("backbone", String, nullable=False),
    Column("before_preset", JSON, nullable=False, server_default="{}"),
    Column("preset", String),  # null: the strategy was chosen by a selector's name
    *map(_of_setting, SETTINGS.values()),
    sqlite_autoincrement=True,
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    _of_project(primary_key=True),
    Column("id", BigInteger, primary_key=True),
    Column("image", Text),  # the first one
    Column("pages", Text),  # JSON of `Pages`; null: the image is all there is
    Column("state", String(8), nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("digest", String, nullable=False, server_default=""),
    Column("label", Text),
    Column("present", Text),  # the label where it is a set of classes: JSON list of them, sorted
    Column("skipped", Boolean, nullable=False, server_default=false()),
    Column("annotated", Boolean, nullable=False, server_default=false()),  # submitted, but nothing to learn from
    Column(
        "changed_at", Double
    ),  # when label, present, skipped or annotated last changed, by our clock; null: never had any
    Column("audit", Boolean),  # drawn for the audit; null: not decided yet
)
Index("ix_tasks_state", tasks.c.project, tasks.c.state, tasks.c.id)
Index(
    "ix_tasks_changed",
    tasks.c.project,
    tasks.c.changed_at,
    sqlite_where=tasks.c.changed_at.is_not(None),
    postgresql_where=tasks.c.changed_at.is_not(None),
)
Index(
    "ix_tasks_audit",
    tasks.c.project,
    tasks.c.audit,
    sqlite_where=tasks.c.audit.is_(True),
    postgresql_where=tasks.c.audit.is_(True),
)
to_embed = Table(
    "to_embed",
    metadata,
    _of_project(primary_key=True),
    Column("task", BigInteger, primary_key=True),  # no foreign key: deleted with it, see `state.to_embed`
    Column("version", Integer, primary_key=True),  # of the features: the live one, or one that is being made
    Column("owner", String),  # who embeds it now
    Column("leased_until", Double),
    Column("claims", Integer, nullable=False, server_default=text("0")),  # since the task became due
    Column("deaths", Integer, nullable=False, server_default=text("0")),  # leases that ran out, since then
    Column("unanswered", Integer, nullable=False, server_default=text("0")),  # fetches that only this image let fail
    Column("stale", Boolean, nullable=False, server_default=false()),  # the store may hold a vector of another image
    Column("voided", Boolean, nullable=False, server_default=false()),  # became due anew while it was leased
    Column("reason", Text),  # why it was given up, in a version that is being made; null: it waits
)
Index(
    "ix_to_embed_waiting",
    to_embed.c.project,
    to_embed.c.version,
    to_embed.c.task,
    sqlite_where=to_embed.c.reason.is_(None),
    postgresql_where=to_embed.c.reason.is_(None),
)
Index(
    "ix_to_embed_owner",
    to_embed.c.project,
    to_embed.c.owner,
    sqlite_where=to_embed.c.owner.is_not(None),
    postgresql_where=to_embed.c.owner.is_not(None),
)

marks = Table(
    "annotations",
    metadata,
    _of_project(primary_key=True),
    Column("id", BigInteger, primary_key=True),
    Column("task_id", BigInteger),  # null: deleted before we heard of it; no foreign key: the task may come later
    Column("choice", Text),
    Column("present", Text),  # of sets of classes; see tasks
    Column("skipped", Boolean, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("final", Boolean, nullable=False),  # an event told of the deletion; else Label Studio did not show it
)
Index("ix_annotations_task", marks.c.project, marks.c.task_id)

task_classes = Table(
    "task_classes",  # one row for each class of tasks.present
    metadata,
    _of_project(primary_key=True),
    Column("task_id", BigInteger, primary_key=True),
    Column("name", Text, primary_key=True),
)

heads = Table(
    "heads",
    metadata,
    Column("id", Id, primary_key=True),
    _of_project(),
    Column("features_version", Integer, nullable=False),
    Column("labels_digest", String, nullable=False),
    Column("classes", JSON, nullable=False),
    Column("report", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("ix_heads_project", "project", "id"),
    sqlite_autoincrement=True,
)

feature_sets = Table(
    "feature_sets",
    metadata,
    _of_project(primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", String(10), nullable=False),
    Column("backbone", String, nullable=False),
    Column("checkpoint", String, nullable=False),
    Column("method", String(5)),
    Column("base", Integer),
    Column("labels", Integer, nullable=False),
    Column("labels_digest", String, nullable=False),
    Column("held_out", JSON, nullable=False),
    Column("report", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

rankings = Table(
    "rankings",
    metadata,
    Column("id", Id, primary_key=True),
    _of_project(),
    Column("strategy", String, nullable=False),
    Column("params", JSON, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("features_version", Integer, nullable=False),
    Column("labels_digest", String, nullable=False),
    Column("labeled", Integer, nullable=False),
    Column("embedded", Integer, nullable=False),
    Column("head", Id),
    Column("picks", LargeBinary),  # zlib of a JSON list; null: dropped, too old
    Column("timings", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("ix_rankings_project", "project", "id"),
    sqlite_autoincrement=True,
)

ranking_inputs = Table(
    "ranking_inputs",
    metadata,
    Column("ranking", Id, ForeignKey("rankings.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("terms", JSON, nullable=False),
    Column("rows", LargeBinary, nullable=False),  # the arrays of `Inputs`, as numpy's npz
)

publications = Table(
    "publications",
    metadata,
    Column("id", Id, primary_key=True),
    _of_project(),
    Column("ranking", Id, ForeignKey("rankings.id", ondelete="CASCADE"), nullable=False),
    Column("model_version", String, nullable=False),
    Column("state", String(9), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("live_at", Double),
    Column("imported", JSON),  # ids of the tasks that got a prediction; null: not recorded, or deleted since
    Column("healed", Text, nullable=False, server_default=""),  # what was wrong with the one that this one replaced
    UniqueConstraint("project", "model_version", name="uq_publications_version"),
    Index("ix_publications_project", "project", "state", "id"),
    Index("ix_publications_ranking", "ranking"),
    sqlite_autoincrement=True,
)

publishers = Table(
    "publishers",
    metadata,
    _of_project(primary_key=True),
    Column("token", BigInteger, nullable=False),  # grows with each taking
    Column("owner", String, nullable=False),
    Column("until", Double, nullable=False),
)
