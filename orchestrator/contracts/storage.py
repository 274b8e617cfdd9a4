"""The store as protocols: what every other part may ask of it, and what it promises.

`orchestrator.storage` implements them; `orchestrator.testing.store_contract` tests the promises.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.columns import Columns
from orchestrator.contracts.execution import Outcome
from orchestrator.trials import (
    Artifact,
    Attempt,
    Choice,
    ChoiceKind,
    Driver,
    FailureKind,
    Outline,
    Params,
    PriorPoint,
    Report,
    Standing,
    SweepRecord,
    SweepState,
    Trial,
    TrialState,
)


class SweepWriter(Protocol):
    """The right to write to one sweep: a lease with a fencing token.

    Every method writes in one transaction that first checks the token, renews the lease and
    marks what changed for the mirror. It raises `LeaseLostError` if another driver has taken the
    sweep over.

    **Thread safety**: every method may be called from any thread.
    """

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
        """
        ...

    def start_attempt(self, trial: int, worker: str) -> Attempt:
        """Store a new attempt; the trial is RUNNING.

        Raises:
            ValueError: The trial is final, or an attempt at it is running.
        """
        ...

    def place_attempt(self, trial: int, attempt: int, worker: str) -> None:
        """Record where a running attempt runs, once that is known.

        Raises:
            ValueError: The attempt is not running.
        """
        ...

    def add_reports(self, trial: int, attempt: int, reports: Sequence[Report]) -> None:
        """Store reports; one already stored for that trial and epoch is replaced.

        Raises:
            ValueError: A value is NaN or infinite, or the attempt is not running.
        """
        ...

    def finish_attempt(self, trial: int, attempt: int, outcome: Outcome) -> Trial:
        """End an attempt and its trial together; values are stored for a COMPLETE trial only.

        Raises:
            ValueError: The attempt is not running (a final trial stays final: a second call
                raises), or a value of a complete trial is NaN or infinite.
        """
        ...

    def add_values(self, trial: int, values: Mapping[str, float]) -> None:
        """Add values measured later (``test_accuracy``) to a complete trial.

        A value that was measured before is replaced.

        Raises:
            ValueError: The trial is not complete, or a value is NaN or infinite.
        """
        ...

    def add_prior_points(self, points: Sequence[PriorPoint]) -> None:
        """Store what the sampler learns from besides the trials; once only, it is never replaced.

        Raises:
            ValueError: The sweep already has such points, or a number in them is NaN or infinite.
        """
        ...

    def interrupt_running(self) -> list[int]:
        """Mark every RUNNING trial and its attempt INTERRUPTED; returns the trials' numbers."""
        ...

    def resume_stopped(self, trial: int) -> Trial:
        """Turn a stopped trial into an INTERRUPTED one, so that it may be started again.

        Raises:
            ValueError: It is in another state.
        """
        ...

    def set_sweep_state(self, state: SweepState, reason: str = "") -> None:
        """Set the state of the sweep and its reason; any state but RUNNING ends the sweep."""
        ...

    def set_spec(self, spec: Mapping[str, object]) -> None:
        """Replace the stored spec (a larger budget) by one with the same identity."""
        ...

    def set_content(self, content: Mapping[str, object]) -> None:
        """Store the digests and the locations of what the sweep learns from."""
        ...

    def rename(self, new: str, *, forget_runs: bool = False) -> None:
        """Give the sweep another name, also in the places of its trials' files.

        The writer can only be released then. With `forget_runs` its MLflow runs are forgotten.

        Raises:
            SweepExistsError: The name is taken.
        """
        ...

    def delete_sweep(self) -> None:
        """Remove the sweep and all that is stored of it, at once; the writer is of no use then."""
        ...

    def renew(self) -> str:
        """Renew the lease while nothing is written; returns who asked to stop, or empty."""
        ...

    def release(self) -> None:
        """Release the lease of the sweep; does nothing when it is already lost."""
        ...


@dataclass(frozen=True, slots=True)
class Mark:
    """A note in the outbox: this sweep (`trial` is None) or attempt changed since it was mirrored.

    `revision` grows with every change, so that a change made while an older state is being
    mirrored is not forgotten.
    """

    sweep: str
    trial: int | None
    attempt: int | None
    revision: int


class Outbox(Protocol):
    """What the mirror still has to copy, oldest first; part of the store, hence durable."""

    def pending(self, sweep: str, *, limit: int = 100) -> list[Mark]:
        """Return the oldest marks."""
        ...

    def done(self, mark: Mark) -> None:
        """Forget a mark, unless its subject changed again since it was read."""
        ...

    def done_all(self, marks: Sequence[Mark]) -> None:
        """Forget marks as `done` does, all of one sweep, in one transaction."""
        ...

    def mark_all(self, sweep: str) -> int:
        """Mark the sweep and all its attempts for `paretune sync`; returns the number of marks."""
        ...

    def record_sweep_run(self, sweep: str, experiment_id: str, run_id: str) -> None:
        """Remember the MLflow experiment and parent run of a sweep."""
        ...

    def record_attempt_run(self, sweep: str, trial: int, attempt: int, run_id: str) -> None:
        """Remember the MLflow run of an attempt."""
        ...


class Store(Protocol):
    """The source of truth: sweeps, trials, attempts, reports, values, and the outbox.

    Reading needs no lease. Returned objects are values that do not change later. A store is
    pickled as its URL. Unknown names raise `UnknownNameError`.
    """

    @property
    def url(self) -> str:
        """The URL of the store, without a password."""
        ...

    @property
    def outbox(self) -> Outbox:
        """What the mirror still has to copy."""
        ...

    def close(self) -> None:
        """Close all connections; using the store again opens new ones."""
        ...

    def create_sweep(self, name: str, spec: Mapping[str, object], fingerprint: str) -> SweepRecord:
        """Store a sweep as RUNNING, or return the one of this name with the same fingerprint.

        Raises:
            SweepExistsError: The name is taken by a sweep with another fingerprint.
        """
        ...

    def sweeps(self) -> list[SweepRecord]:
        """Return all sweeps, oldest first."""
        ...

    def sweep(self, name: str) -> SweepRecord:
        """Return one sweep."""
        ...

    def trials(self, sweep: str, states: Collection[TrialState] = ()) -> list[Trial]:
        """Return trials in order of their numbers; only those in `states`, if any are given."""
        ...

    def trial(self, sweep: str, number: int) -> Trial:
        """Return one trial."""
        ...

    def numbered(self, sweep: str, numbers: Collection[int]) -> list[Trial]:
        """Return those trials of these numbers that exist, in order of their numbers."""
        ...

    def columns(
        self, sweep: str, values: Collection[str], params: Collection[str] = ()
    ) -> Columns:
        """Return the complete trials as columns: their values and parameters of these names.

        Meant for queries over very many trials: no trial is read as a whole.
        """
        ...

    def value_names(self, sweep: str) -> set[str]:
        """Return the names of all values that trials have."""
        ...

    def attempts(self, sweep: str, number: int) -> list[Attempt]:
        """Return the attempts of a trial, oldest first."""
        ...

    def count_states(self, sweep: str) -> Mapping[TrialState, int]:
        """Count the trials in each state that occurs, in the order of `TrialState`.

        Meant for many trials: none is read.
        """
        ...

    def standings(self, sweep: str) -> list[Standing]:
        """Return state and end of each trial, in order of their numbers; none is read as a whole.

        Meant to be asked again and again while a sweep runs.
        """
        ...

    def choices(self, sweep: str) -> list[Choice]:
        """Return what people decided about trials, in order of the trials' numbers."""
        ...

    def choose(
        self, sweep: str, trial: int, kind: ChoiceKind, *, note: str = "", who: str = ""
    ) -> Choice:
        """Store a decision about a trial, and mark the trial for the mirror; needs no lease.

        An earlier decision about the same trial is replaced.

        Raises:
            ValueError: The trial is not complete.
        """
        ...

    def withdraw(self, sweep: str, trial: int) -> bool:
        """Remove the decision about a trial; returns whether there was one. Needs no lease."""
        ...

    def count_all(self) -> Mapping[str, Mapping[TrialState, int]]:
        """Count the trials of every sweep, as `count_states` does, in one query."""
        ...

    def outlines(self, sweep: str, states: Collection[TrialState]) -> list[Outline]:
        """Return the outlines of the trials in these states, in order of their numbers."""
        ...

    def references(self, sweep: str) -> list[Trial]:
        """Return the trials that sized networks are compared with, in order of their numbers."""
        ...

    def artifacts(self, sweep: str) -> Mapping[int, Artifact]:
        """Return the packed networks of a sweep, by trial number; no trial is read as a whole."""
        ...

    def all_attempts(self, sweep: str) -> Mapping[int, Sequence[Attempt]]:
        """Return the attempts at all trials of a sweep, oldest first, by trial number."""
        ...

    def failures(self, sweep: str) -> Mapping[FailureKind, int]:
        """Count the attempts that met each kind of failure, whether or not their trials failed."""
        ...

    def reports(self, sweep: str, number: int) -> list[Report]:
        """Return the reports of a trial by epoch."""
        ...

    def reports_at(self, sweep: str, epoch: int) -> Mapping[int, Mapping[str, float]]:
        """Return the values reported at one epoch, by trial number."""
        ...

    def prior_points(self, sweep: str) -> list[PriorPoint]:
        """Return what the sampler learned from before the first trial, as it was added."""
        ...

    def ask_to_stop(self, sweep: str, who: str) -> Driver | None:
        """Ask the driver of a sweep to interrupt it; returns that driver, or None without one."""
        ...

    def take(self, sweep: str, holder: str, *, lease_s: float = 60.0) -> SweepWriter:
        """Take the lease of a sweep.

        Raises:
            LeaseHeldError: Another driver holds it; the message names it and since when.
        """
        ...
