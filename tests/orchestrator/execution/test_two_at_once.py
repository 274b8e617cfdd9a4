"""Two calls at once in one process."""

import threading
from collections.abc import Iterator

import pytest

from orchestrator.execution.two_at_once import two_at_once


def test_two_calls_are_under_way_at_the_same_time() -> None:
    together = threading.Barrier(2)
    results = two_at_once(lambda _: together.wait(60), dict.fromkeys(range(4)), lambda: False)
    assert sorted(name for name, _ in results) == [0, 1, 2, 3]


def test_once_interrupted_no_further_one_begins_and_those_that_had_begun_are_told() -> None:
    together, stop = threading.Barrier(2), threading.Event()

    def work(number: int) -> int:
        together.wait(60)
        stop.set()
        return number

    results = list(two_at_once(work, {each: each for each in range(9)}, stop.is_set))
    assert sorted(results) == [(0, 0), (1, 1)]


def test_what_a_call_raises_is_raised_and_no_further_one_begins() -> None:
    together, begun = threading.Barrier(2), []

    def work(number: int) -> int:
        begun.append(number)
        together.wait(60)
        raise ValueError("no such network")

    with pytest.raises(ValueError, match="no such network"):
        list(two_at_once(work, {each: each for each in range(9)}, lambda: False))
    assert sorted(begun) == [0, 1]


def test_a_caller_who_stops_listening_leaves_no_thread_behind() -> None:
    results: Iterator[tuple[int, int]] = two_at_once(
        abs, {each: each for each in range(9)}, lambda: False
    )
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert not [each for each in threading.enumerate() if each.name.startswith("beside")]
