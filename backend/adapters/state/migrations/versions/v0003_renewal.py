"""Feature sets: versions of features, and their renewal."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """The table of feature sets, and a project's choices about renewal."""
    op.add_column("projects", sa.Column("renewal", sa.String(7)))
    op.add_column("projects", sa.Column("calibrate", sa.Boolean, nullable=False, server_default=sa.false()))
    owner = sa.ForeignKey("projects.id", ondelete="CASCADE")
    op.create_table(
        "feature_sets",
        sa.Column("project", Id, owner, nullable=False, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("backbone", sa.String, nullable=False),
        sa.Column("checkpoint", sa.String, nullable=False),
        sa.Column("method", sa.String(5)),
        sa.Column("base", sa.Integer),
        sa.Column("labels", sa.Integer, nullable=False),
        sa.Column("labels_digest", sa.String, nullable=False),
        sa.Column("held_out", sa.JSON, nullable=False),
        sa.Column("report", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
