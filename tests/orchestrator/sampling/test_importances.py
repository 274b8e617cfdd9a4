"""Importances: what decides comes first, and chance alone decides nothing."""

from dataclasses import replace

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.sampling.importances import importances
from orchestrator.trials import Trial, TrialState

SPEC = {
    "name": "s",
    "backbone": {"name": "digitnet", "weights": "bundled"},
    "data": {"name": "digits"},
    "space": {
        "bits": {"type": "int", "low": 2, "high": 8},
        "lr": {"type": "float", "low": 0.0, "high": 1.0},
        "optimizer": {"type": "choice", "values": ["sgd", "adamw"]},
    },
    "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
}


def trial(number: int) -> Trial:
    bits, lr = 2 + number % 7, (number * 0.618) % 1
    params = {"bits": bits, "lr": lr, "optimizer": ("sgd", "adamw")[number // 7 % 2]}
    values = {"accuracy": lr, "memory_bytes": 100.0 * bits}
    return Trial("s", number, params, 0, TrialState.COMPLETE, values=values)


def test_what_decides_about_an_objective_comes_first() -> None:
    found = importances(SPEC, [trial(number) for number in range(60)])
    assert next(iter(found["accuracy"])) == "lr"
    assert next(iter(found["memory_bytes"])) == "bits"
    assert found["memory_bytes"]["bits"] > 0.9
    assert sum(found["accuracy"].values()) == pytest.approx(1)


def test_a_choice_of_many_options_is_examined_like_a_number() -> None:
    # With a column for each option, as Optuna has it, this would never end.
    sizes = {"type": "choice", "values": [16 * place for place in range(1, 33)]}
    spec = {**SPEC, "space": {**SPEC["space"], "fc_width_1": sizes}}
    trials = [
        replace(
            each,
            params={**each.params, "fc_width_1": (width := 16 * (1 + each.number * 7 % 32))},
            values={**each.values, "memory_bytes": 10.0 * width},
        )
        for each in map(trial, range(60))
    ]
    found = importances(spec, trials)
    assert found["memory_bytes"]["fc_width_1"] > 0.9
    assert found["accuracy"]["lr"] > 0.5


def test_they_are_the_same_each_time_and_of_one_objective_alone_too() -> None:
    trials = [trial(number) for number in range(30)]
    both, one = importances(SPEC, trials), importances(SPEC, trials, "accuracy")
    assert one == {"accuracy": both["accuracy"]}


def test_trials_that_are_all_alike_have_none() -> None:
    with pytest.raises(OrchestratorError, match="varies"):
        importances(SPEC, [trial(0)] * 9)


def test_a_sweep_without_a_space_has_none() -> None:
    with pytest.raises(OrchestratorError, match="space"):
        importances({**SPEC, "space": {}}, [trial(number) for number in range(9)])
