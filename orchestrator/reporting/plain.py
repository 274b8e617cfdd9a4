"""A run as plain lines, for logs and pipes: one per finished trial, one per note."""

import time

from rich.console import Console

from orchestrator.contracts import Plan
from orchestrator.objectives import human_values
from orchestrator.quantities import duration, human_params
from orchestrator.reporting.run_view import Clock, RunView
from orchestrator.trials import Report, SweepRecord, Trial


class PlainProgress:
    """Prints lines that never move.

    Args:
        console: The output.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._view: RunView | None = None

    def begin(self, plan: Plan) -> None:
        """Print what the run is going to do."""
        self._view = RunView(plan, self._clock)
        past = f", {self._view.done} of them done before" if self._view.done else ""
        self._print(f"{plan.sweep.name}: {plan.trials} trials of {plan.epochs} epochs{past}")

    def note(self, text: str) -> None:
        """Print the note."""
        self._print(text)

    def trial_started(self, trial: Trial) -> None:
        """Remember the start time; prints nothing."""
        if self._view is not None:
            self._view.started(trial)

    def trial_reported(self, trial: int, report: Report) -> None:
        """Remember the epoch; prints nothing."""
        if self._view is not None:
            self._view.reported(trial, report)

    def trial_ended(self, trial: Trial) -> None:
        """Print the trial's verdict, values and configuration."""
        if self._view is None:
            return
        seconds = self._view.ended(trial)
        after = "" if seconds is None else f" after {duration(seconds)}"
        found = human_values(self._view.plan.objectives, trial.values) if trial.values else ""
        if trial.failure is not None:
            found = f"{trial.failure.kind.value}: {trial.failure.message}"
        left = self._view.left_s()
        self._print(
            f"[{self._view.done}/{self._view.plan.trials}] trial {trial.number} "
            f"{trial.state.value}{after}"
            + (f": {found}" if found else "")
            + f" ({human_params(trial.params)})"
            + (f", about {duration(left)} left" if left else "")
        )

    def end(self, sweep: SweepRecord) -> None:
        """Print how the run ended; printing its total duration is up to the caller."""
        reason = f": {sweep.stop_reason}" if sweep.stop_reason else ""
        self._print(f"{sweep.name}: {sweep.state.value}{reason}")

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)
