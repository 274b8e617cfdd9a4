"""The progress of a sweep: its front's hypervolume after each trial."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from orchestrator.constraints import Constraint
from orchestrator.objectives import Objective
from orchestrator.pareto.hypervolume import HypervolumeScale, complete_in_order
from orchestrator.pareto.losses import feasible_losses
from orchestrator.plots.drawing import ACCENT, FONT, INK
from orchestrator.trials import Trial

_HEIGHT = 300


def hypervolumes(
    trials: Sequence[Trial], objectives: Sequence[Objective], limits: Sequence[Constraint]
) -> list[tuple[int, float]]:
    """Compute the hypervolume after each trial, with its number, in the order of their ends.

    Measured on the scale of the sweep, as `Front.hypervolume` and the curve in MLflow are.

    Returns:
        Empty if no trial meets the constraints.

    >>> from orchestrator.objectives import Direction
    >>> from orchestrator.trials import TrialState
    >>> trials = [Trial("s", n, {}, 0, TrialState.COMPLETE, values={"a": 9 - n}) for n in (0, 1)]
    >>> found = hypervolumes(trials, [Objective("a", Direction.MINIMIZE)], [])
    >>> [number for number, _ in found], found[0][1] < found[1][1]
    ([0, 1], True)
    """
    complete = complete_in_order(trials)
    losses = feasible_losses(complete, objectives, limits)
    scale = HypervolumeScale.of_sweep(complete, objectives)
    if scale is None or np.isnan(losses).any(axis=1).all():
        return []
    volumes = scale.history(losses)
    return [(trial.number, float(v)) for trial, v in zip(complete, volumes, strict=True)]


def history_figure(points: Sequence[tuple[int, float]]) -> go.Figure:
    """Draw the curve; 1 is the final hypervolume."""
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
