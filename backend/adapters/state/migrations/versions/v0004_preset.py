"""What a preset took over; heads without their weights, which nobody read."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """A column for the settings as they were before a preset; one less for the heads."""
    op.add_column("projects", sa.Column("before_preset", sa.JSON, nullable=False, server_default="{}"))
    op.drop_column("heads", "weights")
