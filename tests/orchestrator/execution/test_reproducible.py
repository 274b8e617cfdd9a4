"""A reproducible sweep with real trainings: in this process, and on two workers of Ray."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.driver.running import run
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import TrialState

MakeSpec = Callable[..., SweepSpec]
# What a trial took, and what it found in the cache, depend on which of two was faster.
COSTS = ("train_s", "eval_s", "cached_stages", "seconds", "milestone_s")

# Measures nothing, and takes a time that no seed decides.
SLOW = """
import random, time

def dawdle(network, images, labels):
    time.sleep(random.SystemRandom().random() / 5)
    return 0.0
"""


def trials_of(spec: SweepSpec, folder: Path) -> list[Any]:
    store = open_store(f"sqlite:///{folder / 'sweeps.db'}")
    result = run(spec, store=store, state=StateFolder(folder))
    assert result.complete + result.stopped == spec.budget.trials
    trials = [
        (
            trial.params,
            trial.seed,
            trial.state,
            trial.artifact and trial.artifact.sha256,
            without_costs(trial.values),
            [(r.epoch, without_costs(r.values)) for r in store.reports(spec.name, trial.number)],
        )
        for trial in store.trials(spec.name)
    ]
    store.close()
    return trials


def without_costs(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name not in COSTS}


@pytest.mark.slow
@pytest.mark.ray
def test_two_workers_give_the_trials_of_one_process_bit_for_bit(
    make_spec: MakeSpec, ray_cluster: None, tmp_path: Path
) -> None:
    changes = {
        "sampler": {"kind": "tpe", "options": {"n_startup_trials": 2}},
        "budget": {"trials": 8},
    }
    sweeps = []
    for kind in ("inline", "ray", "ray"):
        folder = tmp_path / str(len(sweeps))
        folder.mkdir()
        execution = {"kind": kind, "reproducible": True, "max_slots": 2, "siblings": False}
        sweeps.append(trials_of(make_spec(**changes, execution=execution), folder))
    assert sweeps[0] == sweeps[1] == sweeps[2]


@pytest.mark.slow
@pytest.mark.ray
def test_delays_of_chance_change_nothing_where_trials_are_stopped_and_heads_train_together(
    make_spec: MakeSpec, ray_cluster: None, tmp_path: Path
) -> None:
    module = tmp_path / "slow.py"
    module.write_text(SLOW)
    changes = {
        "space": {
            "fc_width_1": {"type": "int", "low": 4, "high": 64},
            "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
            "bits": {"type": "choice", "values": [3, 8]},
        },
        "training": {"epochs": 3, "batch_size": 64},
        "objectives": {
            "accuracy": "maximize",
            "memory_bytes": "minimize",
            "dawdled": {"direction": "minimize", "function": f"{module}:dawdle"},
        },
        "scheduler": {"kind": "moasha", "reduction": 2},
        "sampler": {"kind": "tpe", "options": {"n_startup_trials": 4}},
        "budget": {"trials": 14},
        "execution": {"reproducible": True, "max_slots": 2, "fuse": 2},
    }
    sweeps = []
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        sweeps.append(trials_of(make_spec(**changes), folder))
    assert all(sweep == sweeps[0] for sweep in sweeps)
    states = [state for _, _, state, *_ in sweeps[0]]
    assert {TrialState.STOPPED, TrialState.COMPLETE} == set(states)
