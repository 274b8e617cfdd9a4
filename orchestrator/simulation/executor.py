"""Trials replayed on a virtual clock: an executor without workers."""

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.contracts import (
    FrontJob,
    Job,
    JobSource,
    KnownValues,
    Load,
    Outcome,
    Prepared,
    Unmeasured,
)
from orchestrator.simulation.replay import Replay
from orchestrator.simulation.table import Lookup
from orchestrator.trials import TrialState
from trainers.stages.keys import training_key


@dataclass(slots=True)
class VirtualClock:
    """Seconds that pass when an event is reached, and not otherwise.

    Attributes:
        now: Seconds since the start.
    """

    now: float = 0.0

    def __call__(self) -> float:
        """The present moment."""
        return self.now

    def advance(self, moment: float) -> None:
        """Advance the clock to the next event.

        Raises:
            ValueError: `moment` is in the past.
        """
        if moment < self.now:
            raise ValueError(f"The clock stands at {self.now} s and cannot go back to {moment} s.")
        self.now = moment


class SimulatedExecutor:
    """Runs jobs as they were recorded, on as many slots, one event after the other.

    A trial takes the time of its recording: its start, its epochs, what is measured at a
    milestone, and in the end its evaluation. A stopped trial frees its slot at that moment. Two
    runs of the same sweep give the same trials at the same moments.

    An interrupted trial keeps its finished epochs; a driver that is killed loses those of the
    trials that run.

    Args:
        lookup: The recording of a configuration with a seed: `Table.recording`, or a function.
        slots: How many trials run at once.
        share_training: Whether a trial that differs from a complete one in nothing that its
            training reads takes the seconds of its evaluation alone, as with a stage cache.
        known: What is known of a configuration before it is trained; None for what the sizes of
            its network tell.

    Attributes:
        clock: The time of the simulation.
    """

    name = "simulated"

    def __init__(
        self,
        lookup: Lookup,
        *,
        slots: int,
        share_training: bool = False,
        known: KnownValues | None = None,
    ) -> None:
        self._lookup, self._slots, self._share_training = lookup, slots, share_training
        self._known = known
        self._trained: set[str] = set()
        self.clock = VirtualClock()
        self._running = 0

    @property
    def load(self) -> Load:
        """Simulated slots."""
        return Load(self._running, self._slots)

    def prepare(self) -> Prepared | None:
        """Return what is known of configurations: there are no workers."""
        return None if self._known is None else Prepared(known=self._known)

    def run(self, source: JobSource) -> None:
        """Run until no job is left, or the source asks to stop."""
        # Of two events at the same moment that of the job which started first comes first.
        running: list[tuple[float, int, Replay]] = []
        numbers = itertools.count()
        while True:
            while len(running) < self._slots and (job := source.next_job()) is not None:
                source.started(job)
                replay = self._replay(job)
                heapq.heappush(running, (replay.due, next(numbers), replay))
            self._running = len(running)
            if not running:
                return
            moment, number, replay = heapq.heappop(running)
            self.clock.advance(moment)
            if (outcome := replay.step(source)) is None:
                heapq.heappush(running, (replay.due, number, replay))
            else:
                self._end(source, replay, outcome)
            if source.must_stop:
                for _, _, replay in sorted(running, key=lambda event: event[1]):
                    self._end(source, replay, replay.interrupt(source))
                running.clear()

    def measure_front(
        self, jobs: Mapping[int, FrontJob], interrupted: Callable[[], bool]
    ) -> Iterator[tuple[int, Mapping[str, float] | Unmeasured]]:
        """Yield nothing: simulated trials leave no networks."""
        return iter(())

    def close(self) -> None:
        """Do nothing: there are no workers to release."""

    def _replay(self, job: Job) -> Replay:
        recording = self._lookup(job.params, job.config.seed)
        shared = self._share_training and _training(job) in self._trained
        return Replay(job, recording, began=self.clock.now, is_trained=shared)

    def _end(self, source: JobSource, replay: Replay, outcome: Outcome) -> None:
        if self._share_training and outcome.state is TrialState.COMPLETE:
            self._trained.add(_training(replay.job))
        source.ended(replay.job, outcome)


def _training(job: Job) -> str:
    return training_key(job.config)
