"""A front of two or three objectives as a plane: size against quality, the third as color."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from orchestrator.objectives import Objective, arrow
from orchestrator.plots.axes import Axis, axis_of
from orchestrator.plots.drawing import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    SCALE,
    Drawing,
    PlotPoint,
    describe,
)
from orchestrator.plots.labels import Box, Room
from orchestrator.plots.views.drawn import Mark
from orchestrator.plots.views.style import across_and_up
from orchestrator.plots.views.style import marker as look_of
from orchestrator.quantities import Unit, human, label, unit

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
_NUMBERED = 60  # members beyond which few numbers would fit
# Pixels of the plane where the page is small, as in MLflow's pane; a larger one has more room.
_SMALLEST = (430.0, 330.0)
_RIM = 0.06  # of the axis, that plotly leaves on both of its ends
_KNEE_BOX = (125.0, 42.0)
_KNEE_PLACES = [
    (sx * dx, sy * dy)
    for dx, dy in ((95, 50), (100, 90), (60, 130), (150, 110), (190, 60))
    for sx, sy in ((1, 1), (-1, -1), (1, -1), (-1, 1))
]
_MANY = 400  # points beyond which the faint ones are drawn smaller


@dataclass(frozen=True, slots=True)
class _Axes:
    """The assignment of objectives to axes and color."""

    x: Axis
    y: Axis
    color: Objective | None


def figure(drawing: Drawing) -> go.Figure:
    """Draw the plane. The line joins the members that are non-dominated on its two axes alone."""
    axes = _axes(drawing)
    room = _room(drawing, axes)
    # The knee's label comes first: it is the longest.
    knee = list(_knee(drawing, axes, room))
    members = _members(drawing, axes, room)
    result = go.Figure([*_others(drawing, axes), *_steps(drawing, axes), *members])
    result.update_layout(
        xaxis=axes.x.layout(),
        yaxis=axes.y.layout(),
        margin={"l": 80, "r": 30, "t": 95, "b": 105},
        legend={
            "orientation": "h",
            "font": {"size": 12},
            "entrywidth": 0,  # as wide as its words, or plotly makes columns of the widest
            "x": 0,
            "yref": "container",
            "y": 0.01,
            "yanchor": "bottom",
        },
        annotations=knee,
    )
    if axes.color is not None:
        result.update_layout(coloraxis=_color_axis(drawing, axes.color))
    return result


def _axes(drawing: Drawing) -> _Axes:
    x, y = across_and_up(drawing.objectives)
    rest = [objective for objective in drawing.objectives if objective not in (x, y)]
    x_axis, y_axis = (axis_of(o, [p.values[o.name] for p in drawing.points]) for o in (x, y))
    return _Axes(x_axis, y_axis, rest[0] if rest else None)


def _room(drawing: Drawing, axes: _Axes) -> Room:
    points = drawing.points
    centers = np.array([_center(axes, point) for point in points]).reshape(-1, 2)
    return Room(centers, *_SMALLEST)


def _center(axes: _Axes, point: PlotPoint) -> tuple[float, float]:
    """Compute the pixels to the right and up, in a plane of the smallest size."""
    (width, height), rim = _SMALLEST, 1 + 2 * _RIM
    return (
        width * (axes.x.share(point.values[axes.x.objective.name]) + _RIM) / rim,
        height * (axes.y.share(point.values[axes.y.objective.name]) + _RIM) / rim,
    )


def _others(drawing: Drawing, axes: _Axes) -> Iterator[go.Scatter]:
    if drawing.infeasible:
        look = look_of(Mark.INFEASIBLE)
        yield _scatter(drawing, axes, drawing.infeasible, name=Mark.INFEASIBLE, marker=look)
    if not drawing.others:
        return
    faint = {"size": 5 if len(drawing.others) > _MANY else 8, "color": FAINT, "opacity": 0.6}
    name = "beaten trials" if drawing.feasible else "other trials"
    yield _scatter(drawing, axes, drawing.others, name=name, marker=faint)


def _members(drawing: Drawing, axes: _Axes, room: Room) -> Iterator[go.Scatter]:
    """Draw one trace per sweep, so that the legend lists the symbols of several sweeps."""
    sweeps = sorted({point.sweep for point in drawing.front})
    sides = _sides(drawing, axes, room)
    for index, sweep in enumerate(sweeps):
        points = [point for point in drawing.front if point.sweep == sweep]
        front = "front" if drawing.feasible else "nearest misses"
        name = front if len(sweeps) == 1 else f"{front}: {sweep}"
        marker: dict[str, object] = {
            "size": 15,
            "symbol": _SYMBOLS[index % len(_SYMBOLS)],
            "color": ACCENT,
            "line": {"color": "white", "width": 1.5},
        }
        # The legend would show a marker that takes its color from an axis in black.
        yield go.Scatter(x=[None], y=[None], mode="markers", name=name, marker=marker)
        if axes.color is not None:
            marker = marker | {
                "color": [point.values[axes.color.name] for point in points],
                "coloraxis": "coloraxis",
            }
        trace = _scatter(drawing, axes, points, name=name, marker=marker)
        trace.showlegend = False
        found = [sides.get((point.sweep, point.trial)) for point in points]
        if any(found):
            trace.update(
                mode="markers+text",
                text=[str(p.trial) if side else "" for p, side in zip(points, found, strict=True)],
                textposition=[side or "top left" for side in found],
                textfont={"size": 11, "color": MUTED},
            )
        yield trace


def _sides(drawing: Drawing, axes: _Axes, room: Room) -> dict[tuple[str, int], str]:
    """Find on which side of its marker each member's number fits; omit it if on none.

    The best of each objective come first, since readers look for those.
    """
    if len(drawing.front) > _NUMBERED:
        return {}
    best = [
        min(drawing.front, key=lambda p: o.loss(p.values[o.name]))
        for o in drawing.objectives
        if drawing.front
    ]
    sides: dict[tuple[str, int], str] = {}
    for point in (*best, *drawing.front):
        key = (point.sweep, point.trial)
        if key in sides or _is_knee(drawing, point):
            continue
        side = room.place(*_center(axes, point), len(str(point.trial)))
        if side:
            sides[key] = side
    return sides


def _is_knee(drawing: Drawing, point: PlotPoint) -> bool:
    return (point.sweep, point.trial) == drawing.knee


def _scatter(
    drawing: Drawing,
    axes: _Axes,
    points: Sequence[PlotPoint],
    *,
    name: str,
    marker: Mapping[str, object],
) -> go.Scatter:
    return go.Scatter(
        x=[axes.x.place(point.values[axes.x.objective.name]) for point in points],
        y=[axes.y.place(point.values[axes.y.objective.name]) for point in points],
        mode="markers",
        name=name,
        marker=dict(marker),
        hovertext=[describe(point, drawing.objectives) for point in points],
        hoverinfo="text",
        cliponaxis=False,
    )


def _steps(drawing: Drawing, axes: _Axes) -> Iterator[go.Scatter]:
    """Draw the step line: the best y attainable for each x."""
    if not drawing.feasible or len(drawing.front) < 2:
        return
    x_of, y_of = axes.x.objective, axes.y.objective
    corners: list[tuple[float, float]] = []
    lowest = math.inf
    by_losses = sorted(
        drawing.front,
        key=lambda p: (x_of.loss(p.values[x_of.name]), y_of.loss(p.values[y_of.name])),
    )
    for point in by_losses:
        x, y = point.values[x_of.name], point.values[y_of.name]
        if y_of.loss(y) < lowest:
            lowest = y_of.loss(y)
            corners.append((axes.x.place(x), axes.y.place(y)))
    yield go.Scatter(
        x=[x for x, _ in corners],
        y=[y for _, y in corners],
        mode="lines",
        name=f"best {label(y_of.name)} for the {label(x_of.name)}",
        line={"shape": "hv", "color": "#8a95a5", "width": 1.6},
        hoverinfo="skip",
    )


def _knee(drawing: Drawing, axes: _Axes, room: Room) -> Iterator[dict[str, object]]:
    for point in drawing.front:
        if not _is_knee(drawing, point):
            continue
        x, y = point.values[axes.x.objective.name], point.values[axes.y.objective.name]
        right, up = _center(axes, point)
        width, height = _KNEE_BOX
        boxes = [
            Box(right + dx - width / 2, up - dy - height / 2, width, height)
            for dx, dy in _KNEE_PLACES
        ]
        dx, dy = _KNEE_PLACES[room.emptiest(boxes)]
        room.take_line(right, up, dx, -dy)
        yield {
            "x": axes.x.coordinate(x),
            "y": axes.y.coordinate(y),
            "text": f"<b>knee: trial {point.trial}</b><br>"
            f"{human(axes.y.objective.name, y)} at {human(axes.x.objective.name, x)}",
            "showarrow": True,
            "arrowhead": 0,
            "arrowcolor": INK,
            "arrowwidth": 1.2,
            "standoff": 9,
            "ax": dx,
            "ay": dy,
            "align": "left",
            "font": {"size": 13, "color": INK},
            "bgcolor": "rgba(255,255,255,0.9)",
            "borderpad": 3,
        }


def _color_axis(drawing: Drawing, objective: Objective) -> dict[str, object]:
    bar: dict[str, object] = {
        "title": {"text": arrow(objective), "side": "right", "font": {"size": 13}},
        "thickness": 14,
        "outlinewidth": 0,
        "len": 0.9,
        "ticks": "outside",
        "tickcolor": "#c9d1db",
    }
    values = {point.values[objective.name] for point in drawing.front}
    if len(values) == 1:
        bar["tickvals"] = list(values)
    if unit(objective.name) is Unit.FRACTION:
        bar["tickformat"] = ".1~%"
    return {"colorscale": SCALE, "colorbar": bar}
