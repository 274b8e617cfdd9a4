"""The configuration that promises most: what the trials so far let expect of it."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contracts import nothing_known
from orchestrator.objectives import Direction, Objective
from orchestrator.search.acquisition import Acquisition
from orchestrator.trials import Params, Trial, TrialState

ACCURACY = Objective("accuracy", Direction.MAXIMIZE)
MEMORY = Objective("memory_bytes", Direction.MINIMIZE)


def factors(params: Params) -> tuple[object, ...]:
    return (params["bits"], params["fc_width_1"])


def promise(*objectives: Objective, known: Any = nothing_known) -> Acquisition:
    return Acquisition(objectives, known, factors)


def measured(number: int, width: int, bits: int, **values: float) -> Trial:
    params = {"fc_width_1": width, "bits": bits}
    state = TrialState.COMPLETE
    return Trial(sweep="s", number=number, params=params, seed=0, state=state, values=values)


def candidates(*pairs: tuple[int, int]) -> list[Params]:
    return [{"fc_width_1": width, "bits": bits} for width, bits in pairs]


def test_before_anything_is_measured_the_first_one_comes_first() -> None:
    assert promise(ACCURACY).best(candidates((8, 2), (8, 4))) == 0


@pytest.mark.parametrize("values", [{}, {"accuracy": math.nan}])
def test_trials_that_measured_nothing_tell_nothing(values: Mapping[str, float]) -> None:
    ours = promise(ACCURACY)
    ours.observe(measured(0, 8, 2, **values))
    assert ours.best(candidates((16, 2), (16, 4))) == 0


def test_bits_that_were_hopeless_before_come_last() -> None:
    ours = promise(ACCURACY, MEMORY)
    for number, (width, size) in enumerate([(8, 1000.0), (16, 2000.0)]):
        ours.observe(measured(3 * number, width, 2, accuracy=0.1, memory_bytes=size))
        ours.observe(measured(3 * number + 1, width, 4, accuracy=0.9, memory_bytes=2 * size))
    ours.observe(measured(9, 32, 8, accuracy=0.95, memory_bytes=16000.0))
    assert ours.best(candidates((32, 2), (32, 4))) == 1


def test_of_what_is_known_before_training_nothing_is_guessed() -> None:
    sizes = {8: 5000.0, 16: 1.0}
    ours = promise(
        ACCURACY, MEMORY, known=lambda params: {"memory_bytes": sizes[params["fc_width_1"]]}
    )
    # What was measured says the opposite.
    ours.observe(measured(0, 8, 4, accuracy=0.9, memory_bytes=1000.0))
    ours.observe(measured(1, 16, 4, accuracy=0.9, memory_bytes=9000.0))
    assert ours.best(candidates((8, 8), (16, 8))) == 1


@pytest.mark.parametrize("objective", [ACCURACY, Objective("accuracy", Direction.MINIMIZE)])
def test_the_direction_decides(objective: Objective) -> None:
    ours = promise(objective)
    for number, (bits, accuracy) in enumerate([(2, 0.2), (4, 0.6), (8, 0.8)]):
        ours.observe(measured(number, 8, bits, accuracy=accuracy))
    best = ours.best(candidates((16, 4), (16, 8), (16, 2)))
    assert best == (1 if objective is ACCURACY else 2)


def test_only_the_latest_trials_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.search.acquisition._MOST_TRIALS", 2)
    ours = promise(ACCURACY)
    ours.observe(measured(0, 8, 8, accuracy=0.99))
    ours.observe(measured(1, 8, 4, accuracy=0.5))
    ours.observe(measured(2, 8, 2, accuracy=0.6))
    assert ours.best(candidates((16, 4), (16, 2))) == 1


VALUES = st.floats(-1e6, 1e6)
TRIALS = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([2, 4, 8]), VALUES, VALUES), max_size=12
)


@pytest.mark.slow
@given(TRIALS, st.lists(st.tuples(st.integers(1, 4), st.sampled_from([2, 4, 8])), min_size=1))
def test_whatever_was_measured_one_of_the_candidates_is_chosen(
    trials: list[tuple[int, int, float, float]], pairs: list[tuple[int, int]]
) -> None:
    ours = promise(ACCURACY, MEMORY)
    for number, (width, bits, accuracy, size) in enumerate(trials):
        ours.observe(measured(number, width, bits, accuracy=accuracy, memory_bytes=size))
    chosen = ours.best(candidates(*pairs))
    assert 0 <= chosen < len(pairs)
    # The first of several that tie: the same one before it would have been chosen.
    assert pairs.index(pairs[chosen]) == chosen
