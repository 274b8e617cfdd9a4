"""Places under a root that may move, and what a sweep learns from by its content."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add both columns.

    Places that are recorded already stay as they are: which part of a path was the state folder
    is asked when the trial is read, by the process that knows where that folder is now.
    """
    op.add_column("trials", sa.Column("artifact_root", sa.Text()))
    op.add_column("sweeps", sa.Column("content", sa.JSON()))
