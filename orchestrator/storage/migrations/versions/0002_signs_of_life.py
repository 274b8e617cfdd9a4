"""When a sweep's driver was last heard of, and who asked it to stop."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add both to the sweeps."""
    op.add_column("sweeps", sa.Column("lease_heard", sa.DateTime(timezone=True)))
    op.add_column("sweeps", sa.Column("stop_asked", sa.Text()))
