"""The name of the preset that chose the strategy."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """A column for it; presets chosen before are not known any more, and stay shown as their selector."""
    op.add_column("projects", sa.Column("preset", sa.String))
