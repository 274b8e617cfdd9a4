"""A reproducible sweep with real trainings: in this process, and on two workers of Ray."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.driver.running import run
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store

MakeSpec = Callable[..., SweepSpec]
# What a trial took, and what it found in the cache, depend on which of two was faster.
COSTS = ("train_s", "eval_s", "cached_stages")


def trials_of(spec: SweepSpec, folder: Path) -> list[Any]:
    store = open_store(f"sqlite:///{folder / 'sweeps.db'}")
    result = run(spec, store=store, state=StateFolder(folder))
    assert result.complete == spec.budget.trials
    trials = [
        (
            trial.params,
            trial.seed,
            trial.artifact and trial.artifact.sha256,
            {name: value for name, value in trial.values.items() if name not in COSTS},
        )
        for trial in store.trials(spec.name)
    ]
    store.close()
    return trials


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
