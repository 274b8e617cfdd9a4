"""Fronts as figures."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import pytest

from orchestrator.constraints import Constraint
from orchestrator.fronts.front import compute_front
from orchestrator.objectives import Direction, Objective
from orchestrator.plots.figures import front_figure
from orchestrator.plots.files import write_figure
from orchestrator.trials import Trial


def figure_of(
    trials: Sequence[Trial], objectives: Sequence[Objective], limit: str | None = None
) -> go.Figure:
    limits = [Constraint.parse(limit)] if limit else []
    front = compute_front(trials, objectives, limits)
    return front_figure(front, front.others)


def trace(figure: go.Figure, name: str) -> go.Scatter:
    (found,) = [
        t for t in figure.data if t.name == name and t.x is not None and t.x[0] is not None
    ]
    return found


def test_size_is_below_and_quality_is_up_whatever_the_order(
    trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    for order in (objectives[:2], objectives[1::-1]):
        figure = figure_of(trials, order)
        assert figure.layout.xaxis.type == "log"
        assert "memory" in figure.layout.xaxis.title.text
        assert "accuracy" in figure.layout.yaxis.title.text


def test_members_and_beaten_trials_are_told_apart(
    trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    figure = figure_of(trials, objectives[:3])
    assert sorted(trace(figure, "front").x) == [9e3, 22.4e3, 60e3]
    assert list(trace(figure, "beaten trials").x) == [61e3]
    assert "3 of 4 trials" in figure.layout.title.text


def test_the_third_objective_is_the_color(
    trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    figure = figure_of(trials, objectives[:3])
    assert sorted(trace(figure, "front").marker.color) == [0.5, 0.6, 0.7]
    assert "robust accuracy" in figure.layout.coloraxis.colorbar.title.text


def test_the_line_only_climbs(trials: list[Trial], objectives: Sequence[Objective]) -> None:
    # On the front for its robust accuracy alone: larger and worse than another member.
    odd = replace(
        trials[3], values={"accuracy": 0.5, "memory_bytes": 99e3, "robust_accuracy": 0.99}
    )
    figure = figure_of([*trials[:3], odd], objectives[:3])
    line = trace(figure, "best accuracy for the memory")
    assert list(line.x) == [9e3, 22.4e3, 60e3]
    # Drawn are errors, the smaller the further up.
    assert figure.layout.yaxis.autorange == "reversed"
    assert list(line.y) == pytest.approx([0.1, 0.06, 0.04])


def test_the_knee_is_named_and_hovering_tells_the_parameters(
    trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    front = compute_front(trials, objectives[:2])
    figure = front_figure(front, front.others)
    (note,) = figure.layout.annotations
    knee = front.knee()
    assert f"knee: trial {knee.trial}" in note.text
    assert note.x == pytest.approx(math.log10(knee.values["memory_bytes"]))
    assert any("bits = 8" in text for text in trace(figure, "front").hovertext)
    assert "<b>trial 0</b>" in trace(figure, "front").hovertext[0]


def test_names_of_people_are_escaped(trials: list[Trial], objectives: Sequence[Objective]) -> None:
    odd = [replace(t, params={"<script>": "</script><b>"}) for t in trials]
    for text in trace(figure_of(odd, objectives[:2]), "front").hovertext:
        assert "<script>" not in text


@pytest.mark.parametrize("count", [1, 4])
def test_other_numbers_of_objectives_are_parallel_coordinates_with_better_up(
    trials: list[Trial], objectives: Sequence[Objective], count: int
) -> None:
    (lines,) = figure_of(trials, objectives[:count]).data
    assert lines.type == "parcoords"
    ranges = {axis.label: axis.range for axis in lines.dimensions}
    assert ranges["accuracy ↑"][0] < ranges["accuracy ↑"][1]
    if count == 4:
        assert ranges["memory ↓"][0] > ranges["memory ↓"][1]
    assert "bits" in ranges
    assert "optimizer" not in ranges, "what never varies tells nothing"


def test_an_infeasible_front_says_so(trials: list[Trial], objectives: Sequence[Objective]) -> None:
    figure = figure_of(trials, objectives[:3], "memory_bytes <= 1kB")
    assert "none of 4 trials meets the constraints" in figure.layout.title.text
    assert trace(figure, "nearest misses").x == (9e3,)


@pytest.mark.slow
@pytest.mark.parametrize("objective_count", [1, 2, 3, 4])
@pytest.mark.parametrize("trial_count", [0, 1, 2])
def test_no_trial_one_and_two_can_be_drawn(
    trials: list[Trial], objectives: Sequence[Objective], trial_count: int, objective_count: int
) -> None:
    figure = figure_of(trials[:trial_count], objectives[:objective_count])
    assert figure.layout.title.text
    figure.to_json()


def test_of_very_many_trials_the_front_is_drawn_and_a_part_of_the_rest_and_that_is_said(
    trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    beaten = [replace(trials[3], number=number) for number in range(100, 5_100)]
    figure = figure_of([*trials[:3], *beaten], objectives[:3])
    assert len(trace(figure, "front").x) == 3
    assert len(trace(figure, "beaten trials").x) == 2_000
    assert "3 of 5003 trials are on the Pareto front" in figure.layout.title.text
    assert "2,003 of 5,003 trials are drawn" in figure.layout.title.text


def test_ties_and_zeros_are_drawn(trials: list[Trial]) -> None:
    pair = (Objective("macs", Direction.MINIMIZE), Objective("params", Direction.MINIMIZE))
    tied = [replace(trial, values={"macs": 0.0, "params": 5.0}) for trial in trials]
    figure = figure_of(tied, pair)
    assert len(trace(figure, "front").x) == 4
    assert figure.layout.xaxis.type != "log"


def test_two_sweeps_have_different_symbols(
    trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    mixed = [*trials[:2], replace(trials[2], sweep="other")]
    figure = figure_of(mixed, objectives[:3])
    first, second = trace(figure, "front: digits-fc"), trace(figure, "front: other")
    assert first.marker.symbol != second.marker.symbol
    assert "digits-fc + other" in figure.layout.title.text


def test_the_page_needs_no_network(
    trials: list[Trial], objectives: Sequence[Objective], tmp_path: Path
) -> None:
    file = tmp_path / "front.html"
    write_figure(figure_of(trials, objectives[:3]), file)
    page = file.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "<title>digits-fc: 3 of 4 trials are on the Pareto front</title>" in page
    assert "<script src=" not in page
    assert "<link" not in page.split("<body>")[0]
