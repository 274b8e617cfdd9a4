"""How a sweep got where it is: its front's hypervolume after each trial."""

from collections.abc import Sequence

import plotly.graph_objects as go

from orchestrator.constraints import Constraint
from orchestrator.fronts import compute_front
from orchestrator.objectives import Objective, missing_values
from orchestrator.reporting.drawing import ACCENT, FONT, INK
from orchestrator.trials import Trial

_HEIGHT = 300


def hypervolumes(
    trials: Sequence[Trial], objectives: Sequence[Objective], limits: Sequence[Constraint]
) -> list[tuple[int, float]]:
    """Trial number and hypervolume of the front up to it, in order of their numbers.

    Measured from the worst value of each objective among all trials, so that the numbers of one
    sweep can be compared with each other and with nothing else.
    """
    measured = [trial for trial in trials if not missing_values(objectives, trial.values)]
    if not measured:
        return []
    worst = {
        objective.name: max(
            (trial.values[objective.name] for trial in measured), key=objective.loss
        )
        for objective in objectives
    }
    return [
        (trial.number, compute_front(measured[: n + 1], objectives, limits).hypervolume(worst))
        for n, trial in enumerate(measured)
    ]


def history_figure(points: Sequence[tuple[int, float]]) -> go.Figure:
    """Draw the curve; 1 is what was reached in the end."""
    last = points[-1][1] if points else 0.0
    figure = go.Figure(
        go.Scatter(
            x=[number for number, _ in points],
            y=[volume / last if last else 0.0 for _, volume in points],
            mode="lines+markers",
            line={"color": ACCENT, "shape": "hv"},
            marker={"size": 5},
            hovertemplate="after trial %{x}: %{y:.3f}<extra></extra>",
        )
    )
    axis = {"gridcolor": "#e6eaef", "zeroline": False, "linecolor": "#c9d1db"}
    figure.update_layout(
        template="none",
        height=_HEIGHT,
        margin={"l": 70, "r": 20, "t": 20, "b": 50},
        font={"family": FONT, "size": 13, "color": INK},
        xaxis={"title": {"text": "trial"}, **axis},
        yaxis={"title": {"text": "share of the final hypervolume"}, "rangemode": "tozero", **axis},
    )
    return figure
