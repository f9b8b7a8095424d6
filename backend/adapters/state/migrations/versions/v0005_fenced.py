"""One publication of a project at a time; what it imported, and what it healed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Two columns for the publications; a table for who publishes now."""
    op.add_column("publications", sa.Column("imported", sa.JSON))
    op.add_column("publications", sa.Column("healed", sa.Text, nullable=False, server_default=""))
    owner = sa.ForeignKey("projects.id", ondelete="CASCADE")
    op.create_table(
        "publishers",
        sa.Column("project", Id, owner, nullable=False, primary_key=True),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )
