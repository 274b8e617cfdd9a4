import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.constraints import Constraint, feasible, total_violation
from orchestrator.errors import UsageError

finite = st.floats(allow_nan=False, allow_infinity=False)


def test_a_constraint_is_a_name_a_side_and_a_quantity() -> None:
    assert Constraint.parse("memory_bytes <= 200kB") == Constraint("memory_bytes", "<=", 200_000)
    assert Constraint.parse("accuracy>=0.9") == Constraint("accuracy", ">=", 0.9)


@pytest.mark.parametrize(
    "text", ["accuracy > 0.9", "accuracy < 0.9", "accuracy == 1", "0.9 <= accuracy", "", "a<=b"]
)
def test_other_comparisons_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Constraint.parse(text)


def test_a_limit_must_be_finite() -> None:
    with pytest.raises(UsageError, match="finite"):
        Constraint("accuracy", "<=", math.nan)


@given(st.sampled_from(["<=", ">="]), finite, finite)
def test_a_constraint_is_met_exactly_where_the_comparison_holds(op, bound, value) -> None:
    constraint = Constraint("x", op, bound)
    holds = value <= bound if op == "<=" else value >= bound
    assert feasible([constraint], {"x": value}) == holds


@given(st.sampled_from(["<=", ">="]), st.floats(-1e9, 1e9))
def test_a_written_constraint_reads_back(op, bound) -> None:
    bound = float(f"{bound:.12g}")
    assert Constraint.parse(str(Constraint("x", op, bound))) == Constraint("x", op, bound)


def test_violations_are_in_multiples_of_the_limit() -> None:
    assert Constraint("b", "<=", 200.0).violation({"b": 300.0}) == 0.5
    assert Constraint("b", ">=", -4.0).violation({"b": -6.0}) == 0.5
    assert Constraint("b", "<=", 0.0).violation({"b": 3.0}) == 3.0


@pytest.mark.parametrize("values", [{}, {"b": math.nan}])
def test_what_was_not_measured_meets_no_constraint(values) -> None:
    assert Constraint("b", "<=", 200.0).violation(values) == math.inf


def test_met_constraints_do_not_make_up_for_others() -> None:
    limits = [Constraint("a", "<=", 1.0), Constraint("b", "<=", 1.0)]
    assert total_violation(limits, {"a": -100.0, "b": 1.5}) == 0.5
    assert not feasible(limits, {"a": -100.0, "b": 1.5})
    assert feasible([], {})
