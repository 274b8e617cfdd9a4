"""Sweeps, trials, attempts, reports, values and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    _sweeps()
    _trials()
    _attempts()
    _measured()
    _outbox()


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _sweeps() -> None:
    op.create_table(
        "sweeps",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        _time("created"),
        _time("ended", nullable=True),
        sa.Column("stop_reason", sa.Text(), nullable=False),
        sa.Column("mlflow_run_id", sa.Text()),
        sa.Column("mlflow_experiment_id", sa.Text()),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("lease_holder", sa.Text()),
        sa.Column("lease_token", sa.BigInteger(), nullable=False),
        _time("lease_since", nullable=True),
        _time("lease_expires", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sweeps"),
        sa.UniqueConstraint("name", name="uq_sweeps_name"),
    )


def _trials() -> None:
    op.create_table(
        "trials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sweep_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("replicate", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("artifact_path", sa.Text()),
        sa.Column("artifact_bytes", sa.BigInteger()),
        sa.Column("artifact_sha256", sa.Text()),
        sa.Column("sampler_attrs", sa.JSON(), nullable=False),
        _time("created"),
        _time("ended", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_trials"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"], name="fk_trials_sweep_id"),
        sa.UniqueConstraint("sweep_id", "number", name="uq_trials_sweep_id_number"),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        _time("started"),
        _time("ended", nullable=True),
        sa.Column("failure_kind", sa.Text()),
        sa.Column("failure_message", sa.Text()),
        sa.Column("failure_traceback", sa.Text()),
        sa.Column("mlflow_run_id", sa.Text()),
        sa.PrimaryKeyConstraint("trial_id", "number", name="pk_attempts"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_attempts_trial_id"),
    )


def _measured() -> None:
    op.create_table(
        "reports",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sweep_id", sa.Integer(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("trial_id", "epoch", name="pk_reports"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_reports_trial_id"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"], name="fk_reports_sweep_id"),
    )
    op.create_index("ix_reports_sweep_id_epoch", "reports", ["sweep_id", "epoch"])
    op.create_table(
        "trial_values",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("trial_id", "name", name="pk_trial_values"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_trial_values_trial_id"),
        sqlite_with_rowid=False,
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sweep_id", sa.Integer(), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"], name="fk_outbox_sweep_id"),
        sa.UniqueConstraint(
            "sweep_id", "trial", "attempt", name="uq_outbox_sweep_id_trial_attempt"
        ),
    )
