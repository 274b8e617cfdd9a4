"""Two sweeps, and two trials, are compared."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.contracts import Outcome, Store
from orchestrator.errors import UsageError
from orchestrator.queries.differences import Difference, compare_sweeps, parse_subject
from orchestrator.storage import open_store
from orchestrator.trials import TrialState

GOALS = {"accuracy": "maximize", "memory_bytes": "minimize"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path}/s.db", create=True)


def fill(store: Store, name: str, spec: dict[str, object], *measured: tuple[float, float]) -> None:
    store.create_sweep(name, {"name": name, "objectives": GOALS, **spec}, name)
    writer = store.take(name, "test")
    for accuracy, size in measured:
        number = writer.add_trial({"bits": 4}, seed=0).number
        writer.start_attempt(number, "w")
        values = {"accuracy": accuracy, "memory_bytes": size}
        writer.finish_attempt(number, 0, Outcome(TrialState.COMPLETE, values))
    writer.release()


def test_sweeps_differ_in_what_was_asked_and_in_what_came_of_it(store: Store) -> None:
    fill(store, "a", {"training": {"epochs": 2}}, (0.5, 10.0), (0.7, 30.0))
    fill(store, "b", {"training": {"epochs": 9, "ema": 0.9}}, (0.8, 10.0))
    found: dict[str, Any] = {
        each.name: (each.first, each.second) for each in compare_sweeps("a", "b", store)
    }
    assert found.pop("training.epochs") == (2, 9)
    assert found.pop("training.ema") == (None, 0.9)
    assert found.pop("trials") == (2, 1)
    assert found.pop("trials.complete") == (2, 1)
    assert found.pop("front") == (2, 1)
    assert found.pop("best.accuracy") == (0.7, 0.8)
    # The second front dominates the first one, and both are measured from one point.
    first, second = found.pop("hypervolume")
    assert 0 < first < second
    assert not found


def test_the_order_decides_the_sides_and_nothing_else(store: Store) -> None:
    fill(store, "a", {}, (0.5, 10.0))
    fill(store, "b", {"seed": 1}, (0.6, 20.0), (0.4, 5.0))
    turned = {Difference(d.name, d.second, d.first) for d in compare_sweeps("a", "b", store)}
    assert turned == set(compare_sweeps("b", "a", store))


def test_a_sweep_does_not_differ_from_itself(store: Store) -> None:
    fill(store, "a", {}, (0.5, 10.0))
    assert compare_sweeps("a", "a", store) == []


def test_sweeps_without_a_complete_trial_are_compared_by_what_was_asked(store: Store) -> None:
    fill(store, "a", {"seed": 0})
    fill(store, "b", {"seed": 1})
    assert compare_sweeps("a", "b", store) == [Difference("seed", 0, 1)]


@pytest.mark.parametrize("text", ["a:", "a:x", "a:-1", "a:1:2"])
def test_what_is_no_number_of_a_trial_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="names no trial"):
        parse_subject(text)
