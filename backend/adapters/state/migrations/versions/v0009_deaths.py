"""Deaths of workers over a task, told apart from its claims; images that Label Studio did not hand out."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    """Two counters, from 0: what `claims` said of the dead was true of whole shards only."""
    op.add_column("tasks", sa.Column("deaths", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("tasks", sa.Column("unanswered", sa.Integer, nullable=False, server_default=sa.text("0")))
