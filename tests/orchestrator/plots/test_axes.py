"""Scales, ticks and room in the plane of a front."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.objectives import Direction, Objective
from orchestrator.plots.axes import AxisScale, axis_of
from orchestrator.plots.labels import Box, Room

ACCURACY = Objective("accuracy", Direction.MAXIMIZE)
MEMORY = Objective("memory_bytes", Direction.MINIMIZE)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.1, 0.96, 0.99], AxisScale.ERROR),
        ([0.1, 0.96, 1.0], AxisScale.ERROR),
        ([0.1, 0.5, 0.8], AxisScale.LINEAR),  # nothing crowds at the top
        ([0.95, 0.96, 0.97], AxisScale.LINEAR),  # plotly's own range shows them apart
        ([1.0, 1.0], AxisScale.LINEAR),
        ([0.99], AxisScale.LINEAR),
        ([], AxisScale.LINEAR),
        ([0.5, 0.99, 1.5], AxisScale.LINEAR),  # no fraction after all
    ],
)
def test_great_fractions_are_told_apart_by_their_errors(
    values: list[float], scale: AxisScale
) -> None:
    assert axis_of(ACCURACY, values).scale is scale


def test_a_fraction_that_is_minimized_has_no_error_scale() -> None:
    lost = Objective("accuracy_fraction", Direction.MINIMIZE)
    assert axis_of(lost, [0.1, 0.96, 0.99]).scale is AxisScale.LINEAR


def test_ticks_of_an_error_scale_stand_where_they_say() -> None:
    axis = axis_of(ACCURACY, [0.1, 0.9, 0.995]).layout()
    ticks, texts = axis["tickvals"], axis["ticktext"]
    assert isinstance(ticks, list)
    assert isinstance(texts, list)
    assert {"50%", "90%", "99%"} <= set(texts)
    for tick, text in zip(ticks, texts, strict=True):
        assert 100 * (1 - tick) == pytest.approx(float(text.rstrip("%")))
    assert axis["autorange"] == "reversed"


def test_what_is_perfect_is_drawn_above_all_others_and_labeled() -> None:
    axis = axis_of(ACCURACY, [0.1, 0.99, 1.0])
    assert 0 < axis.place(1.0) < axis.place(0.99)
    layout = axis.layout()
    labeled = dict(zip(layout["ticktext"], layout["tickvals"], strict=True))  # type: ignore[call-overload]
    assert labeled["100%"] == axis.place(1.0)


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8))
def test_better_is_never_drawn_further_back(values: list[float]) -> None:
    axis = axis_of(ACCURACY, values)
    shares = [axis.share(value) for value in sorted(values)]
    assert all(-1e-9 <= share <= 1 + 1e-9 for share in shares)
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(shares))


@given(st.floats(1.0, 1e12), st.floats(1.0, 1e4))
@example(60363636364.0, 1.375)
def test_sizes_have_few_round_ticks(low: float, ratio: float) -> None:
    axis = axis_of(MEMORY, [low, low * ratio])
    ticks = axis.layout()["tickvals"]
    assert isinstance(ticks, list)
    inside = [tick for tick in ticks if low <= tick <= low * ratio]
    assert len(inside) <= 16
    if ratio > 1.5:
        assert len(inside) >= 2


def room(*centers: tuple[float, float]) -> Room:
    return Room(np.array(centers, dtype=float).reshape(-1, 2), 400.0, 300.0)


def test_a_marker_alone_has_its_number_at_the_upper_left() -> None:
    assert room((200, 150)).place(200, 150, 2) == "top left"


def test_a_number_avoids_markers_and_numbers_and_is_left_out_where_all_is_full() -> None:
    crowd = [(200 + dx, 150 + dy) for dx in range(-40, 41, 8) for dy in range(-40, 41, 8)]
    assert room(*crowd).place(200, 150, 2) is None
    tied = room(*[(200, 150)] * 9)
    sides = [tied.place(200, 150, 2) for _ in range(9)]
    named = [side for side in sides if side]
    assert len(named) == len(set(named))
    assert None in sides


def test_words_stay_inside_the_plane_if_they_can() -> None:
    outside, inside = Box(350, 100, 120, 40), Box(250, 100, 120, 40)
    assert room((10, 10)).emptiest([outside, inside]) == 1
    assert room().emptiest([inside, outside]) == 0
