"""What every drawing of a front shares: its points, its words and its colors."""

import html
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orchestrator.objectives import Objective, arrow
from orchestrator.quantities import human, human_param, label
from orchestrator.trials import Params

# Viridis without its palest end, which would vanish on white; its order is seen by people with
# every common kind of color blindness, and in grey.
SCALE = ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#d2c71e"]
INK, MUTED, FAINT, ACCENT = "#1b2430", "#5b6675", "#b4bcc8", "#2a788e"
_MOST_PARAMS = 30
FONT = "Inter, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


class PlotPoint(NamedTuple):
    """A trial as a drawing needs it."""

    sweep: str
    trial: int
    params: Params
    values: Mapping[str, float]


class Drawing(NamedTuple):
    """What is drawn.

    Attributes:
        front: Members of the front.
        others: Dominated trials with a number for every objective.
        objectives: The axes.
        knee: Sweep and number of the member at the knee, if one is to be shown.
        feasible: Whether the members meet the constraints; if not, they are the nearest misses.
        infeasible: Trials that violate a constraint, where others do not.
        undrawn: How many more trials there are than a drawing can show.
    """

    front: Sequence[PlotPoint]
    others: Sequence[PlotPoint]
    objectives: Sequence[Objective]
    knee: tuple[str, int] | None
    feasible: bool
    infeasible: Sequence[PlotPoint] = ()
    undrawn: int = 0

    @property
    def points(self) -> list[PlotPoint]:
        """All that is drawn."""
        return [*self.front, *self.others, *self.infeasible]

    @property
    def sweeps(self) -> list[str]:
        """Names of the sweeps that trials come from, sorted."""
        return sorted({point.sweep for point in self.points})


def short(text: str, most: int = 40) -> str:
    """Write a text that a person chose: cut to a length, and never read as markup.

    >>> short("<b>" + 40 * "x", 8)
    '&lt;b&gt;xxxx…'
    """
    return html.escape(text if len(text) <= most else text[: most - 1] + "…")


def title_of(drawing: Drawing) -> tuple[str, str]:
    """Write a heading that says what was found, and the objectives for which it holds.

    >>> title_of(Drawing((), (), (), knee=None, feasible=True))[0]
    'Pareto front: no trial to show yet'
    """
    sweeps = drawing.sweeps
    names = " + ".join(map(short, sweeps[:3])) + (" + …" if len(sweeps) > 3 else "")
    shown = len(drawing.points)
    total = shown + drawing.undrawn
    trials = "1 trial" if total == 1 else f"{total} trials"
    if not drawing.front:
        heading = f"{names or 'Pareto front'}: no trial to show yet"
    elif not drawing.feasible:
        heading = f"{names}: none of {trials} meets the constraints; the nearest are shown"
    else:
        verb = "is" if len(drawing.front) == 1 else "are"
        heading = f"{names}: {len(drawing.front)} of {trials} {verb} on the Pareto front"
    frame = [arrow(objective) for objective in drawing.objectives]
    if drawing.undrawn:
        frame.append(f"{shown:,} of {total:,} trials are drawn, the front among them")
    return heading, " · ".join(frame)


def describe(point: PlotPoint, objectives: Sequence[Objective]) -> str:
    """Write the hover text of a trial: its number, its values, its configuration.

    >>> from orchestrator.objectives import Direction
    >>> point = PlotPoint("digits", 3, {"bits": 4}, {"accuracy": 0.963})
    >>> describe(point, [Objective("accuracy", Direction.MAXIMIZE)])
    '<b>trial 3</b> · digits<br>accuracy: <b>96.3 %</b><br><br>bits = 4'
    """
    values = [
        f"{short(label(o.name))}: <b>{human(o.name, point.values.get(o.name))}</b>"
        for o in objectives
    ]
    params = [
        f"{short(name)} = {short(human_param(value))}"
        for name, value in list(point.params.items())[:_MOST_PARAMS]
    ]
    head = f"<b>trial {point.trial}</b> · {short(point.sweep)}"
    return "<br>".join([head, *values, "", *params])
