"""What is to embed by feature version: leases leave the tasks' table for one that serves any version."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0013"

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
LEASE = ("owner", "leased_until", "claims", "deaths", "unanswered", "voided")


def upgrade() -> None:
    """A row for each pending task as it was leased, and for each task of a version that is being made.

    What of that version is stored already is found when it is claimed (claims = 1).
    """
    owner = sa.ForeignKey("projects.id", ondelete="CASCADE")
    none, no = sa.text("0"), sa.false()
    op.create_table(
        "to_embed",
        sa.Column("project", Id, owner, nullable=False, primary_key=True),
        sa.Column("task", sa.BigInteger, nullable=False, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False, primary_key=True),
        sa.Column("owner", sa.String),
        sa.Column("leased_until", sa.Double),
        sa.Column("claims", sa.Integer, nullable=False, server_default=none),
        sa.Column("deaths", sa.Integer, nullable=False, server_default=none),
        sa.Column("unanswered", sa.Integer, nullable=False, server_default=none),
        sa.Column("stale", sa.Boolean, nullable=False, server_default=no),
        sa.Column("voided", sa.Boolean, nullable=False, server_default=no),
        sa.Column("reason", sa.Text),
    )
    lease = ", ".join(LEASE)
    op.execute(
        f"INSERT INTO to_embed (project, task, version, {lease}) "
        f"SELECT tasks.project, tasks.id, projects.features_version, {lease} FROM tasks "
        "JOIN projects ON projects.id = tasks.project WHERE tasks.state = 'pending' AND tasks.image IS NOT NULL"
    )
    op.execute(
        "INSERT INTO to_embed (project, task, version, claims) SELECT tasks.project, tasks.id, feature_sets.version, 1 "
        "FROM tasks JOIN feature_sets ON feature_sets.project = tasks.project AND feature_sets.state = 'embedding' "
        "WHERE tasks.state <> 'failed' AND tasks.image IS NOT NULL"
    )
    waits, held = sa.text("reason IS NULL"), sa.text("owner IS NOT NULL")
    columns = ["project", "version", "task"]
    op.create_index("ix_to_embed_waiting", "to_embed", columns, sqlite_where=waits, postgresql_where=waits)
    op.create_index("ix_to_embed_owner", "to_embed", ["project", "owner"], sqlite_where=held, postgresql_where=held)
    op.drop_index("ix_tasks_owner", "tasks")
    for name in LEASE:
        op.drop_column("tasks", name)
