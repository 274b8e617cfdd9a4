"""A renamed sweep is the same under another name; interrupted, the same call finishes it."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contracts import Store
from orchestrator.errors import (
    LeaseHeldError,
    OrchestratorError,
    SweepExistsError,
    UnknownNameError,
    UsageError,
)
from orchestrator.housekeeping.renaming import rename_sweep
from orchestrator.state_folder import StateFolder
from orchestrator.storage import open_store
from orchestrator.tracking import MlflowMirror, build_mirror, sync
from tests.orchestrator.housekeeping.conftest import Make
from tests.orchestrator.housekeeping.remains import files_in, killed_at_each_step, stored


def nameless(found: dict[str, Any], name: str) -> dict[str, Any]:
    """The same without the name, wherever it stands; the mark of the sweep is the renaming's."""
    sweep = replace(found["sweep"], name="", spec={**found["sweep"].spec, "name": ""})
    trials = [replace(trial, sweep="") for trial in found["trials"]]
    trials = [
        replace(t, artifact=replace(t.artifact, path=t.artifact.path.replace(f"/{name}/", "//")))
        if t.artifact
        else t
        for t in trials
    ]
    return {**found, "sweep": sweep, "trials": trials}


def test_it_is_the_same_under_another_name(make: Make, store: Store, state: StateFolder) -> None:
    make("aa").release()
    make("a").release()
    others, files = stored(store, "aa"), files_in(state.sweep_folder("a"))
    before = nameless(stored(store, "a"), "a")
    rename_sweep("a", "b", store)
    assert nameless(stored(store, "b"), "b") == before
    assert files_in(state.sweep_folder("b")) == files
    assert Path(store.trial("b", 0).artifact.path).read_bytes() == b"network 0 of a"
    assert not state.sweep_folder("a").exists()
    assert sorted(each.name for each in (state.root / "logs").iterdir()) == ["aa", "b"]
    assert stored(store, "aa") == others
    with pytest.raises(UnknownNameError):
        rename_sweep("a", "c", store)
    assert not state.sweep_folder("c").exists()


@pytest.mark.slow
def test_killed_at_any_step_the_same_call_finishes_it(
    make: Make, store: Store, state: StateFolder, tmp_path: Path
) -> None:
    make("a").release()
    before, files = nameless(stored(store, "a"), "a"), files_in(state.sweep_folder("a"))
    kept = shutil.copytree(state.root, tmp_path / "kept")
    store.close()
    for step in killed_at_each_step(lambda: rename_sweep("a", "b"), points=12):
        if step:
            seen = open_store(None, create=False)
            (now,) = [each.name for each in seen.sweeps()]
            assert nameless(stored(seen, now), now) == before
            assert Path(seen.trial(now, 0).artifact.path).read_bytes() == b"network 0 of a"
            rename_sweep("a", "b", seen)
            assert nameless(stored(seen, "b"), "b") == before
            assert files_in(state.root / "sweeps") == {f"b/{n}": c for n, c in files.items()}
            seen.close()
        shutil.rmtree(state.root)
        shutil.copytree(kept, state.root)


def test_what_is_taken_or_runs_is_refused(make: Make, store: Store, state: StateFolder) -> None:
    make("b").release()
    writer = make("a")
    with pytest.raises(LeaseHeldError):
        rename_sweep("a", "c", store)
    writer.release()
    with pytest.raises(SweepExistsError):
        rename_sweep("a", "b", store)
    with pytest.raises(UsageError):
        rename_sweep("a", "../b", store)
    state.sweep_folder("d").mkdir()
    (state.sweep_folder("d") / "theirs").touch()
    with pytest.raises(SweepExistsError, match="files of another sweep"):
        rename_sweep("a", "d", store)
    assert [each.name for each in store.sweeps()] == ["b", "a"]


def test_files_of_a_storage_are_renamed_too(make: Make, store: Store, tmp_path: Path) -> None:
    shared = tmp_path / "shared" / "sweeps"
    make("a", storage=str(tmp_path / "shared")).release()
    (shared / "a" / "trials").mkdir(parents=True)
    (shared / "a" / "trials" / "file").write_bytes(b"stored")
    rename_sweep("a", "b", store)
    assert files_in(shared) == {"b/trials/file": b"stored"}


@pytest.mark.mlflow
@pytest.mark.slow
def test_mlflow_shows_the_new_name(make: Make, store: Store, state: StateFolder) -> None:
    make("a", tracking={"kind": "mlflow"}).release()
    mirror = build_mirror("mlflow", store, experiment="a", state=state)
    assert isinstance(mirror, MlflowMirror)
    mirror.drain("a")
    before = store.sweep("a")
    parent = before.mlflow_run_id
    assert parent is not None
    rename_sweep("a", "b", store)
    renamed = build_mirror("mlflow", store, experiment="b", state=state)
    assert isinstance(renamed, MlflowMirror)
    assert set(renamed.server.experiments()) - {"Default"} == {"b"}
    assert store.sweep("b").mlflow_experiment_id == before.mlflow_experiment_id
    run = renamed.server.run(parent)
    assert run is not None
    assert (run.tags["mlflow.runName"], run.tags["paretune.sweep"]) == ("b", "b")
    assert "sweep.json" in renamed.server.files(parent)
    assert [each.name for each in state.tracking_artifacts.iterdir()] == ["b"]
    report = sync(store, "b", renamed)
    assert report.is_complete
    assert report.repaired == []
    # Others' runs in the experiment would be renamed with it.
    renamed.server.create_run(renamed.experiment_id(), _theirs(), {"mine": "yes"})
    with pytest.raises(OrchestratorError, match="--without-runs"):
        rename_sweep("b", "c", store)
    rename_sweep("b", "c", store, without_runs=True)
    assert store.sweep("c").mlflow_run_id is None


def _theirs() -> Any:
    from orchestrator.tracking.runs import RunContent

    return RunContent("theirs", "RUNNING", 0)
