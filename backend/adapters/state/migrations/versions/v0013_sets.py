"""Labels that are sets of classes, beside those that are one class."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Two columns, null in all rows that are there, and the classes of each task for counting.

    Annotations of projects whose label config takes sets are read anew at the next look (see `READING`).
    """
    op.add_column("annotations", sa.Column("present", sa.Text))
    op.add_column("tasks", sa.Column("present", sa.Text))
    big = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "task_classes",
        sa.Column("project", big, sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False, primary_key=True),
        sa.Column("task_id", sa.BigInteger, nullable=False, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, primary_key=True),
    )
