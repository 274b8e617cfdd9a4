"""Rows of a stranger's table, fitted to a space."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.constraints import Constraint
from orchestrator.objectives import Direction, Objective
from orchestrator.search.prior_points import fit, fit_to_domain, needed_values
from orchestrator.testing.sampler_contract import FINITE
from search_spaces import Choice, Condition, Domain, Float, Int, SearchSpace

SPACE = SearchSpace(
    {"layers": Int(1, 2), "width": Int(8, 512, step=8), "width_2": Int(1, 4)},
    {"width_2": Condition.parse("layers >= 2")},
)
NEEDED = ("accuracy", "memory_bytes")
GOOD = {"layers": 1, "width": 64, "accuracy": 0.5, "memory_bytes": 100.0}


@pytest.mark.parametrize(
    ("domain", "given", "meant"),
    [
        (Int(1, 8), 4.0, 4),
        (Int(1, 8), "4", 4),
        (Int(1, 8), "4.0", 4),
        (Int(1, 8), 4.5, None),
        (Int(1, 8), True, None),
        (Int(1, 8), 9, None),
        (Int(1, 9, step=2), 4, None),
        (Int(1, 8), float("nan"), None),
        (Int(1, 8), "wide", None),
        (Int(1, 8), None, None),
        (Int(1, 8), [4], None),
        (Float(0.0, 1.0), 1, 1.0),
        (Float(0.0, 1.0), "1e-3", 0.001),
        (Float(0.0, 1.0), 10**400, None),
        (Float(0.0, 0.4, step=0.1), 0.1 + 0.2, 0.3),
        (Float(0.0, 0.4, step=0.1), 0.25, None),
        (Choice((2, 4, 8)), 4.0, 4),
        (Choice((2, 4, 8)), "4", 4),
        (Choice((2.0, 4.0)), 4, 4.0),
        (Choice((1, 1.0, True)), 1.0, 1.0),
        (Choice((1, 1.0, True)), "1.0", 1.0),
        (Choice((1, 1.0, True)), "True", True),
        (Choice((False, True)), "true", True),
        (Choice((False, True)), 1, None),
        (Choice(("adam", "sgd")), "sgd", "sgd"),
        (Choice(("adam", "sgd")), "SGD", None),
        (Choice(("4", "8")), 4, None),
    ],
)
def test_types_are_mended_and_meanings_are_not(domain: Domain, given: Any, meant: Any) -> None:
    found = fit_to_domain(domain, given)
    assert (type(found), found) == (type(meant), meant)


@given(st.sampled_from(list(FINITE.grid())), st.sampled_from([str, json.dumps, lambda v: v]))
def test_every_configuration_of_a_space_is_read_back_from_text(params: Any, write: Any) -> None:
    row = {name: write(value) for name, value in params.items()}
    # A text within JSON has marks around it, which no table has.
    row = {name: cell.strip('"') if isinstance(cell, str) else cell for name, cell in row.items()}
    found = fit([row], FINITE, (), "a table")
    assert json.dumps([point.params for point in found.points]) == json.dumps([params])


def test_what_cannot_be_learned_from_is_counted_and_said() -> None:
    rows = [
        GOOD,
        {**GOOD, "width": "64.0", "accuracy": "0.75"},
        {**GOOD, "width": 600},
        {**GOOD, "width": 600},
        {**GOOD, "layers": 2},
        {**GOOD, "accuracy": None},
        {**GOOD, "accuracy": float("nan")},
        {},
    ]
    found = fit(rows, SPACE, NEEDED, "sweep 'old'")
    assert [point.params for point in found.points] == [{"layers": 1, "width": 64}] * 2
    assert [point.values["accuracy"] for point in found.points] == [0.5, 0.75]
    assert {point.source for point in found.points} == {"sweep 'old'"}
    assert found.sentence("sweep 'old'", NEEDED) == (
        "2 of 8 points of sweep 'old': 3 lack a number for one of accuracy, memory_bytes; "
        "3 are outside the space (width = 600, no width_2)"
    )


def test_a_source_of_which_all_can_be_learned_from_needs_no_reasons() -> None:
    assert fit([GOOD], SPACE, NEEDED, "x").sentence("x", NEEDED) == "1 of 1 points of x"


def test_many_reasons_are_shown_by_their_first_three() -> None:
    rows = [{**GOOD, "width": 600 + number} for number in range(9)]
    sentence = fit(rows, SPACE, NEEDED, "x").sentence("x", NEEDED)
    assert sentence.endswith("(width = 600, width = 601, width = 602 ...)")


def test_what_the_sweep_does_not_vary_is_ignored_and_so_is_what_is_not_active() -> None:
    found = fit([{**GOOD, "momentum": 0.9, "width_2": 3, "macs": 7}], SPACE, NEEDED, "x")
    assert found.points[0].params == {"layers": 1, "width": 64}
    assert found.points[0].values == {"accuracy": 0.5, "memory_bytes": 100.0}


def test_a_sampler_needs_the_objectives_and_what_is_limited() -> None:
    objectives = [Objective("accuracy", Direction.MAXIMIZE)]
    limits = [Constraint("macs", "<=", 1.0), Constraint("accuracy", ">=", 0.5)]
    assert needed_values(objectives, limits) == ("accuracy", "macs")
