"""How a run ended, as a value."""

from dataclasses import dataclass
from html import escape

from orchestrator.contracts import Store
from orchestrator.fronts.front import Front, compute_front
from orchestrator.fronts.notebook import front_html
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import SweepRecord, Trial, TrialState


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        sweep: The sweep, as stored.
        front: Its Pareto front.
        complete: Trials measured.
        stopped: Trials that the scheduler stopped early.
        failed: Trials that failed.
        interrupted: Whether a signal ended the run; `resume` goes on.
    """

    sweep: SweepRecord
    front: Front
    complete: int
    stopped: int
    failed: int
    interrupted: bool

    def _repr_html_(self) -> str:
        counts = f"{self.complete} complete, {self.stopped} stopped, {self.failed} failed"
        ended = "interrupted" if self.interrupted else self.sweep.state.value
        said = escape(f"Sweep {self.sweep.name}, {ended}: {counts}.")
        return f"<p>{said}</p>{front_html(self.front)}"


def result_of(
    record: SweepRecord, spec: SweepSpec, store: Store, *, interrupted: bool
) -> RunResult:
    """Read how a run ended from the store.

    Args:
        record: The sweep's record, as it is now.
        spec: The sweep.
        store: The store that holds it.
        interrupted: Whether a signal ended the run.
    """
    trials = store.trials(spec.name)
    return RunResult(
        record,
        compute_front(trials, spec.directed, spec.limits),
        complete=_count(trials, TrialState.COMPLETE),
        stopped=_count(trials, TrialState.STOPPED),
        failed=_count(trials, TrialState.FAILED),
        interrupted=interrupted,
    )


def _count(trials: list[Trial], state: TrialState) -> int:
    return sum(trial.state is state for trial in trials)
