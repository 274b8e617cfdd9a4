"""The schema as SQLAlchemy tables. Each change of it is a new file in ``migrations/versions/``.

```
sweeps 1─n trials 1─n attempts
   │          ├──n reports        one row an epoch
   │          └──n trial_values   one row a value, so that a front reads columns
   ├──n prior_points              what the sampler learned from before the first trial
   ├──n choices                   trials that people picked, or are about to
   ├──n blocks                    columns of final trials, a copy; see `column_blocks.py`
   └──n outbox                    what the mirror still has to copy
```
"""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

FIRST, HEAD = "0001", "0006"
"""The oldest and the newest version in ``migrations/versions/``: four digits, which compare as
text."""

VERSION_TABLE = "paretune_version"
"""Not alembic's default name: MLflow uses that one, and may share the database."""


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps no zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn any zone into UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn the session's zone (PostgreSQL), or none (SQLite), into UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("ended", UtcTime),
    Column("stop_reason", Text, nullable=False),
    Column("mlflow_run_id", Text),
    Column("mlflow_experiment_id", Text),
    # Grows with every write to the sweep and never repeats, even after its mark in the outbox was
    # deleted: a mirror that comes late with an old mark cannot delete a newer one.
    Column("revision", BigInteger, nullable=False),
    # The lease. `lease_holder` is NULL while no driver runs the sweep; `lease_token` grows each
    # time the lease is taken, which fences off a driver that was replaced. `lease_heard` is when
    # the holder last renewed it, and `stop_asked` is who asked for an end; the holder polls it.
    Column("lease_holder", Text),
    Column("lease_token", BigInteger, nullable=False),
    Column("lease_since", UtcTime),
    Column("lease_expires", UtcTime),
    Column("lease_heard", UtcTime),
    Column("stop_asked", Text),
    # Digests and locations of what the sweep learns from; NULL until it was read once.
    Column("content", JSON(none_as_null=True)),
    UniqueConstraint("name"),
)

trials = Table(
    "trials",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sweep_id", ForeignKey("sweeps.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("params", JSON, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("replicate", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    # A path under a named root that may move; the address as given if NULL: see `places.py`.
    Column("artifact_root", Text),
    Column("artifact_path", Text),
    Column("artifact_bytes", BigInteger),
    Column("artifact_sha256", Text),
    Column("sampler_attrs", JSON, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("ended", UtcTime),
    UniqueConstraint("sweep_id", "number"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("trial_id", ForeignKey("trials.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("started", UtcTime, nullable=False),
    Column("ended", UtcTime),
    Column("failure_kind", Text),
    Column("failure_message", Text),
    Column("failure_traceback", Text),
    Column("mlflow_run_id", Text),
)

reports = Table(
    "reports",
    metadata,
    Column("trial_id", ForeignKey("trials.id"), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("sweep_id", ForeignKey("sweeps.id"), nullable=False),
    Column("values", JSON, nullable=False),
    Index(None, "sweep_id", "epoch"),
)

trial_values = Table(
    "trial_values",
    metadata,
    Column("trial_id", ForeignKey("trials.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Double, nullable=False),
    # Rows are stored in the order of their key, as they are read: a trial's values are adjacent.
    sqlite_with_rowid=False,
)

prior_points = Table(
    "prior_points",
    metadata,
    Column("sweep_id", ForeignKey("sweeps.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("params", JSON, nullable=False),
    Column("values", JSON, nullable=False),
)

choices = Table(
    "choices",
    metadata,
    Column("sweep_id", ForeignKey("sweeps.id"), primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("made", UtcTime, nullable=False),
)

blocks = Table(
    "blocks",
    metadata,
    Column("sweep_id", ForeignKey("sweeps.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("first", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

WHOLE_SWEEP = -1
"""In the outbox, the trial and the attempt of a mark on the sweep itself: NULLs are never equal,
so they could not be part of the key by which a second change finds the first one's mark."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),  # the order of the first, not the latest, change
    Column("sweep_id", ForeignKey("sweeps.id"), nullable=False),
    Column("trial", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    UniqueConstraint("sweep_id", "trial", "attempt"),
)
