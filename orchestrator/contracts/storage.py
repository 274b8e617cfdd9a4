"""The store as protocols: what every other part may ask of it, and what it promises.

`orchestrator.storage` has the implementation, `orchestrator.testing.store_contract` the promises
as tests.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.columns import Columns
from orchestrator.contracts.execution import Outcome
from orchestrator.trials import (
    Attempt,
    Driver,
    FailureKind,
    Params,
    PriorPoint,
    Report,
    SweepRecord,
    SweepState,
    Trial,
    TrialState,
)


class SweepWriter(Protocol):
    """The right to write to one sweep: a lease with a fencing token.

    Every method writes in one transaction that first checks the token, renews the lease and
    marks what changed for the mirror. `LeaseLostError` when another driver took the sweep over.
    Thread-safe.
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

    def add_reports(self, trial: int, attempt: int, reports: Sequence[Report]) -> None:
        """Store reports; one already stored for that trial and epoch is replaced.

        Raises:
            ValueError: A value is NaN or infinite, or the attempt does not run.
        """
        ...

    def finish_attempt(self, trial: int, attempt: int, outcome: Outcome) -> Trial:
        """End an attempt and its trial together. Values are stored of a COMPLETE trial only.

        Raises:
            ValueError: The attempt does not run (a final trial is final: a second call raises),
                or a value of a complete trial is NaN or infinite.
        """
        ...

    def add_values(self, trial: int, values: Mapping[str, float]) -> None:
        """Add values measured later (``test_accuracy``) to a complete trial.

        A name that was measured before is replaced.

        Raises:
            ValueError: The trial is not complete, or a value is NaN or infinite.
        """
        ...

    def add_prior_points(self, points: Sequence[PriorPoint]) -> None:
        """Store what the sampler learns from beside the trials; once, for it is never replaced.

        Raises:
            ValueError: The sweep has such points, or a number of theirs is NaN or infinite.
        """
        ...

    def interrupt_running(self) -> list[int]:
        """Mark every RUNNING trial and its attempt INTERRUPTED; numbers of those trials."""
        ...

    def resume_stopped(self, trial: int) -> Trial:
        """Take back that a trial was stopped: it is INTERRUPTED, and may be started again.

        Raises:
            ValueError: It is in another state.
        """
        ...

    def set_sweep_state(self, state: SweepState, reason: str = "") -> None:
        """Say where the sweep stands and why; any other state than RUNNING is an end."""
        ...

    def set_spec(self, spec: Mapping[str, object]) -> None:
        """Replace the stored spec (a larger budget) by one with the same identity."""
        ...

    def set_content(self, content: Mapping[str, object]) -> None:
        """Say what the sweep learns from: digests, and where it lies."""
        ...

    def renew(self) -> str:
        """Keep the lease while nothing is written; who asked the driver to stop, "" if nobody."""
        ...

    def release(self) -> None:
        """Give the sweep back; harmless when it is lost already."""
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
    """What the mirror has still to copy, oldest first; part of the store, so on disk."""

    def pending(self, sweep: str, *, limit: int = 100) -> list[Mark]:
        """The oldest marks."""
        ...

    def done(self, mark: Mark) -> None:
        """Forget a mark, unless its subject changed again since it was read."""
        ...

    def mark_all(self, sweep: str) -> int:
        """Mark the sweep and all its attempts, for `paretune sync`; how many."""
        ...

    def record_sweep_run(self, sweep: str, experiment_id: str, run_id: str) -> None:
        """Remember the MLflow experiment and parent run of a sweep."""
        ...

    def record_attempt_run(self, sweep: str, trial: int, attempt: int, run_id: str) -> None:
        """Remember the MLflow run of an attempt."""
        ...


class Store(Protocol):
    """The truth: sweeps, trials, attempts, reports, values, and the outbox.

    Reading needs no lease. What is returned is a value: it does not change later. A store
    pickles as its URL. Unknown names raise `UnknownNameError`.
    """

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        ...

    @property
    def outbox(self) -> Outbox:
        """What the mirror has still to copy."""
        ...

    def close(self) -> None:
        """Let go of what it holds open; using it again opens that again."""
        ...

    def create_sweep(self, name: str, spec: Mapping[str, object], fingerprint: str) -> SweepRecord:
        """Store a sweep as RUNNING, or return the one of this name with the same fingerprint.

        Raises:
            SweepExistsError: The name is taken by a sweep with another fingerprint.
        """
        ...

    def sweeps(self) -> list[SweepRecord]:
        """All sweeps, oldest first."""
        ...

    def sweep(self, name: str) -> SweepRecord:
        """One sweep."""
        ...

    def trials(self, sweep: str, states: Collection[TrialState] = ()) -> list[Trial]:
        """Trials in order of their numbers; only those in `states`, if any are given."""
        ...

    def trial(self, sweep: str, number: int) -> Trial:
        """One trial."""
        ...

    def numbered(self, sweep: str, numbers: Collection[int]) -> list[Trial]:
        """The trials of these numbers, as far as there are such, in order of their numbers."""
        ...

    def columns(
        self, sweep: str, values: Collection[str], params: Collection[str] = ()
    ) -> Columns:
        """The complete trials as columns: their values and parameters of these names.

        For questions to very many trials: no trial is read as a whole.
        """
        ...

    def value_names(self, sweep: str) -> set[str]:
        """Names of all values that trials have."""
        ...

    def attempts(self, sweep: str, number: int) -> list[Attempt]:
        """Attempts of a trial, oldest first."""
        ...

    def failures(self, sweep: str) -> Mapping[FailureKind, int]:
        """How many attempts met each kind of failure, whether or not their trials failed."""
        ...

    def reports(self, sweep: str, number: int) -> list[Report]:
        """Reports of a trial by epoch."""
        ...

    def reports_at(self, sweep: str, epoch: int) -> Mapping[int, Mapping[str, float]]:
        """Values reported at one epoch, by trial number."""
        ...

    def prior_points(self, sweep: str) -> list[PriorPoint]:
        """What the sampler learned from before the first trial, as it was added."""
        ...

    def ask_to_stop(self, sweep: str, who: str) -> Driver | None:
        """Ask whoever drives a sweep to interrupt it; the driver, None if there is none."""
        ...

    def take(self, sweep: str, holder: str, *, lease_s: float = 60.0) -> SweepWriter:
        """Take the lease of a sweep.

        Raises:
            LeaseHeldError: Another driver holds it; the sentence says who and since when.
        """
        ...
