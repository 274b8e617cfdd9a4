"""Real sweeps on a real Ray cluster of two CPUs."""

import gc
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.contracts import Job, Store
from orchestrator.driver.running import run
from orchestrator.driver.tasks import task_of
from orchestrator.errors import OrchestratorError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.execution.preparation import prepare
from orchestrator.execution.ray_adapters import JobScheduler
from orchestrator.execution.trial_runner import TrialRunner
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.storage.sql_writer import SqlWriter
from orchestrator.trials import FailureKind, SweepState, Trial, TrialState
from trainers.config import with_params
from trainers.errors import DataError, WeightsError
from trainers.evaluators.config import MASKED

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
        numbers = self._running.trials(trial.trial_id)
        for number in numbers:
            found.pids[number].add(result["pid"])
        verdict = original(self, controller, trial, result)
        left = self._running.trials(trial.trial_id)
        if left and any(found.kill(store.trial("tiny", number)) for number in left):
            os.kill(result["pid"], signal.SIGKILL)
        return verdict

    monkeypatch.setattr(JobScheduler, "on_trial_result", watched)
    return found


def steady(values: Mapping[str, float]) -> dict[str, float]:
    # Which worker computed the features that both need is a race.
    timed = ("_s", "cached_stages")
    return {name: value for name, value in values.items() if not name.endswith(timed)}


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
    places = {attempt.worker for n in range(8) for attempt in store.attempts("tiny", n)}
    assert {int(place.split()[1].rpartition(":")[2]) for place in places} == workers.all
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
        assert steady(here.values) == steady(there.values)
    other.close()


def test_a_sweep_whose_heads_train_together_is_the_sweep_whose_heads_train_alone(
    store: Store, make_spec: MakeSpec, workers: Workers
) -> None:
    scheduler = {"kind": "asha", "min_epochs": 1}
    given = {"budget": {"trials": 8}, "training": {"epochs": 4, "batch_size": 64}}
    for name, fuse, executor in (("alone", "off", InlineExecutor), ("tiny", 4, None)):
        execution = {"fuse": fuse, "cache": "off"}
        spec = make_spec(name=name, scheduler=scheduler, execution=execution, **given)
        assert run(spec, store=store, executor=executor).failed == 0
    assert len(workers.all) == 2
    alone, together = (store.trials(name) for name in ("alone", "tiny"))
    assert [trial.params for trial in together] == [trial.params for trial in alone]
    # Who is stopped depends on who was there before.
    assert TrialState.STOPPED in {trial.state for trial in together}
    for one, other in zip(together, alone, strict=True):
        if one.state is other.state is TrialState.COMPLETE:
            assert steady(one.values) == pytest.approx(steady(other.values), abs=0.05)
        first, second = (
            store.reports(name, one.number)[0].values["train_loss"] for name in ("tiny", "alone")
        )
        assert first == pytest.approx(second, rel=1e-3)


def test_each_trial_of_a_worker_that_dies_is_tried_again(
    store: Store, make_spec: MakeSpec, workers: Workers
) -> None:
    killed: list[int] = []

    def once(trial: Trial) -> bool:
        killed.append(trial.number)
        return len(killed) == 1

    workers.kill = once
    spec = make_spec(
        budget={"trials": 6},
        training={"epochs": 3, "batch_size": 64},
        execution={"fuse": 3},
        scheduler={"kind": "median"},
    )
    result = run(spec, store=store)
    assert result.failed == 0
    lost = [n for n in range(6) if len(store.attempts("tiny", n)) > 1]
    assert lost
    for number in lost:
        first, *_ = store.attempts("tiny", number)
        assert first.failure is not None
        assert first.failure.kind is FailureKind.WORKER_LOST


def test_a_worker_that_dies_costs_no_trial_and_a_trial_that_fails_costs_no_other(
    store: Store, make_spec: MakeSpec, workers: Workers, tmp_path: Path
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
        space=space, sampler={"kind": "grid"}, budget={"trials": 6}, training={"epochs": 30}
    )
    result = run(spec, store=store)
    trials = store.trials("tiny")
    assert (result.complete, result.failed) == (4, 2)
    assert store.sweep("tiny").state is SweepState.COMPLETE
    for trial in trials:
        if trial.params["tune"] == "last_blocks:9":
            assert trial.failure is not None
            assert trial.failure.kind is FailureKind.ERROR
            assert "this backbone has 3 blocks" in trial.failure.message
            assert "Traceback" in trial.failure.traceback
        else:
            assert (trial.state, trial.failure) == (TrialState.COMPLETE, None)
            assert trial.attempts == 1 + (trial.number in killed)
    (number,) = killed
    first, second = store.attempts("tiny", number)
    assert first.failure is not None
    assert first.failure.kind is FailureKind.WORKER_LOST
    assert (first.state, second.state) == (TrialState.INTERRUPTED, TrialState.COMPLETE)
    assert second.failure is None

    assert_is_as_if_undisturbed(trials[number], spec, tmp_path / "undisturbed")


def assert_is_as_if_undisturbed(trial: Trial, spec: SweepSpec, folder: Path) -> None:
    runner = TrialRunner(prepare(task_of(spec, StateFolder(folder / "state"))))
    config = with_params(spec.trial_config(), trial.params, seed=trial.seed)
    runner.begin(Job(trial.number, 0, config, str(folder)))
    while (outcome := runner.step().outcome) is None:
        pass
    assert trial.artifact is not None
    assert outcome.artifact is not None
    assert outcome.artifact.sha256 == trial.artifact.sha256
    # Without what was measured of the front alone, when the sweep ended.
    late = ("test_", MASKED)
    found = {n: v for n, v in steady(trial.values).items() if not n.startswith(late)}
    assert steady(outcome.values) == found


def test_a_worker_that_dies_each_time_is_given_up(
    store: Store, make_spec: MakeSpec, workers: Workers
) -> None:
    workers.kill = lambda trial: trial.number == 1
    # More than a fast CPU trains before the first result that could be met by a kill.
    spec = make_spec(budget={"trials": 3, "retries": 1}, training={"epochs": 1500})
    result = run(spec, store=store)
    assert (result.complete, result.failed) == (2, 1)
    trial = store.trial("tiny", 1)
    assert (trial.state, trial.attempts) == (TrialState.FAILED, 2)
    assert trial.failure is not None
    assert trial.failure.kind is FailureKind.WORKER_LOST
    assert store.failures("tiny") == {FailureKind.WORKER_LOST: 2}


def test_a_store_that_fails_in_mid_sweep_is_told_in_its_own_words(
    store: Store, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: object) -> None:
        raise OrchestratorError("The store is gone.")

    monkeypatch.setattr(SqlWriter, "finish_attempt", gone)
    with pytest.raises(OrchestratorError, match=r"^The store is gone\.$"):
        run(make_spec(), store=store)


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
