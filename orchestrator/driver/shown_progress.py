"""What `run(progress="auto")` shows: a live table in a notebook, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable
from html import escape
from typing import TextIO

from orchestrator.contracts import Plan, Progress
from orchestrator.objectives import arrow, human_values
from orchestrator.quantities import human, human_params
from orchestrator.trials import Report, SweepRecord, Trial, TrialState

_LEAST_S = 0.5
"""Between two drawings of a table."""
_SHOWN = 10

Show = Callable[[str], None]


def shown_progress() -> Progress:
    """Choose how progress is shown: in a Jupyter kernel as a table, else as lines on stderr."""
    show = _notebook()
    return TableProgress(show) if show else LineProgress(sys.stderr)


class LineProgress:
    """Writes a line for each trial that ended, and for each note.

    Args:
        out: Where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._plan: Plan | None = None
        self._done = 0

    def begin(self, plan: Plan) -> None:
        """Write what the run is going to do."""
        self._plan = plan
        self._say(f"{plan.sweep.name}: {plan.trials} trials of {plan.epochs} epochs")

    def note(self, text: str) -> None:
        """Write a note."""
        self._say(text)

    def trial_started(self, trial: Trial) -> None:
        """Do nothing."""

    def trial_reported(self, trial: int, report: Report) -> None:
        """Do nothing."""

    def trial_ended(self, trial: Trial) -> None:
        """Write what became of a trial."""
        self._done += 1
        goals = self._plan.objectives if self._plan else ()
        found = human_values(goals, trial.values) if trial.values else ""
        if trial.failure is not None:
            found = f"{trial.failure.kind.value}: {trial.failure.message}"
        said = f"[{self._done}] trial {trial.number} {trial.state.value}"
        self._say(f"{said}{': ' * bool(found)}{found} ({human_params(trial.params)})")

    def end(self, sweep: SweepRecord) -> None:
        """Write how the run ended."""
        reason = f": {sweep.stop_reason}" if sweep.stop_reason else ""
        self._say(f"{sweep.name}: {sweep.state.value}{reason}")

    def _say(self, text: str) -> None:
        self._out.write(f"{text}\n")
        self._out.flush()


class TableProgress:
    """Keeps one table up to date: how many are done, what runs, the trials that ended last.

    Args:
        show: Shows HTML in the place of what was shown before.
    """

    def __init__(self, show: Show) -> None:
        self._show = show
        self._plan: Plan | None = None
        self._running: dict[int, int] = {}
        self._ended: list[Trial] = []
        self._note = ""
        self._drawn = 0.0

    def begin(self, plan: Plan) -> None:
        """Show an empty table."""
        self._plan = plan
        self._draw()

    def note(self, text: str) -> None:
        """Show a note until the next one."""
        self._note = text
        self._draw()

    def trial_started(self, trial: Trial) -> None:
        """Show that the trial runs."""
        self._running[trial.number] = 0
        self._draw(later=True)

    def trial_reported(self, trial: int, report: Report) -> None:
        """Show how far the trial is."""
        self._running[trial] = report.epoch
        self._draw(later=True)

    def trial_ended(self, trial: Trial) -> None:
        """Show what became of the trial."""
        self._running.pop(trial.number, None)
        self._ended.append(trial)
        self._draw(later=True)

    def end(self, sweep: SweepRecord) -> None:
        """Show how the run ended."""
        reason = f": {sweep.stop_reason}" if sweep.stop_reason else ""
        self._note = f"{sweep.state.value}{reason}"
        self._running.clear()
        self._draw()

    def _draw(self, *, later: bool = False) -> None:
        if later and time.monotonic() - self._drawn < _LEAST_S:
            return
        self._drawn = time.monotonic()
        self._show(self._html())

    def _html(self) -> str:
        if self._plan is None:
            return f"<p>{escape(self._note)}</p>"
        plan = self._plan
        heads = ["trial", "state", *map(arrow, plan.objectives), "parameters"]
        rows = [
            [str(number), f"epoch {epoch} of {plan.epochs}", *("" for _ in plan.objectives), ""]
            for number, epoch in sorted(self._running.items())
        ]
        rows += [
            [
                str(trial.number),
                trial.state.value,
                *(human(goal.name, trial.values.get(goal.name)) for goal in plan.objectives),
                human_params(trial.params),
            ]
            for trial in self._ended[: -_SHOWN - 1 : -1]
        ]
        complete = sum(trial.state is TrialState.COMPLETE for trial in self._ended)
        said = f"{plan.sweep.name}: {complete} complete in this run, {plan.trials} in the budget"
        head = "".join(f'<th style="text-align:left">{escape(each)}</th>' for each in heads)
        body = "".join(
            "<tr>"
            + "".join(f'<td style="text-align:left">{escape(c)}</td>' for c in row)
            + "</tr>"
            for row in rows
        )
        return f"<p>{escape(said)}. {escape(self._note)}</p><table><tr>{head}</tr>{body}</table>"


def _notebook() -> Show | None:
    """Return what shows HTML in the cell of a Jupyter kernel; None if this process is none."""
    python = sys.modules.get("IPython")
    shell = python.get_ipython() if python is not None else None
    if shell is None or type(shell).__name__ != "ZMQInteractiveShell":
        return None
    from IPython.display import HTML, display

    handle = display(HTML(""), display_id=True)

    def show(text: str) -> None:
        handle.update(HTML(text))

    return show
