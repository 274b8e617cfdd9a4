"""The moving parts of the orchestrator as protocols. Read this file first.

A sweep is a loop (`orchestrator.sweep`): ask the *sampler* for parameters, store the trial,
hand it to the *executor*; store each report and ask the *scheduler* whether to go on; store what
was measured; and let the *mirror* copy all of it to MLflow. Everything that must survive a crash
goes through the *store* (`orchestrator.stores`); every other part can be rebuilt from it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from orchestrator.trials import (
    Artifact,
    Failure,
    Params,
    PriorPoint,
    Report,
    Trial,
    TrialState,
)
from trainers.tensor_shapes import BackboneShapes


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

    def learn(self, points: Sequence[PriorPoint]) -> None:
        """Learn from what was measured before the sweep; called at most once, before all else.

        The points are no trials: their configurations may still be proposed, once each. Who does
        not learn from values ignores them.
        """
        ...

    def suggest(self) -> Suggestion | None:
        """Propose a configuration that was not seen before, or None: the space is exhausted.

        One that is known to break a constraint before it is trained is never proposed; it counts
        as seen.
        """
        ...

    @property
    def refused(self) -> int:
        """How many configurations this sampler left out because of that."""
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

    def best_first(self, peers: Mapping[int, Mapping[str, float]]) -> Sequence[int]:
        """Order trials of one milestone: whom this scheduler would let go on first.

        Args:
            peers: As `decide` takes them.
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
        params: What of the config was proposed.
        keeps_milestones: Whether the epochs up to a milestone are kept on disk, for a trial that
            is stopped there may be taken up again.
        origin: The trial whose training it shares; None where it has its own.
    """

    trial: int
    attempt: int
    config: Mapping[str, object]
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
    """

    classes: tuple[str, ...] = ()
    backbones: Mapping[str, BackboneShapes] = field(default_factory=dict)


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
