"""How a sweep went: learning curves, workers over time, the front after each trial."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import plotly.graph_objects as go

from orchestrator.errors import OrchestratorError
from orchestrator.objectives import Objective
from orchestrator.pareto.constrained import constrained_front
from orchestrator.pareto.hypervolume import complete_in_order
from orchestrator.plots.axes import Axis, axis_of
from orchestrator.plots.views.drawn import LOOKS, Drawn, Mark
from orchestrator.plots.views.style import (
    PATTERNS,
    SERIES,
    across_and_up,
    finished,
    marker,
    pattern,
    told_trial,
    value_axis,
    words,
)
from orchestrator.quantities import duration, label
from orchestrator.trials import Attempt, Report, Trial, TrialState

_MOST_STEPS = 30
_MOST_DOTS = 500  # of a step: all steps are in the page
_MOST_BARS = 2_000
# What an epoch may report of an objective, the closest value first.
_CURVES = ("{}", "milestone_{}", "float_{}")
_STATES = (
    (TrialState.COMPLETE, "#2a8fc4", PATTERNS[0]),
    (TrialState.STOPPED, "#aa6f9e", PATTERNS[1]),
    (TrialState.FAILED, "#d55e00", PATTERNS[2]),
    (TrialState.INTERRUPTED, "#c98500", PATTERNS[3]),
    (TrialState.RUNNING, "#6b7785", PATTERNS[4]),
)


def curves_figure(
    drawn: Drawn, reports: Mapping[int, Sequence[Report]], value: str | None = None
) -> go.Figure:
    """Draw what trials measured after each epoch.

    Args:
        drawn: The sweep.
        reports: By number of a trial; those that are drawn.
        value: Name of the value; by default the one closest to the first objective.

    Raises:
        OrchestratorError: No trial reported such a value.
    """
    names = {name for each in reports.values() for report in each for name in report.values}
    name = value or _closest(names, drawn.objectives)
    if name is None or name not in names:
        known = ", ".join(sorted(names)) or "nothing"
        asked = f" of {value}" if value else ""
        raise OrchestratorError(f"No epoch{asked} was reported; the trials reported {known}.")
    figure = go.Figure()
    by_number = {trial.number: trial for trial in drawn.trials}
    for mark in (*Mark, None):
        lines = [
            (number, [(r.epoch, r.values[name]) for r in each if name in r.values])
            for number, each in reports.items()
            if number in by_number and drawn.mark(by_number[number]) is mark
        ]
        lines = [(number, points) for number, points in lines if points]
        if lines:
            figure.add_traces(_lines(lines, name, mark))
    figure.update_xaxes(title={"text": "epoch"}, rangemode="tozero")
    figure.update_yaxes(title={"text": label(name)}, **value_axis(name))
    hint = f"{len(reports):,} of {len(drawn.trials):,} trials; a mark is where one ended"
    return finished(figure, f"Learning curves: {label(name)}", hint)


def timeline_figure(name: str, attempts: Mapping[int, Sequence[Attempt]]) -> go.Figure:
    """Draw when which worker had which trial; trials that one has at once lie side by side.

    Raises:
        OrchestratorError: No trial was started yet.
    """
    pairs = sorted(
        ((number, each) for number, those in attempts.items() for each in those),
        key=lambda pair: pair[1].started,
    )
    if not pairs:
        raise OrchestratorError(f"No trial of {name!r} was started yet.")
    total, pairs = len(pairs), pairs[-_MOST_BARS:]
    first = pairs[0][1].started
    last = max(each.ended or each.started for _, each in pairs)
    unit_s, unit = _time_unit((last - first).total_seconds())
    rows, ticks = _lanes([each for _, each in pairs], last)
    figure = go.Figure()
    for state, color, shape in _STATES:
        those = [(n, a, y) for (n, a), y in zip(pairs, rows, strict=True) if a.state is state]
        if not those:
            continue
        spans = [((a.ended or last) - a.started).total_seconds() for _, a, _ in those]
        figure.add_bar(
            orientation="h",
            name=state.value,
            x=[span / unit_s for span in spans],
            base=[(a.started - first).total_seconds() / unit_s for _, a, _ in those],
            y=[y for _, _, y in those],
            width=0.86,
            marker={
                "color": color,
                "pattern": pattern(shape),
                "line": {"color": "white", "width": 0.5},
            },
            hovertext=[
                f"<b>trial {n}</b>, attempt {a.number + 1}<br>{a.state.value}, {duration(span)}"
                f"<br>{words(a.worker, 60)}"
                for (n, a, _), span in zip(those, spans, strict=True)
            ],
            hoverinfo="text",
        )
    figure.update_layout(barmode="overlay", height=max(380, 190 + 22 * (max(rows) + 1)))
    figure.update_xaxes(title={"text": f"{unit} since the first start"})
    figure.update_yaxes(
        tickvals=list(ticks.values()),
        ticktext=[words(worker or "unknown", 22) for worker in ticks],
        autorange="reversed",
    )
    hint = "" if total == len(pairs) else f"the last {len(pairs):,} of {total:,} attempts"
    return finished(figure, "Workers over time", hint)


def front_over_time(drawn: Drawn) -> go.Figure:
    """Draw the front after a number of complete trials, which a slider chooses.

    Raises:
        OrchestratorError: There are fewer than two objectives, or no complete trial has both.
    """
    if len(drawn.objectives) < 2:
        raise OrchestratorError("A front over time needs two objectives.")
    x_of, y_of = across_and_up(drawn.objectives)
    names = [each.name for each in drawn.objectives]
    limited = [each.name for each in drawn.constraints if each.name not in names]
    trials = complete_in_order(drawn.measured(*names, *limited))
    xs = axis_of(x_of, [trial.values[x_of.name] for trial in trials])
    ys = axis_of(y_of, [trial.values[y_of.name] for trial in trials])

    def dots(these: Sequence[Trial]) -> dict[str, list[float] | list[str]]:
        return {
            "x": [xs.place(t.values[x_of.name]) for t in these],
            "y": [ys.place(t.values[y_of.name]) for t in these],
            "hovertext": [told_trial(t, drawn.objectives) for t in these],
        }

    count = min(len(trials), _MOST_STEPS)
    stops = sorted({round(n) for n in np.linspace(1, len(trials), count)})
    steps = []
    both = [dots([]), dots([])]
    for stop in stops:
        these = trials[:stop]
        columns = {name: np.array([t.values[name] for t in these]) for name in names + limited}
        found = constrained_front(columns.__getitem__, drawn.objectives, drawn.constraints)
        members = list(itertools.compress(these, found.on_front))
        others = list(itertools.compress(these, ~found.on_front))
        both = [dots(drawn.thinned(others, _MOST_DOTS)), dots(members)]
        moved = {key: [each[key] for each in both] for key in both[0]}
        steps.append({"label": str(stop), "method": "restyle", "args": [moved, [0, 1]]})
    return _with_slider(steps, both, xs, ys)


def _with_slider(
    steps: Sequence[Mapping[str, object]],
    last: Sequence[Mapping[str, object]],
    xs: Axis,
    ys: Axis,
) -> go.Figure:
    """Draw the last step, with a slider for all of them."""
    figure = go.Figure()
    for mark, shown in zip((Mark.OTHER, Mark.FRONT), last, strict=True):
        figure.add_scatter(
            **shown, mode="markers", marker=marker(mark), name=mark.value, hoverinfo="text"
        )
    figure.update_layout(
        xaxis=xs.layout(),
        yaxis=ys.layout(),
        height=520,
        sliders=[
            {
                "active": len(steps) - 1,
                "steps": steps,
                "currentvalue": {"prefix": "after ", "suffix": " complete trials"},
                "x": 0,
                "y": -0.24,
                "len": 1,
                "ticklen": 4,
                "font": {"size": 11},
            }
        ],
    )
    figure = finished(figure, "The front as it grew", "the slider goes back to earlier trials")
    # The axes and the slider stand below the plane: the legend goes above it.
    figure.update_layout(
        margin={"b": 150, "t": 110}, legend={"yref": "paper", "y": 1.01, "yanchor": "bottom"}
    )
    return figure


def _lines(
    lines: Sequence[tuple[int, Sequence[tuple[int, float]]]], name: str, mark: Mark | None
) -> list[go.Scatter]:
    color = LOOKS[mark].color if mark else SERIES[-1]
    xs: list[int | None] = []
    ys: list[float | None] = []
    told: list[str] = []
    for number, points in lines:
        xs += [*(x for x, _ in points), None]
        ys += [*(y for _, y in points), None]
        told += [f"trial {number}, epoch {x}: {y:.4g}" for x, y in points] + [""]
    legend = mark.value if mark else "running"
    line = go.Scatter(
        x=xs,
        y=ys,
        mode="lines",
        line={"color": color, "width": 2 if mark is Mark.FRONT else 1},
        opacity=0.95 if mark is Mark.FRONT else 0.45,
        hovertext=told,
        hoverinfo="text",
        name=legend,
        legendgroup=legend,
        showlegend=False,
    )
    ends = go.Scatter(
        x=[points[-1][0] for _, points in lines],
        y=[points[-1][1] for _, points in lines],
        mode="markers",
        marker=marker(mark) if mark else {"color": color, "symbol": "circle-open", "size": 7},
        hovertext=[
            f"trial {number}: {label(name)} {points[-1][1]:.4g}" for number, points in lines
        ],
        hoverinfo="text",
        name=legend,
        legendgroup=legend,
    )
    return [line, ends]


def _closest(names: set[str], objectives: Sequence[Objective]) -> str | None:
    wanted = [each.format(o.name) for o in objectives for each in _CURVES]
    return next((n for n in wanted if n in names), min(names, default=None))


def _lanes(attempts: Sequence[Attempt], last: datetime) -> tuple[list[int], dict[str, float]]:
    """Give each attempt a row: the first of its worker's that is free; and each worker a tick."""
    ends: dict[str, list[datetime]] = {}
    places: list[tuple[str, int]] = []
    for each in attempts:
        lanes = ends.setdefault(each.worker, [])
        free = next((at for at, end in enumerate(lanes) if end <= each.started), len(lanes))
        lanes[free : free + 1] = [each.ended or last]
        places.append((each.worker, free))
    firsts, ticks, used = {}, {}, 0
    for worker, lanes in ends.items():
        firsts[worker], ticks[worker] = used, used + (len(lanes) - 1) / 2
        used += len(lanes)
    return [firsts[worker] + lane for worker, lane in places], ticks


def _time_unit(seconds: float) -> tuple[float, str]:
    if seconds < 300:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3600 else (3600.0, "hours")
