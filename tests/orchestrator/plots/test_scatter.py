"""Small drawings without a script."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.objectives import Direction, Objective
from orchestrator.plots.labels import Room
from orchestrator.plots.scatter import scatter

GOALS = [Objective("memory_bytes", Direction.MINIMIZE), Objective("accuracy", Direction.MAXIMIZE)]
NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=6))
def test_every_finite_point_is_inside_and_others_are_left_out(
    points: list[tuple[float, float]],
) -> None:
    members = [("<&>", {"memory_bytes": x, "accuracy": y}) for x, y in points]
    drawing = scatter(GOALS, members)
    finite = sum(math.isfinite(x) and math.isfinite(y) for x, y in points)
    assert drawing.count("<circle") == finite
    if finite:
        root = ET.fromstring(drawing)  # noqa: S314 - our own
        across = [float(each.get("cx", "nan")) for each in root.iter("circle")]
        up = [float(each.get("cy", "nan")) for each in root.iter("circle")]
        assert all(0 <= x <= float(root.get("width", 0)) for x in across)
        assert all(0 <= y <= float(root.get("height", 0)) for y in up)


def test_values_of_several_magnitudes_are_apart() -> None:
    sizes = (1e3, 1e4, 1e5)
    drawing = scatter(GOALS, [("t", {"memory_bytes": x, "accuracy": 0.5}) for x in sizes])
    places = [float(x) for x in re.findall(r'cx="([\d.]+)"', drawing)]
    assert places[1] - places[0] == places[2] - places[1]


def test_a_member_without_a_value_is_left_out() -> None:
    assert scatter(GOALS, [("t", {"accuracy": 0.5})]) == ""


def test_a_number_does_not_stand_where_a_line_is_drawn() -> None:
    """The line of the knee's label went through a neighbor's number."""
    center = np.array([[200.0, 150.0]])
    assert Room(center, 430, 330).place(200, 150, 2) == "top left"
    crossed = Room(center, 430, 330)
    crossed.take_line(230, 130, -80, 40)
    assert crossed.place(200, 150, 2) == "top center"
