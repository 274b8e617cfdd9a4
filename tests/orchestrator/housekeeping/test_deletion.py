"""A deleted sweep leaves nothing, and a deletion that was interrupted is finished by the next."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contracts import Outcome, Store, SweepWriter
from orchestrator.errors import LeaseHeldError, OrchestratorError, UnknownNameError
from orchestrator.housekeeping.deletion import delete_sweep, holdings
from orchestrator.state_folder import StateFolder
from orchestrator.trials import Artifact, TrialState


def make(store: Store, state: StateFolder, name: str, **spec: Any) -> SweepWriter:
    asked = {"objectives": {"x": "maximize"}, "tracking": {"kind": "none"}, **spec}
    store.create_sweep(name, {"name": name, **asked}, "f")
    writer = store.take(name, "elsewhere:1:2")
    number = writer.add_trial({}, seed=0).number
    writer.start_attempt(number, "w")
    file = state.trial_folder(name, number) / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"network")
    artifact = Artifact(str(file), 7, "0" * 64)
    writer.finish_attempt(number, 0, Outcome(TrialState.COMPLETE, {"x": 1.0}, artifact=artifact))
    return writer


def test_its_files_and_rows_go_and_those_of_others_stay(store: Store, state: StateFolder) -> None:
    for name in ("a", "b"):
        make(store, state, name).release()
    had = delete_sweep("a", store)
    assert (had.trials, had.bytes, had.folders) == (1, 7, (state.sweep_folder("a"),))
    assert [each.name for each in store.sweeps()] == ["b"]
    assert sorted((state.root / "sweeps").iterdir()) == [state.sweep_folder("b")]
    with pytest.raises(UnknownNameError):
        delete_sweep("a", store)


def test_the_logs_of_its_runs_go_too(store: Store, state: StateFolder) -> None:
    make(store, state, "a").release()
    for name in ("a", "b"):
        state.log_folder(name).mkdir(parents=True)
        (state.log_folder(name) / "run.log").write_text("lines")
    assert delete_sweep("a", store).bytes == 12
    assert list((state.root / "logs").iterdir()) == [state.log_folder("b")]


def test_a_sweep_that_runs_is_not_deleted(store: Store, state: StateFolder) -> None:
    make(store, state, "a")
    with pytest.raises(LeaseHeldError):
        delete_sweep("a", store)
    assert holdings("a", store).bytes == 7


def test_files_of_a_shared_storage_go_too(
    store: Store, state: StateFolder, tmp_path: Path
) -> None:
    kept = tmp_path / "shared" / "sweeps"
    for name in ("a", "b"):
        (kept / name).mkdir(parents=True)
    make(store, state, "a", storage=str(tmp_path / "shared")).release()
    delete_sweep("a", store)
    assert [each.name for each in kept.iterdir()] == ["b"]


@pytest.mark.parametrize("step", ["rmtree", "delete_sweep"])
def test_interrupted_at_any_step_it_is_finished_by_the_next_call(
    store: Store, state: StateFolder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    writer = make(store, state, "a")
    writer.release()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    place = shutil if step == "rmtree" else type(writer)
    with monkeypatch.context() as patch:
        patch.setattr(place, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            delete_sweep("a", store)
    assert [each.name for each in store.sweeps()] == ["a"]
    delete_sweep("a", store)
    assert store.sweeps() == []
    assert not state.sweep_folder("a").exists()


def test_without_mlflow_nothing_is_deleted_unless_its_runs_are_to_stay(
    store: Store, state: StateFolder
) -> None:
    tracking = {"kind": "mlflow", "uri": "http://127.0.0.1:9"}
    make(store, state, "a", tracking=tracking).release()
    store.outbox.record_sweep_run("a", "1", "0" * 32)
    with pytest.raises(OrchestratorError, match="--keep-runs"):
        delete_sweep("a", store)
    assert holdings("a", store).bytes == 7
    delete_sweep("a", store, keep_runs=True)
    assert store.sweeps() == []


@pytest.mark.mlflow
@pytest.mark.slow
def test_its_runs_are_deleted_in_mlflow(store: Store, state: StateFolder) -> None:
    from orchestrator.tracking import MlflowMirror, build_mirror

    make(store, state, "a", tracking={"kind": "mlflow"}).release()
    mirror = build_mirror("mlflow", store, experiment="a", state=state)
    assert isinstance(mirror, MlflowMirror)
    mirror.drain("a")
    runs = holdings("a", store).runs
    assert len(runs) == 2
    delete_sweep("a", store)
    found = [mirror.server.run(run) for run in runs]
    assert all(run is not None and run.is_deleted for run in found)
