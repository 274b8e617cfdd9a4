"""Problems are sentences with a place."""

import copy
import pickle

import pytest

from search_spaces import Problem, SpaceError, did_you_mean, shown, unknown
from search_spaces.errors import MAX_SHOWN


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("Bad."), "Bad."),
        (Problem("Bad.", "bits"), "bits: Bad."),
        (Problem("Bad.", "bits", 3), "line 3, bits: Bad."),
        (Problem("Bad.", "bits", 3, "a.yaml"), "a.yaml line 3, bits: Bad."),
        (Problem("Bad.", file="a.yaml"), "a.yaml: Bad."),
    ],
)
def test_a_problem_says_file_line_and_place_as_far_as_they_are_known(problem, text):
    assert str(problem) == text


def test_an_error_lists_all_its_problems_one_a_line():
    error = SpaceError([Problem("One."), Problem("Two.", "bits")])
    assert str(error) == "One.\nbits: Two."


def test_an_error_with_thousands_of_problems_prints_the_first_and_their_number():
    lines = str(SpaceError(Problem(f"{i}.") for i in range(2_050))).splitlines()
    assert len(lines) == MAX_SHOWN + 1
    assert lines[-1] == "... and 2,000 more."


def test_an_error_survives_the_way_from_a_worker_process():
    error = SpaceError([Problem("One.", "bits", 3, "a.yaml")])
    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):  # noqa: S301
        assert twin.problems == error.problems
        assert str(twin) == str(error)


def test_an_unknown_name_gets_the_known_ones_and_the_closest():
    text = unknown("scheduler", "MO_ASHA", ["moasha", "fifo"])
    assert text == "Unknown scheduler 'MO_ASHA'. Known: fifo, moasha. Did you mean 'moasha'?"
    assert unknown("scheduler", "x", []) == "Unknown scheduler 'x'. Known: none yet."


def test_nothing_is_suggested_for_a_name_that_is_like_none():
    assert did_you_mean("zzz", ["adam", "sgd"]) == ""
    assert did_you_mean("adam" * 100_000, ["adam"]) == ""


def test_a_megabyte_in_a_message_is_cut():
    assert len(shown("x" * 1_000_000)) < 100
    assert len(shown(["x" * 1_000] * 1_000)) < 1_000
