"""Tasks that are annotated and teach us nothing, tasks of several images, and the tag that a project learns from."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """New columns; a task without a label that somebody submitted was called skipped, and is annotated.

    Tasks that hold a label though their project takes several choices are found by the next look at Label Studio, which
    reads all annotations anew (see `LabelConfig.reading`).
    """
    op.add_column("projects", sa.Column("learn_from", sa.Text, nullable=False, server_default=""))
    op.add_column("tasks", sa.Column("pages", sa.Text))
    op.add_column("tasks", sa.Column("annotated", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute(
        "UPDATE tasks SET annotated = true, skipped = false WHERE skipped AND EXISTS (SELECT 1 FROM annotations "
        "WHERE annotations.project = tasks.project AND annotations.task_id = tasks.id "
        "AND NOT annotations.deleted AND NOT annotations.skipped)"
    )
