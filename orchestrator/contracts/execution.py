"""What the driver asks of an executor, and the plain values that travel to its workers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.contracts.sampling import KnownValues
from orchestrator.contracts.scheduling import Decision
from orchestrator.logs.lines import Line
from orchestrator.trials import Artifact, Failure, Params, Report, TrialState
from trainers.config import TrialConfig
from trainers.networks.shapes import BackboneShapes
from trainers.stages.use import CacheUse


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
        params: The part of the config that the sampler proposed.
        keeps_milestones: Whether the epochs up to a milestone are kept on disk, because a trial
            that is stopped there may be resumed.
        origin: The trial whose training it shares; None if it is trained on its own.
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

    `failure` is what went wrong, even if the attempt went on and is complete.
    """

    state: TrialState
    values: Mapping[str, float] = field(default_factory=dict)
    artifact: Artifact | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class FrontJob:
    """What is still to be measured on one network when the search is over: plain values.

    Attributes:
        path: Its artifact.
        test: Whether to repeat the trial's measures on the test images; names begin ``test_``.
        measures: Names of the front measures that are still missing.
        reference: Artifact of the reference of the same seed, if there is one.
        sha256: Checksum of the artifact; a file with another one is not measured. Empty: not
            checked.
        reference_sha256: The same for the reference.
    """

    path: str
    test: bool
    measures: tuple[str, ...] = ()
    reference: str | None = None
    sha256: str = field(default="", compare=False)
    reference_sha256: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A network that was not measured as asked, because it or its reference is lost.

    Attributes:
        reason: Why, as a sentence.
        values: What was measured nevertheless, because it needs no reference.
    """

    reason: str
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a worker found out before the first trial.

    Attributes:
        classes: Names of the image classes.
        backbones: Tensors of the backbones of `Task.sized`, by name.
        notes: What the user should know about how the images were read.
        content: Digests of the inputs: ``data`` for the images, ``labels`` for the labels that
            trials are measured on, ``weights`` for the pretrained weights.
        known: What is known of a configuration before it is trained, where that is not what the
            sizes of its network tell.
    """

    classes: tuple[str, ...] = ()
    backbones: Mapping[str, BackboneShapes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    content: Mapping[str, str] = field(default_factory=dict)
    known: KnownValues | None = None


@dataclass(frozen=True, slots=True)
class News:
    """What a worker tells besides results, since it last did.

    Attributes:
        lines: What was logged there.
        cache: How it used the stage cache.
    """

    lines: tuple[Line, ...] = ()
    cache: CacheUse = field(default_factory=CacheUse)

    def __bool__(self) -> bool:
        return bool(self.lines or self.cache)


@dataclass(frozen=True, slots=True)
class Load:
    """How much of an executor is in use.

    Attributes:
        busy: Workers that have jobs.
        slots: Workers that fit at once.
    """

    busy: int = 0
    slots: int = 0


class JobSource(Protocol):
    """What an executor runs: the sweep's loop as its executor sees it.

    All calls come from one thread.
    """

    def next_job(self) -> Job | None:
        """Return the next attempt to run, already stored; None when nothing is left to start."""
        ...

    def started(self, job: Job) -> None:
        """Take note that the job was given to a worker."""
        ...

    def reported(self, job: Job, reports: Sequence[Report]) -> Decision:
        """Record the epochs that the job finished, oldest first, and decide whether it goes on."""
        ...

    def placed(self, job: Job, worker: str) -> None:
        """Record which process on which node has the job."""
        ...

    def troubled(self, job: Job, trouble: Failure) -> None:
        """Record a failure that did not end the job; may be called again with the same one."""
        ...

    def told(self, news: News, worker: str) -> None:
        """Take note of what a worker tells besides results; nothing depends on it.

        Args:
            news: What it tells.
            worker: As in `placed`; empty if it is this process.
        """
        ...

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Record how the job ended; called exactly once for each started job."""
        ...

    @property
    def left(self) -> int:
        """Upper bound of the jobs still to be started; one whose worker dies is started again."""
        ...

    @property
    def must_stop(self) -> bool:
        """Whether running jobs are to be interrupted now (Ctrl-C, wall clock)."""
        ...


class Executor(Protocol):
    """Runs jobs on workers: in this process, or on a Ray cluster."""

    @property
    def name(self) -> str:
        """One word for the record: ``ray``, ``inline``."""
        ...

    @property
    def clock(self) -> Callable[[], float]:
        """The clock that its durations are measured with, in seconds; only differences count."""
        ...

    @property
    def load(self) -> Load:
        """How much of it is in use, as it last knew: any thread may look, for nothing is asked."""
        ...

    def prepare(self) -> Prepared | None:
        """Start workers, read the images once, and try the weights.

        Returns:
            What was found out; None if there are neither images nor networks.

        Raises:
            TrainerError: The images or the weights cannot be used by any trial.
            OrchestratorError: No worker is available.
        """
        ...

    def run(self, source: JobSource) -> None:
        """Run until `source` has no job left and every started one has ended."""
        ...

    def measure_front(
        self, jobs: Mapping[int, FrontJob], interrupted: Callable[[], bool]
    ) -> Iterator[tuple[int, Mapping[str, float] | Unmeasured]]:
        """Measure packed networks after the search; yields each as it is done, by trial number.

        A network that is lost is yielded as `Unmeasured`, and the others are still measured.
        Ends early once `interrupted` returns true.
        """
        ...

    def close(self) -> None:
        """Release the workers; does nothing when there are none.

        Called from another thread than the other methods where MLflow gets the last values.
        """
        ...
