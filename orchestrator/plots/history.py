"""How a sweep got where it is: its front's hypervolume after each trial."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from orchestrator.constraints import Constraint
from orchestrator.objectives import Objective
from orchestrator.pareto.hypervolume import complete_in_order, hypervolume_history, losses_of
from orchestrator.plots.drawing import ACCENT, FONT, INK
from orchestrator.trials import Trial

_HEIGHT = 300


def hypervolumes(
    trials: Sequence[Trial], objectives: Sequence[Objective], limits: Sequence[Constraint]
) -> list[tuple[int, float]]:
    """Trial number and hypervolume of the front so far, in the order in which trials ended.

    Measured from the worst value of each objective among all trials, so that the numbers of one
    sweep can be compared with each other and with nothing else.
    """
    complete = complete_in_order(trials)
    losses = losses_of(complete, objectives, limits)
    if np.isnan(losses).any(axis=1).all():
        return []
    volumes = hypervolume_history(losses, np.nanmax(losses, axis=0))
    return [(trial.number, float(v)) for trial, v in zip(complete, volumes, strict=True)]


def history_figure(points: Sequence[tuple[int, float]]) -> go.Figure:
    """Draw the curve; 1 is what was reached in the end."""
    last = points[-1][1] if points else 0.0
    figure = go.Figure(
        go.Scatter(
            x=list(range(1, len(points) + 1)),
            customdata=[number for number, _ in points],
            y=[volume / last if last else 0.0 for _, volume in points],
            mode="lines+markers",
            line={"color": ACCENT, "shape": "hv"},
            marker={"size": 5},
            hovertemplate="after trial %{customdata}: %{y:.3f}<extra></extra>",
        )
    )
    axis = {"gridcolor": "#e6eaef", "zeroline": False, "linecolor": "#c9d1db"}
    figure.update_layout(
        template="none",
        height=_HEIGHT,
        margin={"l": 70, "r": 20, "t": 20, "b": 50},
        font={"family": FONT, "size": 13, "color": INK},
        xaxis={"title": {"text": "complete trials"}, **axis},
        yaxis={"title": {"text": "share of the final hypervolume"}, "rangemode": "tozero", **axis},
    )
    return figure
