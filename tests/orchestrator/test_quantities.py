"""Quantities as people write and read them, and what their names mean."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.quantities import (
    Direction,
    Unit,
    duration,
    human,
    human_param,
    known_direction,
    label,
    parse_quantity,
    quantity,
    sparkline,
    unit,
)
from search_spaces.quantities import BYTE_UNITS


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
        ("macro_f1", 0.5, "50.0 %"),
        ("ece", 0.0123, "1.2 %"),
        ("peak_inference_bytes", 1_500_000.0, "1.50 MB"),
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


def test_a_word_behind_the_name_of_an_attack_changes_nothing_of_its_meaning() -> None:
    assert quantity("robust_accuracy_eps2").name == "robust_accuracy"
    assert quantity("accuracy_eps2").direction is None


def test_the_more_specific_family_wins() -> None:
    assert quantity("robust_accuracy_from_reference_eps2").needs_reference
    assert not quantity("robust_accuracy_eps2").needs_reference


def test_the_direction_is_the_same_on_the_test_images() -> None:
    assert known_direction("test_accuracy") is Direction.MAXIMIZE
    assert known_direction("test_loss") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("200kB", 200_000),
        ("200 KiB", 204_800),
        ("1.5MB", 1_500_000),
        ("8/255", 8 / 255),
        ("0.9", 0.9),
        ("1e-3", 0.001),
        ("12", 12),
        (" -3 ", -3),
        (".5", 0.5),
        ("1_000 B", 1000),
        ("1/2 MiB", 2**19),
    ],
)
def test_quantities_are_read_as_people_write_them(text: str, value: float) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "kB", "200 kb", "1/0", "nan", "inf", "1e999", "0x10", "1,5", "9" * 400, "1e308 TB", "٣"],
)
def test_anything_else_is_refused_with_a_sentence_that_shows_how(text: str) -> None:
    with pytest.raises(UsageError, match="200kB"):
        parse_quantity(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_is_read_back_exactly(number: float) -> None:
    assert parse_quantity(repr(number)) == number


@given(st.integers(0, 10**6), st.sampled_from(sorted(BYTE_UNITS)))
def test_a_unit_multiplies(count: int, unit: str) -> None:
    assert parse_quantity(f"{count}{unit}") == count * BYTE_UNITS[unit]


@given(st.text())
def test_no_text_raises_anything_but_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_quantity(text)
