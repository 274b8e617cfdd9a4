"""What was measured, and of what: importances, distributions, planes of pairs, attacks, layers."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import plotly.graph_objects as go

from orchestrator.errors import OrchestratorError
from orchestrator.objectives import Objective, arrow
from orchestrator.plots.axes import Axis, axis_of
from orchestrator.plots.views.drawn import Drawn, Mark, told_thinned
from orchestrator.plots.views.style import (
    DASHES,
    PATTERNS,
    SERIES,
    across_and_up,
    add_marked,
    finished,
    marker,
    panel_of,
    panels,
    pattern,
    small_axis,
    told_trial,
    value_axis,
    words,
)
from orchestrator.quantities import human, label
from orchestrator.trials import Trial

_MOST_PROJECTED = 4
_MOST_PARAMETERS = 20
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")


def importance_figure(importances: Mapping[str, Mapping[str, float]], names: str) -> go.Figure:
    """Draw the importance of each parameter for each objective.

    Args:
        importances: By objective, as it is to be called, and parameter; their sum is 1.
        names: What was examined, for the line below the title.
    """
    sums: dict[str, float] = {}
    for of_objective in importances.values():
        for name, share in of_objective.items():
            sums[name] = sums.get(name, 0.0) + share
    ordered = sorted(sums, key=lambda name: sums[name])[-_MOST_PARAMETERS:]
    figure = go.Figure()
    for at, (objective, shares) in enumerate(importances.items()):
        figure.add_bar(
            orientation="h",
            name=words(objective),
            x=[shares.get(name, 0.0) for name in ordered],
            y=list(range(len(ordered))),
            marker={
                "color": SERIES[at % len(SERIES)],
                "pattern": pattern(PATTERNS[at % len(PATTERNS)]),
            },
            hovertext=[f"{words(name)}: {shares.get(name, 0.0):.1%}" for name in ordered],
            hoverinfo="text+name",
        )
    figure.update_layout(barmode="group", height=200 + len(ordered) * (14 + 12 * len(importances)))
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(
        tickvals=list(range(len(ordered))), ticktext=[words(name, 22) for name in ordered]
    )
    return finished(figure, "Importance of parameters", names)


def distribution_figure(drawn: Drawn) -> go.Figure:
    """Draw, for each objective, which share of the complete trials is at most a value."""
    goals = list(drawn.objectives)
    figure = panels([arrow(goal) for goal in goals])
    if not drawn.complete:
        raise OrchestratorError(f"No trial of {drawn.name!r} is complete yet.")
    for at, goal in enumerate(goals):
        measured = sorted(drawn.measured(goal.name), key=lambda t: t.values[goal.name])
        kept = drawn.thinned(measured)
        axis = axis_of(goal, [t.values[goal.name] for t in measured])
        shares = {t.number: (i + 1) / len(measured) for i, t in enumerate(measured)}
        row, col = panel_of(at, len(goals))
        for mark, these, mode in (
            (Mark.OTHER, kept, "lines"),
            (Mark.FRONT, [t for t in kept if drawn.mark(t) is Mark.FRONT], "markers"),
        ):
            figure.add_scatter(
                x=[axis.place(t.values[goal.name]) for t in these],
                y=[shares[t.number] for t in these],
                mode=mode,
                line={"shape": "hv", "color": SERIES[-1], "width": 1.8},
                marker=marker(mark) | {"size": 7},
                name="all complete trials" if mode == "lines" else mark.value,
                legendgroup=mode,
                showlegend=at == 0,
                hovertext=[told_trial(t, drawn.objectives) for t in these],
                hoverinfo="text",
                row=row,
                col=col,
            )
        figure.update_xaxes(small_axis(axis.layout()), row=row, col=col)
        figure.update_yaxes(tickformat=".0%", range=[0, 1.04], row=row, col=col)
    return finished(figure, "Distribution of each objective", "share of trials up to a value")


def projections_figure(drawn: Drawn) -> go.Figure:
    """Draw the plane of each pair of objectives, with the front of all of them in each.

    Raises:
        OrchestratorError: There are fewer than two objectives, or no trial has all.
    """
    goals = list(drawn.objectives)[:_MOST_PROJECTED]
    if len(goals) < 2:
        raise OrchestratorError("Projections need two objectives.")
    measured = drawn.measured(*(goal.name for goal in goals))
    shown = drawn.thinned(measured)
    pairs = [across_and_up(pair) for pair in itertools.combinations(goals, 2)]
    figure = panels([f"{label(up.name)} over {label(across.name)}" for across, up in pairs])
    told: set[Mark] = set()
    marked = drawn.marked(shown)
    for at, (across, up) in enumerate(pairs):
        xs, ys = (axis_of(g, [t.values[g.name] for t in measured]) for g in (across, up))
        row, col = panel_of(at, len(pairs))
        add_marked(
            figure,
            marked,
            (row, col),
            partial(_place, xs, across.name),
            partial(_place, ys, up.name),
            partial(told_trial, objectives=goals),
            told,
        )
        figure.update_xaxes(small_axis(xs.layout()), row=row, col=col)
        figure.update_yaxes(small_axis(ys.layout()), row=row, col=col)
    hint = " · ".join(filter(None, [*map(arrow, goals), told_thinned(len(shown), len(measured))]))
    return finished(figure, "The front, two objectives at a time", hint)


def _place(axis: Axis, name: str, trial: Trial) -> float:
    return axis.place(trial.values[name])


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack of a sweep file, under the name of its value."""

    value: str
    kind: str
    norm: str
    epsilon: float


def attacks_of(spec: Mapping[str, Any]) -> list[Attack]:
    """Find the attacks of a sweep whose values are accuracies, from objectives and measures.

    >>> goal = {"attack": "pgd", "norm": "linf", "epsilon": 0.1}
    >>> [each.epsilon for each in attacks_of({"objectives": {"robust_accuracy": goal}})]
    [0.1]
    """
    found = []
    for section in ("objectives", "measures", "front_measures"):
        for value, facts in (spec.get(section) or {}).items():
            if not isinstance(facts, Mapping) or not str(value).startswith("robust_accuracy"):
                continue
            if facts.get("epsilon") is None or "_reference" in str(value):
                continue
            kind, norm = str(facts.get("attack", "")), str(facts.get("norm", "linf"))
            found.append(Attack(str(value), kind, norm, float(facts["epsilon"])))
    return sorted(found, key=lambda each: (each.kind, each.norm, each.epsilon))


def epsilon_figure(trials: Sequence[Trial], attacks: Sequence[Attack]) -> go.Figure:
    """Draw the accuracy of trials over the size of the perturbation that an attack may make.

    Args:
        trials: A color and a symbol each; six or fewer.
        attacks: A kind of line for each attack and norm.

    Raises:
        OrchestratorError: No trial was attacked with a stated epsilon.
    """
    figure = go.Figure()
    kinds = list(dict.fromkeys((each.kind, each.norm) for each in attacks))
    for at, trial in enumerate(trials):
        for number, kind in enumerate(kinds):
            points = [
                (each.epsilon, trial.values[each.value])
                for each in attacks
                if (each.kind, each.norm) == kind and each.value in trial.values
            ]
            if not points:
                continue
            if "accuracy" in trial.values:
                points.insert(0, (0.0, trial.values["accuracy"]))
            figure.add_scatter(
                x=[x for x, _ in points],
                y=[y for _, y in points],
                mode="lines+markers",
                line={
                    "color": SERIES[at % len(SERIES)],
                    "dash": DASHES[number % len(DASHES)],
                    "width": 2,
                },
                marker={"symbol": _SYMBOLS[at % len(_SYMBOLS)], "size": 8},
                name=f"trial {trial.number}, {kind[0]}",
                hovertemplate="epsilon %{x:.4g}: %{y:.1%}<extra>%{fullData.name}</extra>",
            )
    if not figure.data:
        raise OrchestratorError(
            "No trial that is drawn was attacked: an objective or a measure with 'attack' and "
            "'epsilon' in the sweep file does that."
        )
    norms = " and ".join(sorted({each.norm for each in attacks}))
    figure.update_xaxes(title={"text": f"epsilon ({norms})"}, rangemode="tozero")
    figure.update_yaxes(title={"text": "accuracy"}, tickformat=".0%", rangemode="tozero")
    figure.update_layout(height=480)
    return finished(figure, "Accuracy over epsilon", "at 0 nothing is attacked")


def layers_figure(sizes: Mapping[int, Mapping[str, int]]) -> go.Figure:
    """Draw the bytes of each layer of packed networks.

    Args:
        sizes: By number of a trial, bytes by layer.

    Raises:
        OrchestratorError: There is no network.
    """
    if not sizes:
        raise OrchestratorError("No packed network of these trials can be read.")
    numbers = sorted(sizes, key=lambda number: sum(sizes[number].values()))
    totals: dict[str, int] = {}
    for each in sizes.values():
        for layer, size in each.items():
            totals[layer] = totals.get(layer, 0) + size
    great = sorted(totals, key=lambda layer: -totals[layer])[: len(SERIES) - 1]
    rest = "all other layers"
    figure = go.Figure()
    for at, layer in enumerate([*(name for name in totals if name in great), rest]):
        bytes_ = [
            sum(
                s for n, s in sizes[k].items() if (n == layer if layer != rest else n not in great)
            )
            for k in numbers
        ]
        if not any(bytes_):
            continue
        figure.add_bar(
            orientation="h",
            name=words(layer, 24),
            x=bytes_,
            y=list(range(len(numbers))),
            marker={
                "color": SERIES[at % len(SERIES)],
                "pattern": pattern(PATTERNS[at % len(PATTERNS)]),
                "line": {"color": "white", "width": 0.5},
            },
            hovertext=[f"{words(layer, 60)}: {human('file_bytes', size)}" for size in bytes_],
            hoverinfo="text",
        )
    figure.update_layout(barmode="stack", height=220 + 30 * len(numbers))
    figure.update_xaxes(title={"text": "bytes of the packed file"}, **value_axis("file_bytes"))
    figure.update_yaxes(
        tickvals=list(range(len(numbers))), ticktext=[f"trial {number}" for number in numbers]
    )
    return finished(figure, "Bytes by layer", "of the front, the smallest first")


def spread_members(trials: Sequence[Trial], goals: Sequence[Objective], most: int) -> list[Trial]:
    """Choose members of a front that lie far apart: in the order of the first objective.

    >>> spread_members([], [], 3)
    []
    """
    if not trials or not goals:
        return list(trials[:most])
    ordered = sorted(trials, key=lambda t: goals[0].loss(t.values[goals[0].name]))
    places = np.linspace(0, len(ordered) - 1, min(most, len(ordered)))
    return [ordered[round(place)] for place in places]
