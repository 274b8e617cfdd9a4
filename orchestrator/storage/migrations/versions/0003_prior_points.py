"""What a sweep's sampler learned from before the first trial."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "prior_points",
        sa.Column("sweep_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sweep_id", "number", name="pk_prior_points"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"], name="fk_prior_points_sweep_id"),
    )
