"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """From nothing."""
    op.create_table(
        "projects",
        sa.Column("id", Id, primary_key=True),
        sa.Column("ls_id", sa.BigInteger, nullable=False, unique=True),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("label_config", sa.Text, nullable=False),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("batch_size", sa.Integer, nullable=False),
        sa.Column("min_interval", sa.Double, nullable=False),
        sa.Column("head_size", sa.Integer),
        sa.Column("preannotate", sa.Boolean, nullable=False),
        sa.Column("features_version", sa.Integer, nullable=False),
        sa.Column("extra_params", sa.Text, nullable=False),
        sa.Column("synced_at", sa.Double),
        sa.Column("strategy_changed_at", sa.Double, nullable=False),
        sa.Column("backbone", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
    )
    _make_tasks()
    _make_rankings()


def _make_tasks() -> None:
    op.create_table(
        "tasks",
        _of_project(primary_key=True),
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("image", sa.Text),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("digest", sa.String, nullable=False, server_default=""),
        sa.Column("label", sa.Text),
        sa.Column("skipped", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("changed_at", sa.Double),
        sa.Column("owner", sa.String),
        sa.Column("leased_until", sa.Double),
        sa.Column("claims", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("voided", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_index("ix_tasks_state", "tasks", ["project", "state", "id"])
    for name in ("changed_at", "owner"):
        known = sa.text(f"{name} IS NOT NULL")
        index = f"ix_tasks_{name.removesuffix('_at')}"
        op.create_index(index, "tasks", ["project", name], sqlite_where=known, postgresql_where=known)
    op.create_table(
        "annotations",
        _of_project(primary_key=True),
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("task_id", sa.BigInteger),
        sa.Column("choice", sa.Text),
        sa.Column("skipped", sa.Boolean, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("final", sa.Boolean, nullable=False),
    )
    op.create_index("ix_annotations_task", "annotations", ["project", "task_id"])


def _make_rankings() -> None:
    op.create_table(
        "heads",
        sa.Column("id", Id, primary_key=True),
        _of_project(),
        sa.Column("features_version", sa.Integer, nullable=False),
        sa.Column("labels_digest", sa.String, nullable=False),
        sa.Column("classes", sa.JSON, nullable=False),
        sa.Column("report", sa.JSON, nullable=False),
        sa.Column("weights", sa.LargeBinary),
        sa.Column("created_at", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_heads_project", "heads", ["project", "id"])
    op.create_table(
        "rankings",
        sa.Column("id", Id, primary_key=True),
        _of_project(),
        sa.Column("strategy", sa.String, nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("features_version", sa.Integer, nullable=False),
        sa.Column("labels_digest", sa.String, nullable=False),
        sa.Column("labeled", sa.Integer, nullable=False),
        sa.Column("embedded", sa.Integer, nullable=False),
        sa.Column("head", Id),
        sa.Column("picks", sa.LargeBinary),
        sa.Column("timings", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_rankings_project", "rankings", ["project", "id"])
    op.create_table(
        "publications",
        sa.Column("id", Id, primary_key=True),
        _of_project(),
        sa.Column("ranking", Id, sa.ForeignKey("rankings.id", ondelete="CASCADE"), nullable=False),
        sa.Column("model_version", sa.String, nullable=False),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("live_at", sa.Double),
        sa.UniqueConstraint("project", "model_version", name="uq_publications_version"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_publications_project", "publications", ["project", "state", "id"])
    op.create_index("ix_publications_ranking", "publications", ["ranking"])


def _of_project(*, primary_key: bool = False) -> sa.Column[int]:
    owner = sa.ForeignKey("projects.id", ondelete="CASCADE")
    return sa.Column("project", Id, owner, nullable=False, primary_key=primary_key)
