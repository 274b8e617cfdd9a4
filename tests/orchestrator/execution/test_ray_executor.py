"""Real sweeps on a real Ray cluster of two CPUs."""

import gc
import os
import signal
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.execution.ray_adapters import JobScheduler
from orchestrator.running import run
from orchestrator.spec import SweepSpec
from orchestrator.storage.opening import open_store
from orchestrator.trials import FailureKind, SweepState, Trial, TrialState
from trainers.errors import DataError, WeightsError

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

MakeSpec = Callable[..., SweepSpec]


class Workers:
    """Which process worked on which trial; may kill one of them."""

    def __init__(self) -> None:
        self.pids: dict[int, set[int]] = defaultdict(set)
        self.kill: Callable[[Trial], bool] = lambda trial: False

    @property
    def all(self) -> set[int]:
        return set.union(*self.pids.values())


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch, store: Store) -> Workers:
    found = Workers()
    original = JobScheduler.on_trial_result

    def watched(self: JobScheduler, controller: object, trial: Any, result: Any) -> str:
        number = self._running._jobs[trial.trial_id].trial
        found.pids[number].add(result["pid"])
        verdict = original(self, controller, trial, result)
        if result["step"].outcome is None and found.kill(store.trial("tiny", number)):
            os.kill(result["pid"], signal.SIGKILL)
        return verdict

    monkeypatch.setattr(JobScheduler, "on_trial_result", watched)
    return found


def steady(trial: Trial) -> dict[str, float]:
    return {name: value for name, value in trial.values.items() if not name.endswith("_s")}


def test_workers_share_the_trials_and_give_what_one_process_gives(
    store: Store,
    make_spec: MakeSpec,
    workers: Workers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = make_spec(budget={"trials": 8})
    result = run(spec, store=store)
    assert (result.complete, result.failed) == (8, 0)
    assert [trial.number for trial in store.trials("tiny")] == list(range(8))
    assert {attempt.worker for n in range(8) for attempt in store.attempts("tiny", n)} == {"ray"}
    # Two slots: both are used, and no further process is ever started.
    assert len(workers.all) == 2
    assert all(len(pids) == 1 for pids in workers.pids.values())
    assert os.getpid() not in workers.all

    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "inline"))
    other = open_store()
    run(spec, store=other, executor=InlineExecutor)
    for here, there in zip(other.trials("tiny"), store.trials("tiny"), strict=True):
        assert here.params == there.params
        assert here.artifact is not None
        assert there.artifact is not None
        assert here.artifact.sha256 == there.artifact.sha256
        assert steady(here) == steady(there)
    other.close()


def test_what_a_trial_does_to_its_worker_harms_no_other_trial(
    store: Store, make_spec: MakeSpec, workers: Workers
) -> None:
    tunes = ["head", "last_blocks:1", "last_blocks:9"]
    space = {
        "tune": {"type": "choice", "values": tunes},
        "fc_width_1": {"type": "choice", "values": [8, 16]},
    }
    killed: list[int] = []

    def first_of_the_blocks(trial: Trial) -> bool:
        if killed or trial.params["tune"] != "last_blocks:1":
            return False
        killed.append(trial.number)
        return True

    workers.kill = first_of_the_blocks
    spec = make_spec(
        space=space, sampler={"kind": "grid"}, budget={"trials": 6}, training={"epochs": 60}
    )
    result = run(spec, store=store)
    trials = store.trials("tiny")
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.FAILED}
    assert (result.complete, result.failed) == (3, 3)
    assert store.sweep("tiny").state is SweepState.COMPLETE
    for trial in trials:
        if trial.params["tune"] == "last_blocks:9":
            assert trial.failure is not None
            assert trial.failure.kind is FailureKind.ERROR
            assert "this backbone has 3 blocks" in trial.failure.message
            assert "Traceback" in trial.failure.traceback
        elif trial.number in killed:
            assert trial.failure is not None
            assert trial.failure.kind is FailureKind.WORKER_LOST
        else:
            assert trial.failure is None
    assert len(killed) == 1


def test_broken_images_are_named_in_the_driver_and_take_no_name(
    store: Store, make_spec: MakeSpec, tmp_path: Path
) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=np.zeros((4, 2, 2), np.uint8), labels=np.zeros(3))
    with pytest.raises(DataError, match=r"x\.npz") as caught:
        run(make_spec(data={"npz": str(path)}), store=store)
    assert type(caught.value) is DataError
    assert "Traceback" not in str(caught.value)
    assert store.sweeps() == []


def test_broken_weights_are_named_in_the_driver_and_take_no_name(
    store: Store,
    make_spec: MakeSpec,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(WeightsError, match=r"w\.safetensors") as caught:
        run(make_spec(backbone={"name": "digitnet", "weights": str(path)}), store=store)
    assert type(caught.value) is WeightsError
    assert store.sweeps() == []
    # Ray would print what a task raises and nobody fetches.
    gc.collect()
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())


def test_a_trial_that_fits_nowhere_is_refused(store: Store, make_spec: MakeSpec) -> None:
    with pytest.raises(OrchestratorError, match="one needs 64 CPUs"):
        run(make_spec(resources={"cpus": 64}), store=store)
    assert store.sweeps() == []
