"""The state of a run in progress: counts, best values, the front, the time left."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.constraints import Constraint
from orchestrator.contracts import Plan
from orchestrator.fronts.front import Front, compute_front
from orchestrator.objectives import Objective, missing_values
from orchestrator.trials import Report, SweepRecord, Trial, TrialState

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class RunningTrial:
    """A trial that a worker has taken, and its latest report."""

    trial: Trial
    epoch: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    began: float = 0.0


class RunView:
    """Follows the events of one run.

    Args:
        plan: What the run sets out to do.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, plan: Plan, clock: Clock = time.monotonic) -> None:
        self.plan = plan
        self.running: dict[int, RunningTrial] = {}
        self._clock = clock
        self._began = clock()
        self._counts: Counter[TrialState] = Counter()
        # Stopped trials may be resumed.
        self._stopped: set[int] = set()
        self._best: dict[Objective, Trial] = {}
        # Candidates for the front: its members when last computed, and trials that ended since.
        self._contenders: dict[int, Trial] = {}
        self._ended_now = 0
        self._first_start: float | None = None
        self._front: Front | None = None
        self._constraints = _constraints(plan.sweep)
        for trial in plan.past:
            if trial.state.is_final:
                self._count(trial)

    def started(self, trial: Trial) -> None:
        """Record that a worker took the trial."""
        now = self._clock()
        if self._first_start is None:
            self._first_start = now
        self.running[trial.number] = RunningTrial(trial, began=now)
        if trial.number in self._stopped:
            self._stopped.remove(trial.number)
            self._counts[TrialState.STOPPED] -= 1

    def reported(self, number: int, report: Report) -> None:
        """Record that the trial finished an epoch."""
        if number in self.running:
            known = self.running[number]
            self.running[number] = RunningTrial(
                known.trial, report.epoch, report.values, known.began
            )

    def ended(self, trial: Trial) -> float | None:
        """Record that the trial ended; return its duration in seconds, if its start was seen."""
        known = self.running.pop(trial.number, None)
        if trial.state.is_final:
            self._count(trial)
            self._ended_now += 1
        return None if known is None else self._clock() - known.began

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._began

    @property
    def done(self) -> int:
        """Trials that are over."""
        return self._counts.total()

    def count(self, state: TrialState) -> int:
        """Count the final trials in one state."""
        return self._counts[state]

    @property
    def front(self) -> Front:
        """The front of the trials seen so far; dominated trials are forgotten."""
        if self._front is None:
            seen = self._contenders
            self._front = compute_front(seen.values(), self.plan.objectives, self._constraints)
            self._contenders = {each.trial: seen[each.trial] for each in self._front}
        return self._front

    def best(self) -> list[tuple[Objective, Trial]]:
        """Return for each objective that was measured the trial that is best in it."""
        return [(each, self._best[each]) for each in self.plan.objectives if each in self._best]

    def _count(self, trial: Trial) -> None:
        """Count a final trial, at a cost independent of the number of earlier ones."""
        self._counts[trial.state] += 1
        if trial.state is TrialState.STOPPED:
            self._stopped.add(trial.number)
        if trial.state is not TrialState.COMPLETE:
            return
        self._contenders[trial.number], self._front = trial, None
        for objective in self.plan.objectives:
            if missing_values([objective], trial.values):
                continue
            loss, best = objective.loss(trial.values[objective.name]), self._best.get(objective)
            if best is None or loss < objective.loss(best.values[objective.name]):
                self._best[objective] = trial

    def left_s(self) -> float | None:
        """Estimate the seconds that remain from the trials finished in this run.

        None before the first one has finished. All workers' progress is counted, so that the
        number of workers need not be known. A budget of seconds caps the estimate.
        """
        if not self._ended_now or self._first_start is None:
            return None
        partly = sum(_fraction(each.epoch, self.plan.epochs) for each in self.running.values())
        pace = (self._ended_now + partly) / max(self._clock() - self._first_start, 1e-9)
        left = max(self.plan.trials - self.done - partly, 0.0) / pace
        if self.plan.seconds is not None:
            left = min(left, max(self.plan.seconds - self.elapsed_s, 0.0))
        return left


def _fraction(epoch: int, epochs: int) -> float:
    return min(epoch / epochs, 1.0) if epochs > 0 else 0.0


def _constraints(sweep: SweepRecord) -> Sequence[Constraint]:
    given = sweep.spec.get("constraints")
    return (
        [Constraint.parse(str(text)) for text in given] if isinstance(given, list | tuple) else []
    )
