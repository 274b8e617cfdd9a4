"""Numbers as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.quantities import (
    Unit,
    duration,
    human,
    human_param,
    label,
    parse_quantity,
    sparkline,
    unit,
)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("memory_bytes", 22_432.0, "22.4 kB"),
        ("memory_bytes", 999.0, "999 B"),
        ("memory_bytes", 999_960.0, "1.00 MB"),
        ("memory_bytes", 0.0, "0 B"),
        ("test_accuracy", 0.9634, "96.3 %"),
        ("robust_accuracy", 0.0, "0.0 %"),
        ("head_params", 70_123.0, "70.1 k"),
        ("params", 12.0, "12"),
        ("train_s", 125.2, "2 min 05 s"),
        ("latency_ms", 3.14159, "3.14 ms"),
        ("loss", 1 / 3, "0.3333"),
        ("head_inputs", 25_088.0, "25088"),
        ("accuracy", math.nan, "-"),
        ("accuracy", None, "-"),
    ],
)
def test_a_number_has_the_unit_that_its_name_says(
    name: str, value: float | None, text: str
) -> None:
    assert human(name, value) == text


@given(st.integers(1, 10**15))
def test_a_size_reads_back_as_what_it_was(size: int) -> None:
    assert parse_quantity(human("memory_bytes", size)) == pytest.approx(size, rel=0.0051)


@given(st.floats(0, 359_000))
def test_a_duration_never_shows_sixty_seconds_or_minutes(seconds: float) -> None:
    assert not duration(seconds).endswith(("60 s", " 60 min"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.6, "1 min 00 s"), (3599.6, "1 h 00 min"), (math.inf, "-")],
)
def test_durations_at_the_edges(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_label_leaves_the_unit_to_the_number() -> None:
    assert label("memory_bytes") == "memory"
    assert label("robust_accuracy") == "robust accuracy"
    assert label("bytes") == "bytes"
    assert unit("bits") is Unit.NONE


def test_parameters_are_short() -> None:
    assert [human_param(v) for v in (True, 0.00123456, 64, "sgd")] == [
        "yes",
        "0.00123",
        "64",
        "sgd",
    ]


def test_a_sparkline_goes_from_lowest_to_highest_and_leaves_a_gap_for_nan() -> None:
    assert sparkline([0, math.nan, 1]) == "▁ █"
    assert sparkline([]) == ""
    assert sparkline([5, 5]) == "▁▁"
