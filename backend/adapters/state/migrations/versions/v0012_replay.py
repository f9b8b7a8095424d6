"""What each ranking was made of, so that it can be made again."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0009"


def upgrade() -> None:
    """A table of its own: of rankings made before, nothing is known."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "ranking_inputs",
        sa.Column(
            "ranking",
            number,
            sa.ForeignKey("rankings.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("terms", sa.JSON, nullable=False),
        sa.Column("rows", sa.LargeBinary, nullable=False),
    )
