"""Parameters as axes, and what they do to an objective: slices, ranks of pairs, contours."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import plotly.graph_objects as go

from orchestrator.errors import OrchestratorError, UnknownNameError
from orchestrator.objectives import Objective, arrow
from orchestrator.plots.drawing import SCALE
from orchestrator.plots.views.drawn import Drawn, Mark, told_thinned
from orchestrator.plots.views.style import (
    add_marked,
    finished,
    panel_of,
    panels,
    value_axis,
    words,
)
from orchestrator.quantities import human, human_param
from orchestrator.trials import Trial, TrialState, Value

_MOST_PANELS = 12
_LOG_FROM = 30.0  # ratio of the largest to the smallest value
_JITTER = 0.16  # to both sides of a word, whose trials would be one dot
_CELLS = 12  # of a contour, along each axis
_FEW = 12  # values up to which each has a cell of its own


@dataclass(frozen=True, slots=True)
class ParameterAxis:
    """A parameter as an axis: numbers on a scale, or words side by side.

    Attributes:
        name: Name of the parameter.
        words: Its values in order, if they are not all numbers.
        is_log: Whether numbers are on a logarithmic scale.
    """

    name: str
    words: tuple[Value, ...]
    is_log: bool

    @classmethod
    def of(cls, name: str, trials: Sequence[Trial]) -> "ParameterAxis":
        """Make the axis of a parameter from the values that trials have."""
        values = [trial.params[name] for trial in trials if name in trial.params]
        if any(isinstance(value, bool | str) for value in values):
            ordered = sorted(set(map(_typed, values)))
            return cls(name, tuple(value for _, _, value in ordered), is_log=False)
        numbers = [float(value) for value in values]
        low, high = min(numbers, default=0.0), max(numbers, default=1.0)
        return cls(name, (), is_log=low > 0 and high / low >= _LOG_FROM)

    def place(self, trial: Trial, *, exact: bool = False) -> float | None:
        """Return where a trial is on the axis; None if the parameter is not active in it."""
        if self.name not in trial.params:
            return None
        value = trial.params[self.name]
        if not self.words:
            return float(value)
        shift = 0.0 if exact else ((trial.number * 0.618) % 1 - 0.5) * 2 * _JITTER
        return self.words.index(value) + shift

    def layout(self) -> dict[str, object]:
        """Return plotly's settings of the axis."""
        title = {"title": {"text": words(self.name), "font": {"size": 12}}}
        if not self.words:
            return title | ({"type": "log"} if self.is_log else {})
        step = -(-len(self.words) // 12)
        ticks = list(range(0, len(self.words), step))
        texts = [words(human_param(self.words[at]), 14) for at in ticks]
        return title | {
            "tickvals": ticks,
            "ticktext": texts,
            "range": [-0.5, len(self.words) - 0.5],
        }


def chosen_parameters(drawn: Drawn, names: Sequence[str], most: int) -> list[str]:
    """Return the named parameters, else those that vary, the first of them.

    Raises:
        UnknownNameError: No trial has a parameter of a name.
        OrchestratorError: No parameter varies.
    """
    known = dict.fromkeys(name for trial in drawn.trials for name in trial.params)
    for name in names:
        if name not in known:
            raise UnknownNameError("parameter", name, known)
    if names:
        return list(dict.fromkeys(names))[:most]
    varied = [
        n for n in known if len({_typed(t.params[n]) for t in drawn.trials if n in t.params}) > 1
    ]
    if not varied:
        raise OrchestratorError(f"No parameter of {drawn.name!r} has more than one value yet.")
    return varied[:most]


def slice_figure(drawn: Drawn, objective: Objective, names: Sequence[str] = ()) -> go.Figure:
    """Draw an objective over each parameter; failed trials are below, where they were tried."""
    measured = drawn.measured(objective.name)
    shown = drawn.thinned(measured)
    failed = [trial for trial in drawn.trials if trial.state is TrialState.FAILED]
    chosen = chosen_parameters(drawn, names, _MOST_PANELS)
    figure = panels([words(name) for name in chosen])
    values = [trial.values[objective.name] for trial in measured]
    floor = min(values) - 0.08 * ((max(values) - min(values)) or 1.0)
    told: set[Mark] = set()
    marked = drawn.marked([*shown, *failed])

    def place(trial: Trial) -> float:
        is_failed = trial.state is TrialState.FAILED
        return floor if is_failed else trial.values[objective.name]

    for at, name in enumerate(chosen):
        axis = ParameterAxis.of(name, drawn.trials)
        row, col = panel_of(at, len(chosen))
        having = {mark: [t for t in those if name in t.params] for mark, those in marked.items()}
        add_marked(
            figure,
            having,
            (row, col),
            axis.place,
            place,
            partial(_said, name=name, objective=objective),
            told,
        )
        figure.update_xaxes(axis.layout() | {"title": None}, row=row, col=col)
        figure.update_yaxes(value_axis(objective), row=row, col=col)
    hint = told_thinned(len(shown), len(measured))
    return finished(figure, f"{arrow(objective)} over each parameter", hint)


def rank_figure(drawn: Drawn, objective: Objective, names: Sequence[str] = ()) -> go.Figure:
    """Draw pairs of parameters; the color of a trial is its rank in the objective."""
    measured = sorted(
        drawn.measured(objective.name), key=lambda t: objective.loss(t.values[objective.name])
    )
    chosen = chosen_parameters(drawn, names, 3)
    if len(chosen) < 2:
        raise OrchestratorError("Ranks of pairs need two parameters that vary.")
    shares = {t.number: at / max(len(measured) - 1, 1) for at, t in enumerate(measured)}
    pairs = list(itertools.combinations(chosen, 2))
    figure = panels([""] * len(pairs))
    shown = drawn.thinned(measured)
    for at, (across, up) in enumerate(pairs):
        xs, ys = (ParameterAxis.of(name, drawn.trials) for name in (across, up))
        both = [t for t in reversed(shown) if across in t.params and up in t.params]
        row, col = panel_of(at, len(pairs))
        figure.add_scatter(
            x=[xs.place(t) for t in both],
            y=[ys.place(t) for t in both],
            mode="markers",
            marker={
                "size": 8,
                "color": [1 - shares[t.number] for t in both],
                "coloraxis": "coloraxis",
                "symbol": ["x" if drawn.mark(t) is Mark.INFEASIBLE else "circle" for t in both],
                "line": {"width": 0.5, "color": "#8792a2"},
            },
            hovertext=[_said(t, across, objective, up) for t in both],
            hoverinfo="text",
            showlegend=False,
            row=row,
            col=col,
        )
        figure.update_xaxes(xs.layout(), row=row, col=col)
        figure.update_yaxes(ys.layout(), row=row, col=col)
    figure.update_layout(
        coloraxis={
            "colorscale": SCALE,
            "cmin": 0,
            "cmax": 1,
            "colorbar": {
                "orientation": "h",
                "y": 1.02,
                "yanchor": "bottom",
                "thickness": 10,
                "tickvals": [0, 0.5, 1],
                "ticktext": ["worst", "middle", "best"],
                "outlinewidth": 0,
            },
        },
    )
    outside = any(drawn.mark(trial) is Mark.INFEASIBLE for trial in shown)
    hint = "a cross is outside a constraint" if outside else ""
    return finished(figure, f"Rank of trials by {arrow(objective)}", hint)


def contour_figure(drawn: Drawn, objective: Objective, names: Sequence[str] = ()) -> go.Figure:
    """Draw the mean of an objective over two parameters, and the trials behind it."""
    chosen = chosen_parameters(drawn, names, 2)
    if len(chosen) < 2:
        raise OrchestratorError("A contour needs two parameters that vary.")
    xs, ys = (ParameterAxis.of(name, drawn.trials) for name in chosen)
    both = [t for t in drawn.measured(objective.name) if all(name in t.params for name in chosen)]
    if not both:
        raise OrchestratorError(f"No complete trial has both {chosen[0]} and {chosen[1]}.")
    across = _cells([xs.place(t, exact=True) or 0.0 for t in both], is_log=xs.is_log)
    up = _cells([ys.place(t, exact=True) or 0.0 for t in both], is_log=ys.is_log)
    sums = np.zeros((len(up.centers), len(across.centers)))
    counts = np.zeros_like(sums)
    np.add.at(sums, (up.of, across.of), [t.values[objective.name] for t in both])
    np.add.at(counts, (up.of, across.of), 1)
    with np.errstate(invalid="ignore"):
        means = sums / counts
    told = [
        [
            f"mean {human(objective.name, float(m))} of {int(n)}" if n else ""
            for m, n in zip(row, number, strict=True)
        ]
        for row, number in zip(means, counts, strict=True)
    ]
    plain = [[None if math.isnan(m) else float(m) for m in row] for row in means]
    kind = go.Heatmap if xs.words or ys.words or min(means.shape) < 3 else go.Contour
    area = kind(
        x=across.centers,
        y=up.centers,
        z=plain,
        text=told,
        hoverinfo="text",
        colorscale=SCALE,
        reversescale=objective.loss(1.0) > 0,
        colorbar={"thickness": 12, "outlinewidth": 0, **value_axis(objective)},
        **({"connectgaps": True, "line": {"width": 0.5}} if kind is go.Contour else {}),
    )
    shown = drawn.thinned(both, 500)
    dots = go.Scatter(
        x=[xs.place(t) for t in shown],
        y=[ys.place(t) for t in shown],
        mode="markers",
        marker={"size": 5, "color": "white", "line": {"color": "#1b2430", "width": 1}},
        hovertext=[_said(t, chosen[0], objective, chosen[1]) for t in shown],
        hoverinfo="text",
        showlegend=False,
    )
    figure = go.Figure([area, dots])
    figure.update_xaxes(xs.layout())
    figure.update_yaxes(ys.layout())
    hint = "means of the trials in each cell; a dot is a trial, light is better"
    return finished(figure, f"{arrow(objective)} over two parameters", hint)


@dataclass(frozen=True, slots=True)
class _Cells:
    centers: list[float]
    of: list[int]


def _cells(places: Sequence[float], *, is_log: bool) -> _Cells:
    """Sort places into cells: each value its own where there are few, else equally wide ones."""
    distinct = sorted(set(places))
    if len(distinct) <= _FEW:
        return _Cells(distinct, [distinct.index(place) for place in places])
    scaled = np.log(places) if is_log else np.array(places)
    edges = np.linspace(scaled.min(), scaled.max(), _CELLS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    centers = np.exp(middles) if is_log else middles
    return _Cells(
        centers.tolist(), np.clip(np.digitize(scaled, edges) - 1, 0, _CELLS - 1).tolist()
    )


def _typed(value: Value) -> tuple[str, float, Value]:
    """A key that sorts mixed values, and holds 1, 1.0 and True apart."""
    if isinstance(value, str):
        return value, 0.0, value
    return ("" if not isinstance(value, bool) else " "), float(value), value


def _said(trial: Trial, name: str, objective: Objective, other: str | None = None) -> str:
    parts = [f"<b>trial {trial.number}</b>"]
    parts += [
        f"{words(each)} = {words(human_param(trial.params.get(each, '-')))}"
        for each in (name, other)
        if each is not None
    ]
    if trial.failure is not None:
        parts.append(words(f"{trial.failure.kind.value}: {trial.failure.message}", 60))
    else:
        parts.append(
            f"{arrow(objective)} {human(objective.name, trial.values.get(objective.name))}"
        )
    return "<br>".join(parts)
