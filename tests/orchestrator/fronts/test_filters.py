import operator
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.fronts.filters import Filter
from search_spaces import Condition
from search_spaces.condition_tokens import MAX_CHARACTERS

ROW = {"bits": 4, "accuracy": 0.9, "memory_bytes": 150_000.0, "backbone": "vgg16", "norm": True}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("bits <= 4 and backbone == 'vgg16'", True),
        ("bits <= 3 or backbone == 'vgg16'", True),
        ("bits <= 3 and backbone == 'vgg16' or norm == true", True),
        ("bits <= 3 and (backbone == 'vgg16' or norm == true)", False),
        ("not bits == 8", True),
        ("not not bits == 8", False),
        ("not (bits == 4 and norm == true)", False),
        ("bits in [2, 4]", True),
        ("bits in (2, 3)", False),
        ("backbone not in ['vgg11', \"vgg16\"]", False),
        ("memory_bytes <= 200kB", True),
        ("memory_bytes<=140 KiB", False),
        ("0.8 <= accuracy < 0.9", False),
        ("0.8 <= accuracy <= 0.9", True),
        ("230/256 > accuracy", False),
        ("4 == bits", True),
        ("accuracy >= -1e-3", True),
        ("norm == false", False),
        ("norm != False", True),
    ],
)
def test_conditions_mean_what_they_say(text, kept) -> None:
    assert Filter.parse(text).keep(ROW) is kept


@pytest.mark.parametrize("text", ["width == 4", "width != 4", "width in [4]", "width not in [4]"])
def test_a_comparison_with_a_missing_name_is_false(text) -> None:
    assert not Filter.parse(text).keep(ROW)


@pytest.mark.parametrize("text", ["bits == '4'", "backbone == 4", "backbone < 4", "norm == 1"])
def test_text_numbers_and_booleans_are_never_equal_and_never_an_exception(text) -> None:
    assert not Filter.parse(text).keep(ROW)


def test_names_are_listed_once_in_the_order_written() -> None:
    assert Filter.parse("b == 1 and (a < 2 or not b > 3) and 'c' == d").names == ("b", "a", "d")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", "at its end"),
        ("bits", "at its end"),
        ("bits <=", "at its end"),
        ("bits <= 4 and", "at its end"),
        ("bits = 4", "character 6, '= 4': write =="),
        ("bits <= 4 backbone == 'a'", "character 11"),
        ("(bits <= 4", "expected '\\)'"),
        ("bits in 4", "expected a list"),
        ("bits in []", "character 10"),
        ("bits < 'a'", "only numbers"),
        ("bits <= width", "a name on one side"),
        ("4 < 5", "a name on one side"),
        ("bits in [2] == 4", "a name on one side"),
        ("bits <= 4; import os", "character 10"),
        ("__import__('os')", "character 11"),
        ("backbone == 'vgg16", "character 13"),
        ("bits == 4x", "character 9"),
        ("and == 4", "expected a name"),
        ("bits not == 4", "expected 'in'"),
        ("(" * 60 + "bits == 4" + ")" * 60, "nested"),
        ("not " * 60 + "bits == 4", "nested"),
        ("bits == 4 or " * MAX_CHARACTERS, "longer"),
        ("bits == 1/0", "not a quantity"),
    ],
)
def test_what_does_not_parse_is_answered_with_the_place_and_an_example(text, at) -> None:
    with pytest.raises(UsageError, match=at):
        Filter.parse(text)


WORDS = (
    r"""bits backbone == != <= < > and or not in [ ] ( ) , 'a' 4 8/255 200kB true " ' = \ é 1e9"""
)
words = st.sampled_from(WORDS.split())


@pytest.mark.slow
@given(st.one_of(st.text(max_size=60), st.lists(words, max_size=14).map(" ".join)))
def test_any_text_is_a_filter_or_a_usage_error(text) -> None:
    try:
        condition = Filter.parse(text)
    except UsageError:
        return
    assert condition.keep(ROW) in (True, False)


ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
          "==": operator.eq, "!=": operator.ne}  # fmt: skip


@st.composite
def conditions(draw, depth=0):
    """A condition as text, in Python's own grammar, fully spelled out."""
    kind = draw(st.sampled_from(["leaf", "and", "or", "not"] if depth < 3 else ["leaf"]))
    if kind == "leaf":
        name, op = draw(st.sampled_from("ab")), draw(st.sampled_from(sorted(ORDERS)))
        return f"{name} {op} {draw(st.integers(-2, 2))}"
    if kind == "not":
        return f"not ({draw(conditions(depth=depth + 1))})"
    parts = draw(st.lists(conditions(depth=depth + 1), min_size=2, max_size=3))
    return f" {kind} ".join(parts)


@pytest.mark.slow
@given(conditions(), st.integers(-2, 2), st.integers(-2, 2))
def test_numbers_are_compared_with_the_precedence_of_python(text, a, b) -> None:
    expected = eval(text, {"__builtins__": {}}, {"a": a, "b": b})  # noqa: S307
    if len(text) <= MAX_CHARACTERS:
        assert Filter.parse(text).keep({"a": a, "b": b}) is expected
        assert Condition.parse(text).holds({"a": a, "b": b}) is expected


values = st.sampled_from([0, 1, 1.0, 2.5, -1, True, False, "a", "1", ""])


@pytest.mark.slow
@given(
    st.lists(words, max_size=14).map(" ".join) | conditions(),
    st.fixed_dictionaries({"a": values, "b": values, "bits": values, "backbone": values}),
)
def test_when_and_where_say_the_same_of_rows_that_have_every_name(text, row) -> None:
    try:
        condition = Condition.parse(text)
    except ValueError as error:
        with pytest.raises(UsageError, match=re.escape(str(error))):
            Filter.parse(text)
        return
    if row.keys() >= set(condition.names):
        assert Filter.parse(text).keep(row) is condition.holds(row)


def test_not_is_true_of_a_row_without_the_name() -> None:
    assert Filter.parse("not width == 4").keep(ROW)
