"""`sync` on a real MLflow database."""

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from orchestrator.state_folder import StateFolder
from orchestrator.storage import open_store
from orchestrator.tracking import build_mirror, sync
from tests.servers import mlflow_client

pytestmark = pytest.mark.mlflow

SWEEP = "digits-fc"


@pytest.fixture
def finished(driver):
    driver.complete(0.9, 1_000)
    driver.complete(0.8, 2_000)
    driver.fail()
    driver.finish()
    return driver


def test_a_synced_sweep_is_complete(finished, store, new_mirror):
    report = sync(store, SWEEP, new_mirror())
    assert report.is_complete
    assert (report.runs.expected, report.runs.found) == (4, 4)
    assert report.params.expected == report.params.found > 20
    assert report.metrics.expected == report.metrics.found == 4 + 4 + 1
    # Of the parent 3, a traceback, the packed network of the front's one member.
    assert (report.artifacts.expected, report.artifacts.found) == (5, 5)
    assert report.repaired == []


def test_syncing_twice_makes_nothing_new(finished, store, new_mirror, runs):
    first = sync(store, SWEEP, new_mirror())
    before = runs()
    assert asdict(sync(store, SWEEP, new_mirror())) == asdict(first)
    assert runs() == before


def test_a_run_deleted_by_hand_comes_back(finished, store, new_mirror, runs, tracking_uri):
    sync(store, SWEEP, new_mirror())
    run_id = store.trial(SWEEP, 0).mlflow_run_id
    mlflow_client(tracking_uri).delete_run(run_id)
    assert len(runs()) == 3
    assert sync(store, SWEEP, new_mirror()).is_complete
    assert run_id in {run.run_id for run in runs()}


def test_a_run_that_is_gone_for_good_is_made_again(finished, store, new_mirror, runs):
    sync(store, SWEEP, new_mirror())
    store.outbox.record_attempt_run(SWEEP, 0, 0, "0" * 32)
    for run in runs():
        if run.tags.get("paretune.trial") == "0":
            new_mirror().server.remove_tag(run.run_id, "paretune.sweep_id")
    assert sync(store, SWEEP, new_mirror()).is_complete
    assert len(runs()) == 5
    assert store.trial(SWEEP, 0).mlflow_run_id != "0" * 32


def test_a_second_run_of_an_attempt_goes_to_the_bin(
    finished, store, new_mirror, runs, tracking_uri
):
    sync(store, SWEEP, new_mirror())
    client = mlflow_client(tracking_uri)
    known = client.get_run(store.trial(SWEEP, 0).mlflow_run_id)
    twin = client.create_run(known.info.experiment_id, tags=known.data.tags)
    report = sync(store, SWEEP, new_mirror())
    assert report.is_complete
    assert twin.info.run_id in report.repaired[0]
    assert twin.info.run_id not in {run.run_id for run in runs()}


def test_a_run_stuck_as_running_is_ended(finished, store, new_mirror, runs, tracking_uri):
    sync(store, SWEEP, new_mirror())
    mlflow_client(tracking_uri).update_run(store.trial(SWEEP, 0).mlflow_run_id, status="RUNNING")
    assert sync(store, SWEEP, new_mirror()).is_complete
    assert {run.status for run in runs()} == {"FINISHED", "FAILED"}


def test_what_cannot_be_repaired_is_named(finished, store, new_mirror):
    (finished.folder / "0.safetensors").unlink()
    report = sync(store, SWEEP, new_mirror())
    assert not report.is_complete
    assert report.missing == ["trial 0: its run lacks the file 0.safetensors"]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, but for those by which SQLite and MLflow lock."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p): p.read_bytes() for p in files if not p.name.endswith(("-shm", "-wal"))}


def places(state: StateFolder) -> list[str]:
    """Where MLflow says that artifacts are."""
    client = mlflow_client(state.tracking_uri)
    experiment = client.get_experiment_by_name(SWEEP)
    runs = client.search_runs([experiment.experiment_id])
    return [experiment.artifact_location, *(run.info.artifact_uri for run in runs)]


@pytest.fixture
def project(tmp_path: Path, empty_mlflow: Path, driver_type) -> StateFolder:
    """A state folder with a mirrored sweep in it."""
    state = StateFolder(tmp_path / "project" / ".paretune")
    state.root.mkdir(parents=True)
    shutil.copy(empty_mlflow, state.root / "mlflow.db")
    store = open_store(state.store_url, state=state)
    folder = state.sweep_folder(SWEEP)
    folder.mkdir(parents=True)
    driver = driver_type(store, folder)
    driver.complete()
    driver.fail()
    driver.finish()
    assert sync(store, SWEEP, build_mirror("mlflow", store, experiment=SWEEP, state=state))
    store.close()
    return state


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_artifacts_follow_their_project(project: StateFolder, tmp_path: Path, how: str) -> None:
    new = StateFolder(tmp_path / "größe 1" / ".paretune")
    if how == "moved":
        new.root.parent.mkdir()
        project.root.rename(new.root)
    else:
        shutil.copytree(project.root, new.root)
    before = contents(project.root)
    store = open_store(new.store_url, state=new)
    # What is written again is written here.
    for page in new.tracking_artifacts.rglob("front.html"):
        page.unlink()
    for text in new.tracking_artifacts.rglob("traceback.txt"):
        text.unlink()
    mirror = build_mirror("mlflow", store, experiment=SWEEP, state=new)
    report = sync(store, SWEEP, mirror)
    assert report.missing == []
    assert len(places(new)) == 4
    home = (new.tracking_artifacts / SWEEP).as_uri()
    assert all(place.startswith(home) for place in places(new))
    assert len(list(new.tracking_artifacts.rglob("front.html"))) == 1
    assert contents(project.root) == before
    assert project.root.exists() == (how == "copied")
    store.close()


def test_artifacts_that_a_person_placed_elsewhere_stay_there(
    finished, store, new_mirror, tracking_uri, tmp_path
):
    chosen = (tmp_path / "chosen").as_uri()
    mlflow_client(tracking_uri).create_experiment(SWEEP, artifact_location=chosen)
    assert sync(store, SWEEP, new_mirror()).is_complete
    assert len(list((tmp_path / "chosen").rglob("front.html"))) == 1
    assert not (tmp_path / "artifacts").exists()
