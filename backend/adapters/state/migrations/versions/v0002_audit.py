"""The audit stream."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Columns for the share of a project and the draw of a task."""
    share = sa.Column("audit_share", sa.Double, nullable=False, server_default=sa.text("0.05"))
    op.add_column("projects", share)
    op.add_column("tasks", sa.Column("audit", sa.Boolean))
    drawn = sa.column("audit", sa.Boolean).is_(True)
    op.create_index("ix_tasks_audit", "tasks", ["project", "audit"], sqlite_where=drawn, postgresql_where=drawn)
