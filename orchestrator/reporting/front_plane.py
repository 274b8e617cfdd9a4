"""A front of two or three objectives as a plane: size against quality, the third as color."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from orchestrator.objectives import Direction, Objective
from orchestrator.reporting.drawing import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    SCALE,
    Drawing,
    Point,
    describe,
)
from orchestrator.reporting.formats import Unit, arrow, human, label, unit

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
_NUMBERED = 16  # members beyond which numbers beside the markers would cover each other
_MANY = 400  # points beyond which the faint ones are drawn smaller


@dataclass(frozen=True, slots=True)
class _Axes:
    """Which objective is drawn where."""

    x: Objective
    y: Objective
    color: Objective | None


def figure(drawing: Drawing) -> go.Figure:
    """Draw the plane. The line joins the members that no other beats on its two axes alone."""
    axes = _axes(drawing.objectives)
    traces = [*_others(drawing, axes), *_steps(drawing, axes), *_members(drawing, axes)]
    result = go.Figure(traces)
    result.update_layout(
        xaxis=_axis(drawing, axes.x),
        yaxis=_axis(drawing, axes.y),
        margin={"l": 80, "r": 30, "t": 95, "b": 95},
        legend={"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top"},
        annotations=list(_knee(drawing, axes)),
    )
    if axes.color is not None:
        result.update_layout(coloraxis=_color_axis(drawing, axes.color))
    return result


def _axes(objectives: Sequence[Objective]) -> _Axes:
    """Put a size, else a cost, on the x-axis and a quality on the y-axis, where there are any."""
    rest = list(objectives)
    costs = [o for o in rest if o.direction is Direction.MINIMIZE]
    x = next((o for o in costs if unit(o.name) is Unit.BYTES), costs[0] if costs else rest[-1])
    rest.remove(x)
    y = next((o for o in rest if o.direction is Direction.MAXIMIZE), rest[0])
    rest.remove(y)
    return _Axes(x, y, rest[0] if rest else None)


def _others(drawing: Drawing, axes: _Axes) -> Iterator[go.Scatter]:
    if not drawing.others:
        return
    marker = {"size": 5 if len(drawing.others) > _MANY else 8, "color": FAINT, "opacity": 0.6}
    yield _scatter(drawing, axes, drawing.others, name="beaten by the front", marker=marker)


def _members(drawing: Drawing, axes: _Axes) -> Iterator[go.Scatter]:
    """One trace a sweep, so that the legend tells the symbols of several sweeps apart."""
    sweeps = sorted({point.sweep for point in drawing.front})
    numbered = len(drawing.front) <= _NUMBERED
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
        if numbered:
            trace.update(
                mode="markers+text",
                text=["" if _is_knee(drawing, p) else f"{p.trial} " for p in points],
                textposition="top left",
                textfont={"size": 11, "color": MUTED},
            )
        yield trace


def _is_knee(drawing: Drawing, point: Point) -> bool:
    return (point.sweep, point.trial) == drawing.knee


def _scatter(
    drawing: Drawing,
    axes: _Axes,
    points: Sequence[Point],
    *,
    name: str,
    marker: Mapping[str, object],
) -> go.Scatter:
    return go.Scatter(
        x=[point.values[axes.x.name] for point in points],
        y=[point.values[axes.y.name] for point in points],
        mode="markers",
        name=name,
        marker=dict(marker),
        hovertext=[describe(point, drawing.objectives) for point in points],
        hoverinfo="text",
        cliponaxis=False,
    )


def _steps(drawing: Drawing, axes: _Axes) -> Iterator[go.Scatter]:
    """The best y that is to be had for a given x, and between two members the worse one's."""
    if not drawing.feasible or len(drawing.front) < 2:
        return
    corners: list[tuple[float, float]] = []
    lowest = math.inf
    by_losses = sorted(
        drawing.front,
        key=lambda p: (axes.x.loss(p.values[axes.x.name]), axes.y.loss(p.values[axes.y.name])),
    )
    for point in by_losses:
        x, y = point.values[axes.x.name], point.values[axes.y.name]
        if axes.y.loss(y) < lowest:
            lowest = axes.y.loss(y)
            corners.append((x, y))
    yield go.Scatter(
        x=[x for x, _ in corners],
        y=[y for _, y in corners],
        mode="lines",
        name=f"best {label(axes.y.name)} for the {label(axes.x.name)}",
        line={"shape": "hv", "color": "#8a95a5", "width": 1.6},
        hoverinfo="skip",
    )


def _knee(drawing: Drawing, axes: _Axes) -> Iterator[dict[str, object]]:
    for point in drawing.front:
        if not _is_knee(drawing, point):
            continue
        x, y = point.values[axes.x.name], point.values[axes.y.name]
        yield {
            "x": math.log10(x) if _is_log(drawing, axes.x) else x,
            "y": math.log10(y) if _is_log(drawing, axes.y) else y,
            "text": f"<b>knee: trial {point.trial}</b><br>"
            f"{human(axes.y.name, y)} at {human(axes.x.name, x)}",
            "showarrow": True,
            "arrowhead": 0,
            "arrowcolor": INK,
            "arrowwidth": 1.2,
            "standoff": 9,
            "ax": 60,
            "ay": 62,
            "align": "left",
            "font": {"size": 13, "color": INK},
            "bgcolor": "rgba(255,255,255,0.9)",
            "borderpad": 3,
        }


def _axis(drawing: Drawing, objective: Objective) -> dict[str, object]:
    axis: dict[str, object] = {
        "title": {"text": _axis_title(objective), "standoff": 14},
        "gridcolor": "#e9edf2",
        "zeroline": False,
        "linecolor": "#c9d1db",
        "ticks": "outside",
        "tickcolor": "#c9d1db",
        "ticklen": 5,
    }
    if unit(objective.name) is Unit.FRACTION:
        axis["tickformat"] = ".1~%"
    if _is_log(drawing, objective):
        values = _values(drawing, objective)
        ticks = _log_ticks(min(values), max(values))
        axis |= {
            "type": "log",
            "tickvals": ticks,
            "ticktext": [human(objective.name, t).replace(".0 ", " ") for t in ticks],
        }
    return axis


def _axis_title(objective: Objective) -> str:
    packed = " (packed file, logarithmic)" if objective.name == "memory_bytes" else ""
    return arrow(objective) + packed


def _color_axis(drawing: Drawing, objective: Objective) -> dict[str, object]:
    bar: dict[str, object] = {
        "title": {"text": arrow(objective), "side": "right", "font": {"size": 13}},
        "thickness": 14,
        "outlinewidth": 0,
        "len": 0.9,
        "ticks": "outside",
        "tickcolor": "#c9d1db",
    }
    if unit(objective.name) is Unit.FRACTION:
        bar["tickformat"] = ".1~%"
    return {"colorscale": SCALE, "colorbar": bar}


def _values(drawing: Drawing, objective: Objective) -> list[float]:
    return [point.values[objective.name] for point in (*drawing.front, *drawing.others)]


def _is_log(drawing: Drawing, objective: Objective) -> bool:
    """Sizes and counts span decades; a logarithm needs positive values."""
    values = _values(drawing, objective)
    sizes = (Unit.BYTES, Unit.COUNT)
    return unit(objective.name) in sizes and bool(values) and min(values) > 0


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers around ``[low, high]``: finer steps where the range is narrow."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(range(10, 100))):
        scale = 10 if len(steps) > 10 else 1
        ticks = [step / scale * 10.0**decade for decade in decades for step in steps]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= 4:
            break
    return [tick for tick in ticks if low / 2 <= tick <= high * 2][:24]
