"""Writing to one sweep: each method is one short transaction that first checks the lease."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, insert, select, update

from orchestrator.contracts import Outcome
from orchestrator.errors import LeaseLostError
from orchestrator.places import Roots
from orchestrator.storage import column_blocks as blocks
from orchestrator.storage import tables
from orchestrator.storage.changes import Change, not_before, put
from orchestrator.storage.database import Database
from orchestrator.storage.reading import read_prior_points, read_trial, storage_of
from orchestrator.storage.renaming import rename
from orchestrator.storage.tables import attempts, sweeps, trial_values, trials
from orchestrator.trials import (
    Attempt,
    Failure,
    FailureKind,
    Params,
    PriorPoint,
    Report,
    SweepState,
    Trial,
    TrialState,
)

_ENDS = (TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED, TrialState.INTERRUPTED)
_ABANDONED = Outcome(
    TrialState.INTERRUPTED,
    failure=Failure(
        FailureKind.INTERRUPTED,
        "Its driver ended without a word: it was killed, or its machine went down.",
    ),
)

_LAST_NUMBER = select(func.max(trials.c.number)).where(trials.c.sweep_id == bindparam("sweep"))
_NEW_TRIAL, _NEW_ATTEMPT = insert(trials), insert(attempts)
_HELD = (
    select(sweeps.c.lease_holder, sweeps.c.lease_token, sweeps.c.revision)
    .where(sweeps.c.id == bindparam("key"))
    .with_for_update()
)
_STOP_ASKED = select(sweeps.c.stop_asked).where(sweeps.c.id == bindparam("key"))
_RENEW = update(sweeps).where(sweeps.c.id == bindparam("key"))


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to the sweep with the key `sweep_id`, while `token` is its latest.

    `heard_before` is the last renewal by the previous driver, None if it released its lease.
    """

    sweep_id: int
    sweep: str
    token: int
    duration: timedelta
    heard_before: datetime | None = None


class SqlWriter:
    """The writer of a `SqlStore`; made by `SqlStore.take`."""

    def __init__(
        self, database: Database, lease: Lease, clock: Callable[[], datetime], roots: Roots
    ) -> None:
        self._database, self._lease, self._clock, self._roots = database, lease, clock, roots
        # Threads of one driver queue here: SQLite's own waiting is a sleep of growing length.
        self._turn = threading.Lock()

    def add_trial(
        self,
        params: Params,
        *,
        seed: int,
        replicate: int = 0,
        sampler_attrs: Mapping[str, object] | None = None,
    ) -> Trial:
        """Store a new trial as WAITING; its number is the next one.

        Raises:
            ValueError: A parameter is NaN or infinite, or `seed` is not in [0, 2**63).
            TypeError: `params` or `sampler_attrs` hold what JSON cannot.
        """
        _check_finite("parameters", {k: v for k, v in params.items() if isinstance(v, float)})
        if not 0 <= seed < 2**63:
            raise ValueError(f"The seed of a trial is {seed}; it must be in [0, 2**63).")
        with self._change() as change:
            last = change.connection.scalar(_LAST_NUMBER, {"sweep": change.sweep_id})
            number = 0 if last is None else last + 1
            row = {
                "sweep_id": change.sweep_id,
                "number": number,
                "params": dict(params),
                "seed": seed,
                "replicate": replicate,
                "state": TrialState.WAITING.value,
                "attempts": 0,
                "sampler_attrs": dict(sampler_attrs or {}),
                "created": change.now,
            }
            change.connection.execute(_NEW_TRIAL, row)
            if number % blocks.BLOCK == 0:
                blocks.seal(change.connection, change.sweep_id)
            return read_trial(
                change.connection, self._roots, change.sweep, change.trial(number)[0]
            )

    def start_attempt(self, trial: int, worker: str) -> Attempt:
        """Store a new attempt; the trial is RUNNING.

        Raises:
            ValueError: The trial is final, or an attempt at it is running.
        """
        with self._change() as change:
            key, state, number = change.trial(trial)
            if state.is_final or state is TrialState.RUNNING:
                raise ValueError(
                    f"Trial {trial} of sweep {change.sweep!r} is {state} (attempts: {number}); "
                    f"only a waiting or an interrupted trial can be started."
                )
            attempt = Attempt(number, TrialState.RUNNING, storable(worker), change.now)
            change.trial_row(key, state=attempt.state.value, attempts=number + 1)
            row = {
                "trial_id": key,
                "number": number,
                "state": attempt.state.value,
                "worker": attempt.worker,
                "started": attempt.started,
            }
            change.connection.execute(_NEW_ATTEMPT, row)
            change.mark((trial, number))
            return attempt

    def place_attempt(self, trial: int, attempt: int, worker: str) -> None:
        """Record where a running attempt runs, once that is known.

        Raises:
            ValueError: The attempt is not running.
        """
        with self._change() as change:
            key = change.running(trial, attempt)
            change.attempt_row(key, attempt, worker=storable(worker))
            change.mark((trial, attempt))

    def add_reports(self, trial: int, attempt: int, reports: Sequence[Report]) -> None:
        """Store reports; one already stored for that trial and epoch is replaced.

        Raises:
            ValueError: A value is NaN or infinite, or the attempt is not running.
        """
        for report in reports:
            _check_finite(f"values of trial {trial} at epoch {report.epoch}", report.values)
        with self._change() as change:
            key = change.running(trial, attempt)
            rows = [
                {
                    "trial_id": key,
                    "epoch": report.epoch,
                    "sweep_id": change.sweep_id,
                    "values": {name: float(value) for name, value in report.values.items()},
                }
                for report in reports
            ]
            put(change.connection, tables.reports, rows)
            change.mark((trial, attempt))

    def finish_attempt(self, trial: int, attempt: int, outcome: Outcome) -> Trial:
        """End an attempt and its trial together; values are stored for a complete trial only.

        Raises:
            ValueError: The attempt is not running (a final trial stays final), the outcome's state
                is not an end, or a value of a complete trial is NaN or infinite.
        """
        if outcome.state not in _ENDS:
            raise ValueError(f"An attempt cannot end as {outcome.state.value!r}.")
        values = outcome.values if outcome.state is TrialState.COMPLETE else {}
        _check_finite(f"values of trial {trial}", values)
        with self._change() as change:
            key = change.running(trial, attempt)
            state = outcome.state.value
            change.end_attempt(key, attempt, state=state, **_failure(outcome))
            write = change.end_trial if outcome.state.is_final else change.trial_row
            write(key, state=state, **self._artifact(outcome, change.connection))
            put(change.connection, trial_values, _value_rows(key, values))
            change.mark((trial, attempt))
            return read_trial(change.connection, self._roots, change.sweep, key)

    def resume_stopped(self, trial: int) -> Trial:
        """Turn a stopped trial into an INTERRUPTED one, so that it may be started again.

        Raises:
            ValueError: It is in another state.
        """
        with self._change() as change:
            key, state, _ = change.trial(trial)
            if state is not TrialState.STOPPED:
                raise ValueError(
                    f"Trial {trial} of sweep {change.sweep!r} is {state}; only a stopped trial "
                    f"can be taken up again."
                )
            change.trial_row(key, state=TrialState.INTERRUPTED.value, ended=None)
            blocks.unseal(change.connection, change.sweep_id, trial)
            return read_trial(change.connection, self._roots, change.sweep, key)

    def add_values(self, trial: int, values: Mapping[str, float]) -> None:
        """Add values measured later (``test_accuracy``) to a complete trial.

        Raises:
            ValueError: The trial is not complete, or a value is NaN or infinite.
        """
        _check_finite(f"values of trial {trial}", values)
        with self._change() as change:
            key, state, number = change.trial(trial)
            if state is not TrialState.COMPLETE:
                raise ValueError(
                    f"Trial {trial} of sweep {change.sweep!r} is {state}; values can be added to "
                    f"a complete trial only."
                )
            put(change.connection, trial_values, _value_rows(key, values))
            blocks.unseal(change.connection, change.sweep_id, trial)
            change.mark((trial, number - 1))

    def add_prior_points(self, points: Sequence[PriorPoint]) -> None:
        """Store what the sampler learns from besides the trials; once only, it is never replaced.

        Raises:
            ValueError: The sweep already has such points, or a number in them is NaN or infinite.
        """
        for point in points:
            _check_finite(f"values of {dict(point.params)}", point.values)
        with self._change() as change:
            if read_prior_points(change.connection, change.sweep):
                raise ValueError(f"Sweep {change.sweep!r} has learned from prior points already.")
            rows = [
                {
                    "sweep_id": change.sweep_id,
                    "number": number,
                    "source": storable(point.source),
                    "params": dict(point.params),
                    "values": {name: float(value) for name, value in point.values.items()},
                }
                for number, point in enumerate(points)
            ]
            put(change.connection, tables.prior_points, rows)

    def interrupt_running(self) -> list[int]:
        """Mark every RUNNING trial and its attempt INTERRUPTED; returns the trials' numbers."""
        with self._change() as change:
            query = (
                select(trials.c.id, trials.c.number, trials.c.attempts)
                .where(trials.c.sweep_id == change.sweep_id)
                .where(trials.c.state == TrialState.RUNNING.value)
                .order_by(trials.c.number)
            )
            running = change.connection.execute(query).all()
            if not running:
                return []
            keys = [row.id for row in running]
            interrupted = TrialState.INTERRUPTED.value
            change.connection.execute(
                update(trials).where(trials.c.id.in_(keys)).values(state=interrupted)
            )
            change.connection.execute(
                update(attempts)
                .where(attempts.c.trial_id.in_(keys))
                .where(attempts.c.state == TrialState.RUNNING.value)
                .values(
                    state=interrupted, ended=not_before(attempts.c.started), **_failure(_ABANDONED)
                ),
                # Not the present moment: nothing ran while the sweep had no driver.
                {"now": self._lease.heard_before or change.now},
            )
            change.mark(*((row.number, row.attempts - 1) for row in running))
            return [row.number for row in running]

    def set_sweep_state(self, state: SweepState, reason: str = "") -> None:
        """Set the state of the sweep and its reason; any state but RUNNING ends the sweep."""
        with self._change() as change:
            said = {"state": state.value, "stop_reason": storable(reason)}
            if state is SweepState.RUNNING:
                change.sweep_row(**said, ended=None)
            else:
                change.end_sweep(**said)
                blocks.seal(change.connection, change.sweep_id)

    def set_spec(self, spec: Mapping[str, object]) -> None:
        """Replace the stored spec (a larger budget) by one with the same fingerprint."""
        with self._change() as change:
            change.sweep_row(spec=dict(spec))

    def set_content(self, content: Mapping[str, object]) -> None:
        """Store the digests and the locations of what the sweep learns from."""
        with self._change() as change:
            change.sweep_row(content=dict(content))

    def rename(self, new: str, *, forget_runs: bool = False) -> None:
        """Give the sweep another name, if it is free; the writer can only be released then."""
        with self._change() as change:
            rename(change, new, forget_runs=forget_runs)

    def delete_sweep(self) -> None:
        """Remove the sweep and all that is stored of it, at once."""
        with self._change() as change:
            change.delete_sweep()

    def renew(self) -> str:
        """Renew the lease while nothing is written; returns who asked to stop, or empty."""
        with self._change() as change:
            return change.connection.scalar(_STOP_ASKED, {"key": change.sweep_id}) or ""

    def release(self) -> None:
        """Release the lease of the sweep; does nothing when it is already lost."""
        with self._turn, self._database.writing() as connection:
            connection.execute(
                update(sweeps)
                .where(sweeps.c.id == self._lease.sweep_id)
                .where(sweeps.c.lease_token == self._lease.token)
                .values(lease_holder=None, lease_since=None, lease_expires=None, lease_heard=None)
            )

    def _artifact(self, outcome: Outcome, connection: Connection) -> dict[str, object]:
        if (artifact := outcome.artifact) is None:
            return {}
        roots = self._roots.with_storage(storage_of(connection, self._lease.sweep))
        place = roots.place(artifact.path)
        return {
            "artifact_root": place.root,
            "artifact_path": place.path,
            "artifact_bytes": artifact.bytes,
            "artifact_sha256": artifact.sha256,
        }

    @contextmanager
    def _change(self) -> Iterator[Change]:
        """One transaction: check the token, renew the lease, then let the caller write."""
        lease = self._lease
        with self._turn, self._database.writing() as connection:
            held = connection.execute(_HELD, {"key": lease.sweep_id}).one_or_none()
            if held is None:
                raise LeaseLostError(f"Sweep {lease.sweep!r} was deleted; nothing was stored.")
            if held.lease_token != lease.token or held.lease_holder is None:
                raise _lost(lease.sweep, held.lease_holder)
            # Read under the lock: a driver that waited long for it starts its lease from now.
            now = self._clock()
            signs = {"lease_expires": now + lease.duration, "lease_heard": now}
            renewed = {"key": lease.sweep_id, "revision": held.revision + 1, **signs}
            connection.execute(_RENEW, renewed)
            yield Change(connection, lease.sweep_id, lease.sweep, held.revision + 1, now)


def _lost(sweep: str, holder: str | None) -> LeaseLostError:
    now = f"{holder} drives it now" if holder else "it was given back"
    return LeaseLostError(
        f"This process no longer drives sweep {sweep!r}: {now}. Nothing of this step was stored. "
        f"To take it up again when it is free: paretune resume {sweep}"
    )


def _check_finite(what: str, values: Mapping[str, float]) -> None:
    bad = {name: value for name, value in values.items() if not math.isfinite(value)}
    if bad:
        raise ValueError(
            f"The {what} are not all finite: {bad}. NaN and infinity are never stored; record the "
            f"trial as failed instead."
        )


def _value_rows(trial: int, values: Mapping[str, float]) -> list[dict[str, object]]:
    return [
        {"trial_id": trial, "name": name, "value": float(value)} for name, value in values.items()
    ]


def _failure(outcome: Outcome) -> dict[str, str]:
    if (failure := outcome.failure) is None:
        return {}
    return {
        "failure_kind": failure.kind.value,
        "failure_message": storable(failure.message),
        "failure_traceback": storable(failure.traceback),
    }


def storable(text: str) -> str:
    """Replace what a database refuses in a text."""
    # An exception's text can hold anything; PostgreSQL refuses NUL, and UTF-8 lone surrogates.
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")
