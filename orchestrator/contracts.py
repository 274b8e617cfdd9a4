"""The moving parts of the orchestrator as protocols. Read this file first.

A sweep is a loop (`orchestrator.sweep`): ask the *sampler* for parameters, store the trial,
hand it to the *executor*; store each report and ask the *scheduler* whether to go on; store what
was measured; and let the *mirror* copy all of it to MLflow. Everything that must survive a crash
goes through the *store*; every other part can be rebuilt from it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from orchestrator.trials import (
    Artifact,
    Attempt,
    Driver,
    Failure,
    FailureKind,
    Params,
    Report,
    SweepRecord,
    SweepState,
    Trial,
    TrialState,
)


class Decision(StrEnum):
    """A scheduler's verdict on a running trial."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Parameters proposed by a sampler, with what it must find again after a restart."""

    params: Params
    sampler_attrs: Mapping[str, object] = field(default_factory=dict)


class Sampler(Protocol):
    """Proposes configurations. It remembers nothing that the store does not.

    A sampler is built from a space, objectives, constraints and a seed; `observe` is then called
    once for every trial already in the store, in order of their numbers, and again each time a
    trial becomes final. A configuration is never proposed twice. Of the reference, which is no
    configuration of the space, a sampler is not told.
    """

    def suggest(self) -> Suggestion | None:
        """Propose a configuration that was not seen before, or None: the space is exhausted."""
        ...

    def observe(self, trial: Trial) -> None:
        """Learn of a trial: unfinished (a configuration in flight) or final.

        Being told of the same trial again replaces what was known of it.
        """
        ...


class Scheduler(Protocol):
    """Decides, from recorded reports alone, whether a trial goes on; it holds no state."""

    @property
    def milestones(self) -> tuple[int, ...]:
        """Epochs at which `decide` is asked, ascending; empty if never."""
        ...

    def decide(self, trial: int, epoch: int, peers: Mapping[int, Mapping[str, float]]) -> Decision:
        """Judge one trial at one milestone.

        Args:
            trial: Number of the trial that has just reported.
            epoch: The milestone.
            peers: Values reported at this epoch by trial number, `trial` included.
        """
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at a trial, as a worker receives it: plain values only.

    Attributes:
        trial: Number of the trial.
        attempt: Number of the attempt.
        config: Everything `trainers` needs, as a JSON-able mapping.
        folder: Where the trial keeps its checkpoint and its artifact.
        milestones: Epochs after which the worker waits for a decision.
        seconds: How long it may train; None for as long as it takes.
    """

    trial: int
    attempt: int
    config: Mapping[str, object]
    folder: str
    milestones: tuple[int, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: complete with values, stopped, interrupted, or failed.

    `failure` says what went wrong with it, also where it went on and is complete.
    """

    state: TrialState
    values: Mapping[str, float] = field(default_factory=dict)
    artifact: Artifact | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class FrontJob:
    """What is still to be measured of one network when the search is over: plain values.

    Attributes:
        path: Its artifact.
        test: Whether on the test images what its trial was measured by; names begin ``test_``.
        measures: Names of the front measures that it lacks.
        reference: Artifact of the reference of the same seed, if there is one.
    """

    path: str
    test: bool
    measures: tuple[str, ...] = ()
    reference: str | None = None


class JobSource(Protocol):
    """What an executor runs: the sweep's loop as its executor sees it.

    All calls come from one thread.
    """

    def next_job(self) -> Job | None:
        """The next attempt to run, already stored; None when there is nothing left to start."""
        ...

    def started(self, job: Job) -> None:
        """The job was given to a worker."""
        ...

    def reported(self, job: Job, reports: Sequence[Report]) -> Decision:
        """The job finished some epochs, oldest first; says whether it goes on."""
        ...

    def troubled(self, job: Job, trouble: Failure) -> None:
        """Something went wrong with the job that did not end it; may be said again."""
        ...

    def ended(self, job: Job, outcome: Outcome) -> None:
        """The job is over; called once."""
        ...

    @property
    def must_stop(self) -> bool:
        """Whether running jobs are to be interrupted now (Ctrl-C, wall clock)."""
        ...


class Executor(Protocol):
    """Runs jobs on workers: in this process, or on a Ray cluster."""

    @property
    def name(self) -> str:
        """In a word, for the record: ``ray``, ``inline``."""
        ...

    def prepare(self) -> None:
        """Start workers, read the images once, and try the weights.

        Raises:
            TrainerError: The images or the weights cannot be used by any trial.
            OrchestratorError: No worker can be had.
        """
        ...

    def run(self, source: JobSource) -> None:
        """Run until `source` has no job left and every started one has ended."""
        ...

    def measure_front(
        self, jobs: Mapping[int, FrontJob], interrupted: Callable[[], bool]
    ) -> Iterator[tuple[int, Mapping[str, float]]]:
        """Measure packed networks after the search, by trial number; each as it is done.

        Ends early once `interrupted` says so.
        """
        ...

    def close(self) -> None:
        """Let the workers go; harmless when there are none."""
        ...


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

    def interrupt_running(self) -> list[int]:
        """Mark every RUNNING trial and its attempt INTERRUPTED; numbers of those trials."""
        ...

    def set_sweep_state(self, state: SweepState, reason: str = "") -> None:
        """Say where the sweep stands and why; any other state than RUNNING is an end."""
        ...

    def set_spec(self, spec: Mapping[str, object]) -> None:
        """Replace the stored spec (a larger budget) by one with the same fingerprint."""
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

    def ask_to_stop(self, sweep: str, who: str) -> Driver | None:
        """Ask whoever drives a sweep to interrupt it; the driver, None if there is none."""
        ...

    def take(self, sweep: str, holder: str, *, lease_s: float = 60.0) -> SweepWriter:
        """Take the lease of a sweep.

        Raises:
            LeaseHeldError: Another driver holds it; the sentence says who and since when.
        """
        ...
