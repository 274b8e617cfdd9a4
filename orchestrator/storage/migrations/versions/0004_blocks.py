"""Columns of final trials, packed, for fronts over many of them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table; it fills as sweeps go on, and only holds copies."""
    op.create_table(
        "blocks",
        sa.Column("sweep_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sweep_id", "kind", "name", "first", name="pk_blocks"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"], name="fk_blocks_sweep_id"),
    )
