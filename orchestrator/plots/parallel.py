"""A front of one or of many objectives as parallel coordinates; up is better on every axis."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from orchestrator.objectives import Direction, Objective, arrow
from orchestrator.plots.drawing import SCALE, Drawing, PlotPoint, short
from orchestrator.quantities import NOTHING, human, human_param
from orchestrator.trials import Value

_PALE = "#dde2e9"  # lines cover more than markers do: paler than those
_AXES = 12  # more do not fit side by side
_TICKS = 5
_DECADES = 30.0  # a ratio of largest to smallest from which an axis is logarithmic


def figure(drawing: Drawing) -> go.Figure:
    """Draw one line per trial, members of the front on top; drag on an axis to filter.

    The color of a member is its value of the first objective; the others are grey.
    """
    # Drawn in the order given, so that the front covers the trials that it dominates.
    others = [*drawing.infeasible, *drawing.others]
    points = (*others, *drawing.front)
    objectives = [_objective(objective, points) for objective in drawing.objectives]
    result = go.Figure(
        go.Parcoords(
            dimensions=[*objectives, *_params(points)][:_AXES],
            line={
                "color": [0.0] * len(others) + _shades(drawing),
                "colorscale": [[0, _PALE], [0.1, _PALE], *_front_scale()],
                "cmin": 0,
                "cmax": 1,
            },
            labelfont={"size": 13},
            tickfont={"size": 11},
            # The ends of an axis are ticks already; plotly 7 cannot leave these labels out.
            rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
        )
    )
    result.update_layout(margin={"l": 90, "r": 60, "t": 140, "b": 40})
    return result


def _front_scale() -> list[list[object]]:
    """Build the members' color scale on (0.1, 1]; values below are dominated trials."""
    steps = len(SCALE) - 1
    return [[0.1001 + 0.8999 * index / steps, shade] for index, shade in enumerate(SCALE)]


def _shades(drawing: Drawing) -> list[float]:
    """Scale each member from the worst (0.11) to the best (1) value of the first objective."""
    if not drawing.front:
        return []
    first = drawing.objectives[0]
    losses = [first.loss(point.values[first.name]) for point in drawing.front]
    worst, best = max(losses), min(losses)
    width = (worst - best) or 1.0
    return [0.11 + 0.89 * (worst - loss) / width for loss in losses]


def _objective(objective: Objective, points: Sequence[PlotPoint]) -> dict[str, object]:
    values = [point.values[objective.name] for point in points]
    axis = _number_axis(objective.name, values)
    if objective.direction is Direction.MINIMIZE:
        axis["range"] = axis["range"][::-1]
    return axis | {"label": arrow(objective)}


def _number_axis(name: str | None, values: Sequence[float]) -> dict[str, list[float] | list[str]]:
    """Build an axis with both ends labeled, logarithmic if values span more than a decade."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    log = low > 0 and high / low > _DECADES
    placed = [math.log10(value) if log else float(value) for value in values]
    start, stop = min(placed, default=0.0), max(placed, default=1.0)
    ticks = [start + (stop - start) * index / (_TICKS - 1) for index in range(_TICKS)]
    return {
        "values": placed,
        "range": [start, stop],
        "tickvals": ticks,
        "ticktext": [_written(name, 10**tick if log else tick) for tick in ticks],
    }


def _written(name: str | None, value: float) -> str:
    """Write a tick: an objective with its unit, a parameter (no name) to two digits."""
    return f"{value:.2g}" if name is None else human(name, value)


def _params(points: Sequence[PlotPoint]) -> list[dict[str, object]]:
    """Build axes of parameters that vary: numbers to scale, words and few values side by side."""
    names = dict.fromkeys(name for point in points for name in point.params)
    axes: list[dict[str, object]] = []
    for name in names:
        given = [point.params.get(name) for point in points]
        distinct = sorted(set(given), key=_place)
        numbers = [value for value in given if isinstance(value, int | float)]
        if len(distinct) > 2 * _TICKS and len(numbers) == len(given):
            axes.append({"label": short(name, 18), **_number_axis(None, numbers)})
        elif len(distinct) > 1:
            axes.append(
                {
                    "label": short(name, 18),
                    "values": [distinct.index(value) for value in given],
                    "range": [0, len(distinct) - 1],
                    "tickvals": list(range(len(distinct))),
                    "ticktext": [
                        NOTHING if v is None else short(human_param(v), 14) for v in distinct
                    ],
                }
            )
    return axes


def _place(value: Value | None) -> tuple[int, float, str]:
    """Return a sort key for mixed values: absent first, then numbers, then words."""
    if value is None:
        return 0, 0.0, ""
    return (2, 0.0, value) if isinstance(value, str) else (1, float(value), "")
