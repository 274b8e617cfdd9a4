"""What the driver asks of an executor, and the plain values that travel to its workers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.contracts.scheduling import Decision
from orchestrator.trials import Artifact, Failure, Params, Report, TrialState
from trainers.config import TrialConfig
from trainers.networks.shapes import BackboneShapes


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at a trial, as a worker receives it: plain values only.

    Attributes:
        trial: Number of the trial.
        attempt: Number of the attempt.
        config: Everything that `trainers` needs.
        folder: Where the trial keeps its checkpoint and its artifact.
        milestones: Epochs after which the worker waits for a decision.
        seconds: How long it may train; None for as long as it takes.
        params: What of the config was proposed.
        keeps_milestones: Whether the epochs up to a milestone are kept on disk, for a trial that
            is stopped there may be taken up again.
        origin: The trial whose training it shares; None where it has its own.
    """

    trial: int
    attempt: int
    config: TrialConfig
    folder: str
    milestones: tuple[int, ...] = ()
    seconds: float | None = None
    params: Params = field(default_factory=dict)
    keeps_milestones: bool = False
    origin: int | None = None


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


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a worker found out before the first trial.

    Attributes:
        classes: Names of what the images show.
        backbones: Tensors of the backbones of `Task.sized`, by name.
        notes: What a person should know of how the images were read.
    """

    classes: tuple[str, ...] = ()
    backbones: Mapping[str, BackboneShapes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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
    def left(self) -> int:
        """How many jobs may at most still be started; those whose workers die come again."""
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

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds by which its time is measured; only differences count."""
        ...

    def prepare(self) -> Prepared | None:
        """Start workers, read the images once, and try the weights.

        Returns:
            What that showed; None where there are neither images nor networks.

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
