"""A sweep on the terminal while it runs: trials, best values, the front, the time left."""

import threading
import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.contracts import Plan
from orchestrator.objectives import Objective
from orchestrator.quantities import duration, human, human_params, label
from orchestrator.reporting.run_view import Clock, RunningTrial, RunView
from orchestrator.reporting.tables import front_table
from orchestrator.trials import Report, SweepRecord, Trial, TrialState

_REDRAWS_PER_S = 4
_FRONT_ROWS = 8
_RUNNING_ROWS = 8
_BAR = 20  # columns of a trial's bar
_GAP = 2  # columns between two cells
_LEAST_PARAMS = 6  # least useful number of columns for parameters
WIDE = 76  # columns from which bars and parameters fit beside numbers


class LiveProgress:
    """Redraws a picture of the run in place, and restores the terminal at the end.

    Args:
        console: A terminal.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._view: RunView | None = None
        # Events come from the driver's thread, while rich draws in its own.
        self._lock = threading.Lock()
        self._live = Live(
            console=console,
            get_renderable=self._picture,
            refresh_per_second=_REDRAWS_PER_S,
            transient=True,
        )

    def begin(self, plan: Plan) -> None:
        """Start to draw."""
        with self._lock:
            self._view = RunView(plan, self._clock)
        self._live.start(refresh=True)

    def note(self, text: str) -> None:
        """Print the note above the picture, where it stays."""
        self._console.print(Text(text, style="dim"))

    def trial_started(self, trial: Trial) -> None:
        """Show the trial among the running ones."""
        with self._lock:
            if self._view is not None:
                self._view.started(trial)

    def trial_reported(self, trial: int, report: Report) -> None:
        """Move the trial's bar."""
        with self._lock:
            if self._view is not None:
                self._view.reported(trial, report)

    def trial_ended(self, trial: Trial) -> None:
        """Count the trial; a failure is also printed above the picture, where it stays."""
        with self._lock:
            if self._view is not None:
                self._view.ended(trial)
        if trial.failure is not None:
            reason = f"trial {trial.number} failed, {trial.failure.kind.value}: "
            self._console.print(Text(reason + trial.failure.message, style="red"))

    def end(self, sweep: SweepRecord) -> None:
        """Remove the picture; printing the result is up to the caller."""
        self._live.stop()

    def _picture(self) -> RenderableType:
        with self._lock:
            if self._view is None:
                return Text()
            return picture(self._view, width=self._console.width)


def picture(view: RunView, *, width: int) -> RenderableType:
    """Draw the current state of a run, for a terminal of `width` columns."""
    parts: list[RenderableType] = [_header(view), _bar(view, width)]
    if view.running:
        parts.append(_running(view, width))
    if best := view.best():
        parts.append(Text.assemble(("best   ", "bold"), *_best(best)))
    if len(view.front):
        heading = f"front  {len(view.front)} of {view.count(TrialState.COMPLETE)} complete trials"
        heading += ", → the knee" if len(view.front) > 2 else ""
        if not view.front.feasible:
            heading = "front  no trial meets the constraints yet; the nearest:"
        parts += [
            Padding(Text(heading, style="bold"), (1, 0, 0, 0), expand=False),
            _front(view, width),
        ]
        if (more := len(view.front) - _FRONT_ROWS) > 0:
            parts.append(Text(f"and {more} more", style="dim"))
    return Padding(Group(*parts), (1, 0, 0, 0), expand=False)


def _header(view: RunView) -> Text:
    left = view.left_s()
    remaining = f"  ·  about {duration(left)} left" if left else ""
    return Text.assemble(
        (view.plan.sweep.name, "bold cyan"),
        f"  ·  {duration(view.elapsed_s)}{remaining}",
        no_wrap=True,
        overflow="ellipsis",
    )


def _bar(view: RunView, width: int) -> RenderableType:
    counts = Text(f"{view.done}/{view.plan.trials} done")
    for number, word, style in (
        (len(view.running), "running", "cyan"),
        (view.count(TrialState.STOPPED), "stopped", "yellow"),
        (view.count(TrialState.FAILED), "failed", "red"),
    ):
        if number:
            counts.append("  ").append(f"{number} {word}", style=style)
    if width < WIDE:
        return counts
    row = Table.grid(padding=(0, 2))
    row.add_row(ProgressBar(max(view.plan.trials, 1), view.done, width=32), counts)
    return row


def _running(view: RunView, width: int) -> RenderableType:
    """Draw one line per trial; what does not fit is cut here, the least important first.

    If columns are too wide together, rich would shrink all, even below their minimum width.
    """
    shown = list(view.running.values())[:_RUNNING_ROWS]
    epochs = max(view.plan.epochs, 1)
    numbers = [f"trial {each.trial.number}" for each in shown]
    stages = [_stage(each.epoch, epochs) for each in shown]
    latest = [_latest(view, each) for each in shown]
    # As wide as they will ever be, so that the columns do not move.
    number_width = max(len("trial 000"), *map(len, numbers))
    stage_width = max(len("measuring"), len(_stage(epochs - 1, epochs)))
    left = width - number_width - _GAP - stage_width
    value_width = max(min(max(map(len, latest)), left - _GAP), 0)
    left -= value_width + _GAP
    has_bar = width >= WIDE and left >= _BAR + _GAP
    room = left - (_BAR + _GAP) * has_bar - _GAP
    table = Table.grid(padding=(0, _GAP))
    for each, number, stage, value in zip(shown, numbers, stages, latest, strict=True):
        cells: list[RenderableType] = [Text(number.ljust(number_width), style="cyan")]
        cells += [ProgressBar(epochs, each.epoch, width=_BAR)] if has_bar else []
        cells.append(stage.ljust(stage_width))
        cells += [_cut(value.ljust(value_width), value_width)] if value_width else []
        if has_bar and room >= _LEAST_PARAMS:
            cells.append(_cut(human_params(each.trial.params), room, style="dim"))
        table.add_row(*cells)
    for column in table.columns:
        column.no_wrap = True
    return Padding(table, (1, 0), expand=False)


def _cut(text: str, width: int, *, style: str = "") -> Text:
    cut = Text(text, style=style)
    cut.truncate(width, overflow="ellipsis")
    return cut


def _stage(epoch: int, epochs: int) -> str:
    """Name the stage of a trial: loading before its first epoch, measured after its last."""
    if epoch == 0:
        return "starting"
    return "measuring" if epoch >= epochs else f"epoch {epoch}/{epochs}"


def _latest(view: RunView, each: RunningTrial) -> str:
    """Return the first objective that the trial has reported, else its loss."""
    names = [objective.name for objective in view.plan.objectives]
    for name in [*names, "val_accuracy", "loss", "train_loss"]:
        if name in each.values:
            return f"{label(name)} {human(name, each.values[name])}"
    return ""


def _best(best: Sequence[tuple[Objective, Trial]]) -> list[str | tuple[str, str]]:
    parts: list[str | tuple[str, str]] = []
    for objective, trial in best:
        if parts:
            parts.append("   ")
        parts.append(f"{label(objective.name)} ")
        parts.append((human(objective.name, trial.values[objective.name]), "bold green"))
        parts.append((f" (trial {trial.number})", "dim"))
    return parts


def _front(view: RunView, width: int) -> Table:
    knee = view.front.knee() if len(view.front) > 2 else None
    wide = width >= WIDE
    return front_table(view.front, knee=knee, limit=_FRONT_ROWS, with_params=wide)
