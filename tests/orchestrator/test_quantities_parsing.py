import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.quantities import BYTE_UNITS, parse_quantity


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
