"""`sync` on a real MLflow database."""

from dataclasses import asdict

import pytest
from mlflow import MlflowClient

from orchestrator.tracking import sync

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
    MlflowClient(tracking_uri).delete_run(run_id)
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
    client = MlflowClient(tracking_uri)
    known = client.get_run(store.trial(SWEEP, 0).mlflow_run_id)
    twin = client.create_run(known.info.experiment_id, tags=known.data.tags)
    report = sync(store, SWEEP, new_mirror())
    assert report.is_complete
    assert twin.info.run_id in report.repaired[0]
    assert twin.info.run_id not in {run.run_id for run in runs()}


def test_a_run_stuck_as_running_is_ended(finished, store, new_mirror, runs, tracking_uri):
    sync(store, SWEEP, new_mirror())
    MlflowClient(tracking_uri).update_run(store.trial(SWEEP, 0).mlflow_run_id, status="RUNNING")
    assert sync(store, SWEEP, new_mirror()).is_complete
    assert {run.status for run in runs()} == {"FINISHED", "FAILED"}


def test_what_cannot_be_repaired_is_named(finished, store, new_mirror):
    (finished.folder / "0.safetensors").unlink()
    report = sync(store, SWEEP, new_mirror())
    assert not report.is_complete
    assert report.missing == ["trial 0: its run lacks the file 0.safetensors"]
