"""MLflow runs in an archive: a real MLflow before, and another one after."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError
from orchestrator.housekeeping.archiving import archive_sweep
from orchestrator.housekeeping.deletion import delete_sweep
from orchestrator.housekeeping.restoring import restore_sweep
from orchestrator.state_folder import StateFolder
from orchestrator.storage import open_store
from orchestrator.tracking import MlflowMirror, build_mirror, sync
from orchestrator.tracking.run_copies import COPY_OF
from tests.orchestrator.housekeeping.conftest import Make

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]
_OF_A_PLACE = (COPY_OF, "mlflow.parentRunId", "artifact_path", "paretune.artifact")


def mirror_of(store: Store, state: StateFolder) -> MlflowMirror:
    mirror = build_mirror("mlflow", store, experiment="a", state=state)
    assert isinstance(mirror, MlflowMirror)
    return mirror


def in_mlflow(mirror: MlflowMirror, folder: Path) -> dict[str, dict[str, Any]]:
    """All that MLflow has of the sweep, by the names of the runs."""
    found = {}
    runs = list(mirror.server.runs(mirror.experiment_id(), {}))
    names = {run.run_id: run.tags["mlflow.runName"] for run in runs}
    for run in runs:
        files = folder / run.run_id
        files.mkdir(parents=True)
        mirror.server.download(run.run_id, files)
        found[names[run.run_id]] = {
            "status": (run.status, run.started_ms, run.ended_ms),
            "params": run.params,
            # Links in a description name the run itself.
            "tags": {
                key: text.replace(run.run_id, "this run")
                for key, text in run.tags.items()
                if key not in _OF_A_PLACE
            },
            "parent": names.get(run.tags.get("mlflow.parentRunId", "")),
            "points": [mirror.server.history(run.run_id, key) for key in sorted(run.metrics)],
            "files": {
                path.relative_to(files).as_posix(): path.read_bytes()
                for path in files.rglob("*")
                if path.is_file()
            },
        }
    return found


def test_archived_deleted_and_restored_elsewhere_mlflow_has_the_same(
    make: Make, store: Store, state: StateFolder, tmp_path: Path
) -> None:
    make("a", tracking={"kind": "mlflow"}).release()
    mirror = mirror_of(store, state)
    mirror.drain("a")
    # What people add stays, too.
    parent = store.sweep("a").mlflow_run_id
    assert parent is not None
    with mirror.server._reaching() as client:
        client.set_tag(parent, "mine", "shown to the board")
        client.log_text(parent, "a note", "notes/board.txt")
    before = in_mlflow(mirror, tmp_path / "before")
    assert len(before) == 4
    assert archive_sweep("a", tmp_path / "a.zip", store).runs == 4
    delete_sweep("a", store)

    other = StateFolder(tmp_path / "other")
    done = restore_sweep(tmp_path / "a.zip", other.store_url, state=other)
    assert done.runs == 4
    found = open_store(other.store_url, create=False, state=other)
    elsewhere = mirror_of(found, other)
    assert in_mlflow(elsewhere, tmp_path / "after") == before
    restored = found.sweep("a").mlflow_run_id
    note = elsewhere.server.experiment_tags(elsewhere.experiment_id())["mlflow.note.content"]
    assert f"/runs/{restored}/artifacts/front.html" in note
    # The store names the new runs, so that a mirror adds nothing.
    assert sync(found, "a", elsewhere).is_complete
    assert len(in_mlflow(elsewhere, tmp_path / "synced")) == 4

    # In the MLflow from which they were deleted, the same runs come back.
    restore_sweep(tmp_path / "a.zip")
    assert store.sweep("a").mlflow_run_id == parent
    assert in_mlflow(mirror, tmp_path / "again") == before


def test_interrupted_among_the_runs_the_same_call_makes_each_once(
    make: Make, store: Store, state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("a", tracking={"kind": "mlflow"}).release()
    mirror_of(store, state).drain("a")
    archive_sweep("a", tmp_path / "a.zip", store)
    other = StateFolder(tmp_path / "other")
    from orchestrator.tracking.mlflow_server import MlflowServer

    create = MlflowServer.create_run
    for calls in range(1, 4):
        left = calls

        def interrupted(*given: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return create(*given)

        with monkeypatch.context() as patch:
            patch.setattr(MlflowServer, "create_run", interrupted)
            if calls < 3:
                with pytest.raises(KeyboardInterrupt):
                    restore_sweep(tmp_path / "a.zip", other.store_url, state=other)
                assert open_store(other.store_url, state=other).sweeps() == []
            else:
                restore_sweep(tmp_path / "a.zip", other.store_url, state=other)
    found = open_store(other.store_url, state=other)
    assert len(in_mlflow(mirror_of(found, other), tmp_path / "after")) == 4


def test_without_mlflow_the_rest_is_archived_and_restored(
    make: Make, store: Store, tmp_path: Path
) -> None:
    make("a", tracking={"kind": "mlflow", "uri": "http://127.0.0.1:9"}).release()
    store.outbox.record_sweep_run("a", "1", "0" * 32)
    with pytest.raises(OrchestratorError, match="--without-runs"):
        archive_sweep("a", tmp_path / "a.zip", store)
    assert not (tmp_path / "a.zip").exists()
    archive_sweep("a", tmp_path / "a.zip", store, keep_runs=True)
    other = StateFolder(tmp_path / "other")
    restore_sweep(tmp_path / "a.zip", other.store_url, state=other, without_runs=True)
    found = open_store(other.store_url, state=other)
    assert found.sweep("a").mlflow_run_id is None
    assert [trial.mlflow_run_id for trial in found.trials("a")] == [None] * 3
