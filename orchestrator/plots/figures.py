"""A Pareto front as an interactive figure.

Two or three objectives are drawn as a plane (`front_plane`: the third is the color); any other
number as parallel coordinates (`front_parallel`), in which up is better on every axis.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from orchestrator.objectives import missing_values
from orchestrator.plots import parallel as front_parallel
from orchestrator.plots import plane as front_plane
from orchestrator.plots.drawing import FONT, INK, MUTED, Drawing, PlotPoint, title_of
from orchestrator.trials import Trial

if TYPE_CHECKING:
    from orchestrator.fronts.front import Front

_MOST_OTHERS = 2_000
"""Dominated trials in a figure: more are one blot, and megabytes. They are spread evenly."""


def front_figure(front: "Front", others: Sequence[Trial] = ()) -> go.Figure:
    """Draw a front and, faintly, the trials that it dominates.

    Args:
        front: The members are emphasized; its objectives are the axes.
        others: Any other trials; those on the front, and those without a number for every
            objective (failed, stopped, running), are left out.
    """
    drawing = _drawing(front, others)
    if len(drawing.objectives) in (2, 3):
        figure, hint = front_plane.figure(drawing), "hover over a trial for its parameters"
    else:
        figure, hint = front_parallel.figure(drawing), "drag along an axis to filter"
    heading, frame = title_of(drawing)
    small = f"<span style='font-size:13px;color:{MUTED}'>{frame} · {hint}</span>"
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 13, "color": INK},
        title={
            "text": f"<b>{heading}</b><br>{small}",
            "x": 0.02,
            "xanchor": "left",
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 34},
            "font": {"size": 19},
        },
        hoverlabel={"bgcolor": "white", "bordercolor": "#c9d1db", "font": {"color": INK}},
        paper_bgcolor="white",
        plot_bgcolor="white",
    )
    return figure


def parallel_figure(front: "Front", others: Sequence[Trial] = ()) -> go.Figure:
    """Draw a front and the trials it dominates as parallel coordinates; see `front_figure`."""
    figure = front_parallel.figure(_drawing(front, others))
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="white",
        margin={"t": 60},
    )
    return figure


def _drawing(front: "Front", others: Sequence[Trial]) -> Drawing:
    objectives = tuple(front.objectives)
    # If test values are shown, a member may have none yet.
    members = [
        PlotPoint(m.sweep, m.trial, m.params, m.values)
        for m in front
        if not missing_values(objectives, m.values)
    ]
    on_front = {(member.sweep, member.trial) for member in members}
    beaten = [
        PlotPoint(trial.sweep, trial.number, trial.params, trial.values)
        for trial in others
        if (trial.sweep, trial.number) not in on_front
        and not missing_values(objectives, trial.values)
    ]
    knee = front.knee() if len(members) > 2 else None
    allowed = _allowed(front, len(beaten))
    step = max(len(beaten) / _MOST_OTHERS, 1.0)
    drawn = [beaten[int(at * step)] for at in range(int(len(beaten) / step))]
    return Drawing(
        front=members,
        others=[p for p in drawn if allowed is None or (p.sweep, p.trial) in allowed],
        infeasible=[p for p in drawn if allowed is not None and (p.sweep, p.trial) not in allowed],
        objectives=objectives,
        knee=None if knee is None else (knee.sweep, knee.trial),
        feasible=front.feasible,
        undrawn=len(beaten) - len(drawn),
    )


def _allowed(front: "Front", others: int) -> set[tuple[str, int]] | None:
    """The trials within the constraints; None if all are, or none is, or it is not known."""
    within = len(front.competitors)
    if not front.feasible or not within or within >= len(front) + others:
        return None
    return {(trial.sweep, trial.number) for trial in front.competitors}
