"""What all views share: fonts, room, legends, and words that are safe in a figure."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from orchestrator.objectives import Direction, Objective, human_values
from orchestrator.plots.drawing import FONT, INK, MUTED, short
from orchestrator.plots.views.drawn import LOOKS, Mark
from orchestrator.quantities import Unit, unit
from orchestrator.trials import Trial

# Okabe and Ito (2008), darkened or lightened until they show on white and on the dark page.
SERIES = ("#2a8fc4", "#d55e00", "#1d9e79", "#aa6f9e", "#c98500", "#6b7785")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
PATTERNS = ("", "/", "x", ".", "-", "+")
GRID = "#e3e8ee"
AXIS: Mapping[str, object] = {
    "gridcolor": GRID,
    "zeroline": False,
    "linecolor": "#c9d1db",
    "automargin": True,
}
_TICKS_APART = 0.16  # of the axis
_PANEL_HEIGHT, _LEAST_HEIGHT = 250, 380


def words(text: object, most: int = 28) -> str:
    """Write a name or a value: cut to a length, and never read as markup.

    >>> words("<b>" + 40 * "x", 8)
    '&lt;b&gt;xxxx…'
    """
    return short(str(text), most)


def panels(titles: Sequence[str], *, columns: int = 2) -> go.Figure:
    """Begin a figure of several panels; `panel_of` gives the place of each."""
    across = min(columns, len(titles)) or 1
    down = -(-len(titles) // across)
    figure = make_subplots(
        rows=down,
        cols=across,
        subplot_titles=list(titles) if len(titles) > 1 else None,
        vertical_spacing=min(0.34 / down, 0.2),
        horizontal_spacing=0.14,
    )
    figure.update_annotations(font={"size": 13})
    figure.update_layout(height=max(_LEAST_HEIGHT, _PANEL_HEIGHT * down + 150))
    return figure


def panel_of(at: int, count: int, *, columns: int = 2) -> tuple[int, int]:
    """Return row and column, from 1, of a panel.

    >>> panel_of(2, 3), panel_of(0, 1)
    ((2, 1), (1, 1))
    """
    across = min(columns, count) or 1
    return at // across + 1, at % across + 1


def finished(figure: go.Figure, title: str, hint: str = "") -> go.Figure:
    """Give a figure its title, fonts and legend."""
    figure.update_xaxes(**AXIS)
    figure.update_yaxes(**AXIS)
    small = f"<br><span style='font-size:12px;color:{MUTED}'>{hint}</span>" if hint else ""
    if figure.layout.height is None:
        figure.update_layout(height=_LEAST_HEIGHT + 60)
    figure.update_layout(
        template="none",
        showlegend=True,
        font={"family": FONT, "size": 12, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        margin={"l": 64, "r": 24, "t": 92, "b": 100},
        title={
            "text": f"<b>{title}</b>{small}",
            "x": 0.02,
            "xanchor": "left",
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 18},
            "font": {"size": 16},
        },
        legend={
            "orientation": "h",
            "entrywidth": 0,
            "x": 0,
            "yref": "container",
            "y": 0.01,
            "yanchor": "bottom",
        },
        hoverlabel={"bgcolor": "white", "bordercolor": "#c9d1db", "font": {"color": INK}},
    )
    return figure


def marker(mark: Mark) -> dict[str, object]:
    """Return plotly's marker of a mark."""
    look = LOOKS[mark]
    return {
        "symbol": look.symbol,
        "color": look.color,
        "size": look.size,
        "opacity": look.opacity,
        "line": {"width": 0.6 if mark is Mark.FRONT else 0, "color": "white"},
    }


def add_marked(  # noqa: PLR0913 - what a panel shows, and where
    figure: go.Figure,
    marked: Mapping[Mark, Sequence[Trial]],
    at: tuple[int, int],
    across: Callable[[Trial], float | None],
    up: Callable[[Trial], float],
    said: Callable[[Trial], str],
    told: set[Mark],
) -> None:
    """Add the trials of a panel as dots, each mark with its own look and one entry in the legend.

    Args:
        figure: The figure.
        marked: Trials by their marks; see `Drawn.marked`.
        at: Row and column of the panel.
        across: Place of a trial on the x-axis.
        up: Place on the y-axis.
        said: What is shown when a trial is pointed at.
        told: Marks that the legend has; changed.
    """
    row, col = at
    for mark, trials in marked.items():
        if not trials:
            continue
        figure.add_scatter(
            x=[across(trial) for trial in trials],
            y=[up(trial) for trial in trials],
            mode="markers",
            marker=marker(mark),
            name=mark.value,
            legendgroup=mark.value,
            showlegend=mark not in told,
            hovertext=[said(trial) for trial in trials],
            hoverinfo="text",
            row=row,
            col=col,
        )
        told.add(mark)


def pattern(shape: str) -> dict[str, object]:
    """Return plotly's hatching of a bar, in white over its color."""
    return {"shape": shape, "fgcolor": "white", "fillmode": "overlay", "size": 6, "solidity": 0.2}


def small_axis(layout: Mapping[str, Any]) -> dict[str, Any]:
    """Return an axis without its title, which its panel has, and with ticks that have room.

    >>> small_axis({"title": "a", "tickvals": [1, 1.01, 9], "ticktext": ["1", "1.01", "9"]})
    {'tickvals': [1, 9], 'ticktext': ['1', '9'], 'tickfont': {'size': 11}}
    """
    found = {key: value for key, value in layout.items() if key != "title"}
    if "tickvals" in found:
        is_log = found.get("type") == "log"
        places = [math.log10(v) if is_log else v for v in found["tickvals"]]
        span = (max(places) - min(places)) or 1.0
        # What stands first is the best of errors: it is kept, and so on from there.
        kept: list[int] = []
        for at, place in enumerate(places):
            if all(abs(place - places[other]) >= _TICKS_APART * span for other in kept):
                kept.append(at)
        for key in ("tickvals", "ticktext"):
            found[key] = [found[key][at] for at in kept]
    return found | {"tickfont": {"size": 11}}


def value_axis(objective: Objective | str) -> dict[str, object]:
    """Return plotly's settings of an axis of values that is linear."""
    name = objective if isinstance(objective, str) else objective.name
    kinds = {Unit.FRACTION: ".1~%", Unit.BYTES: ".3~s", Unit.COUNT: ".3~s"}
    return {"tickformat": kinds[unit(name)]} if unit(name) in kinds else {}


def across_and_up(objectives: Sequence[Objective]) -> tuple[Objective, Objective]:
    """Choose what is drawn across, a size or else a cost, and what up, a quality if there is one.

    >>> costs = [Objective("accuracy", Direction.MAXIMIZE), Objective("macs", Direction.MINIMIZE)]
    >>> [each.name for each in across_and_up(costs)]
    ['macs', 'accuracy']
    """
    rest = list(objectives)
    costs = [o for o in rest if o.direction is Direction.MINIMIZE]
    x = next((o for o in costs if unit(o.name) is Unit.BYTES), costs[0] if costs else rest[-1])
    rest.remove(x)
    y = next((o for o in rest if o.direction is Direction.MAXIMIZE), rest[0] if rest else x)
    return x, y


def told_trial(trial: Trial, objectives: Sequence[Objective]) -> str:
    """Write a trial's number and its values of the objectives, shown when it is pointed at."""
    return f"<b>trial {trial.number}</b><br>{words(human_values(objectives, trial.values), 200)}"
