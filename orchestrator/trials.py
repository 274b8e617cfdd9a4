"""What the store remembers of a sweep, as values: frozen, comparable, without behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

Value = bool | int | float | str
Params = Mapping[str, Value]

REFERENCE_ATTRS: Mapping[str, object] = {"reference": True}
"""Marks, in `Trial.sampler_attrs`, a trial that no sampler proposed."""


class TrialState(StrEnum):
    """State of a trial. ``COMPLETE``, ``STOPPED`` and ``FAILED`` are final."""

    WAITING = "waiting"  # stored, not started
    RUNNING = "running"
    INTERRUPTED = "interrupted"  # its attempt ended without a verdict; the next run takes it up
    COMPLETE = "complete"
    STOPPED = "stopped"  # by the scheduler, before its last epoch
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether the trial is over; among final trials, only a stopped one may be resumed."""
        return self in (TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED)


class SweepState(StrEnum):
    """State of a sweep."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    COMPLETE = "complete"
    FAILED = "failed"


class FailureKind(StrEnum):
    """What went wrong with an attempt; docs/reliability.md describes how each is detected."""

    ERROR = "error"  # the trial's code raised
    DIVERGED = "diverged"  # the loss became NaN or infinite
    OUT_OF_MEMORY = "out_of_memory"
    TIME_LIMIT = "time_limit"  # trained longer than budget.trial_seconds
    BAD_VALUES = "bad_values"  # a measured value is missing or not finite
    WORKER_LOST = "worker_lost"  # its process died
    NODE_LOST = "node_lost"  # the machine under it died
    PREEMPTED = "preempted"  # the machine under it was taken back
    INTERRUPTED = "interrupted"  # by a person, by the end of the budget, or by the driver's death
    STORAGE_FULL = "storage_full"
    BAD_CHECKPOINT = "bad_checkpoint"  # it was damaged; the attempt trained anew, and went on
    FILES_LOST = "files_lost"  # its files did not reach the driver as the worker sent them
    BAD_CACHE = "bad_cache"  # a shared stage could not be used; the attempt computed it

    @property
    def is_infrastructure(self) -> bool:
        """Whether a retry may well succeed, because the trial did not cause the failure."""
        return self in (
            FailureKind.WORKER_LOST,
            FailureKind.NODE_LOST,
            FailureKind.PREEMPTED,
            FailureKind.FILES_LOST,
        )

    @property
    def is_infeasible(self) -> bool:
        """Whether the configuration is to blame, so that a sampler should learn from it."""
        return self in (
            FailureKind.OUT_OF_MEMORY,
            FailureKind.DIVERGED,
            FailureKind.TIME_LIMIT,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with an attempt: the kind, one sentence, and a traceback if there is one.

    An attempt that has one need not have failed: a damaged checkpoint costs time alone.
    """

    kind: FailureKind
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Artifact:
    """The packed network of a trial.

    Attributes:
        path: Its location: a path or a URL.
        bytes: Its size; equals ``values["memory_bytes"]``.
        sha256: Hex digest of its content.
    """

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Report:
    """What an attempt measured at the end of one epoch (1 is the first)."""

    epoch: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at running a trial; numbers start at 0."""

    number: int
    state: TrialState
    worker: str
    started: datetime
    ended: datetime | None = None
    failure: Failure | None = None
    mlflow_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration of a sweep with one seed, and what was measured for it.

    Attributes:
        sweep: Name of the sweep.
        number: Position in the sweep, from 0.
        params: Active parameters only.
        seed: Seed of everything random in the trial.
        replicate: 0 for a configuration's first trial, 1 for its second seed, and so on.
        state: Its current state.
        values: What was measured; empty until the trial is complete.
        failure: Why it failed, if it did.
        artifact: The packed network of a complete trial.
        attempts: How many attempts were started.
        mlflow_run_id: MLflow run of the latest attempt, once it is mirrored.
        sampler_attrs: What the sampler must find again after a restart; JSON values.
        created: When it was stored; UTC.
        ended: When it became final, for the last time; UTC.
    """

    sweep: str
    number: int
    params: Params
    seed: int
    state: TrialState
    replicate: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    failure: Failure | None = None
    artifact: Artifact | None = None
    attempts: int = 0
    mlflow_run_id: str | None = None
    sampler_attrs: Mapping[str, object] = field(default_factory=dict)
    created: datetime | None = None
    ended: datetime | None = None

    @property
    def is_reference(self) -> bool:
        """Whether this is the full-size network that sized ones are compared with."""
        return self.sampler_attrs.get("reference") is True

    @property
    def origin(self) -> int | None:
        """The trial whose training this one shares, if it was proposed for that reason."""
        origin = self.sampler_attrs.get("origin")
        return origin if isinstance(origin, int) else None


class ChoiceKind(StrEnum):
    """How far the choice of a trial has come."""

    CANDIDATE = "candidate"  # to be compared with others
    PICKED = "picked"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person decided about a complete trial, and why.

    Attributes:
        trial: Its number.
        kind: Whether it is a candidate, or was picked.
        note: The reason, in the person's words; may be empty.
        who: Name of the user who decided; may be empty.
        made: When; UTC.
    """

    trial: int
    kind: ChoiceKind
    note: str
    who: str
    made: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What changes of a trial while a sweep runs, without its parameters and values.

    Attributes:
        number: Number of the trial.
        state: Its current state.
        ended: When it became final; UTC.
    """

    number: int
    state: TrialState
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class Outline:
    """What is read of a trial where very many are asked about: no values, nothing of attempts."""

    number: int
    state: TrialState
    params: Params


@dataclass(frozen=True, slots=True)
class PriorPoint:
    """A configuration of a sweep's space that was measured before the sweep: what it learns from.

    Never a trial of the sweep: it counts towards no budget and is never part of a front.

    Attributes:
        params: Active parameters, each a value of the sweep's space.
        values: What was measured: the objectives and what the constraints limit.
        source: Where it was measured, in words.
    """

    params: Params
    values: Mapping[str, float]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver of a sweep, as far as the store knows.

    Attributes:
        holder: Machine, process and its start; see `orchestrator.storage.lease_holders`.
        since: When it took the sweep; UTC.
        heard: When it last gave a sign of life; UTC.
        expires: When another driver may take its place; UTC.
    """

    holder: str
    since: datetime
    heard: datetime
    expires: datetime


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """A sweep as the store holds it.

    Attributes:
        name: Unique in the store.
        spec: The sweep file as a plain mapping, with defaults filled in.
        fingerprint: Digest of the part of `spec` that decides what its trials mean.
        state: Its current state.
        created: When it was first stored; UTC.
        ended: When it last ended; UTC.
        stop_reason: Why it ended, in words.
        mlflow_run_id: The parent run, once it is mirrored.
        mlflow_experiment_id: Its experiment.
        content: What it learns from: digests by ``data`` and ``weights``, and, under
            ``places``, their paths relative to the state folder; empty until they are read.
        driver: The driver that runs it, or was killed while it did; None once it was released.
        revision: Grows with each write to the sweep. Two records that differ only in their driver
            and revision are equal.
    """

    name: str
    spec: Mapping[str, object]
    fingerprint: str
    state: SweepState
    created: datetime
    ended: datetime | None = None
    stop_reason: str = ""
    mlflow_run_id: str | None = None
    mlflow_experiment_id: str | None = None
    driver: Driver | None = field(default=None, compare=False)
    content: Mapping[str, object] = field(default_factory=dict)
    revision: int = field(default=0, compare=False)
