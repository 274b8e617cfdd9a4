"""What a user's own code may be told of a sweep while it runs."""

from collections.abc import Sequence

from orchestrator.contracts.progress import Plan
from orchestrator.trials import Report, SweepRecord, Trial


class Callback:
    """Receive the events of a sweep; override what you need. Subclassing is optional.

    All methods are called in the driver's process and thread, after the event was stored; the
    sweep waits while one runs. One that raises is a warning in the log and on the
    terminal, never the end of a sweep. After an interruption `on_sweep_start` is called again,
    and trials that ended before are in `plan.past`: they are not told again.
    """

    def on_sweep_start(self, plan: Plan) -> None:
        """Hear that a run begins or goes on."""

    def on_trial_start(self, trial: Trial) -> None:
        """Hear that a worker began with a trial."""

    def on_trial_report(self, trial: int, report: Report) -> None:
        """Hear that a trial finished an epoch; `trial` is its number."""

    def on_trial_end(self, trial: Trial) -> None:
        """Hear that a trial is over: complete, stopped early, failed or interrupted."""

    def on_front_change(self, front: Sequence[Trial]) -> None:
        """Hear that a complete trial changed the Pareto front; `front` has its trials."""

    def on_sweep_end(self, sweep: SweepRecord) -> None:
        """Hear that the run is over, however it ended."""


EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))
"""The names of the methods that a callback may have."""
