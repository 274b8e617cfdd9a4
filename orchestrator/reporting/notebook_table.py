"""A run as one table that stays in its place, in a notebook."""

import sys
import time
from collections.abc import Callable
from html import escape

from orchestrator.contracts import Plan
from orchestrator.objectives import arrow
from orchestrator.quantities import human, human_params
from orchestrator.trials import Report, SweepRecord, Trial, TrialState

_LEAST_S = 0.5
"""Between two drawings of a table."""
_SHOWN = 10

Show = Callable[[str], None]


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


def notebook_cell() -> Show | None:
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
