"""A sweep read back from MLflow alone."""

from dataclasses import replace

import pytest

from orchestrator.errors import OrchestratorError, UnknownNameError
from orchestrator.queries.sweeps import open_sweep, pareto_front
from orchestrator.spec.stored import spec_objectives
from orchestrator.storage import open_store
from orchestrator.tracking import MlflowMirror, sync
from orchestrator.tracking.mlflow_reader import trials_from_mlflow
from orchestrator.tracking.mlflow_server import MlflowServer
from orchestrator.trials import SweepState
from tests.orchestrator.tracking.conftest import Driver
from tests.servers import mlflow_client

pytestmark = pytest.mark.mlflow

SWEEP = "digits-fc"


@pytest.fixture
def mirrored(driver, new_mirror):
    typed = {"units": 64, "lr": 0.1 + 0.2, "bias": True, "bits": "4", "layers": "64," * 2_500}
    driver.complete(0.9 + 1e-16, 1_000, params=typed)
    driver.complete(1 / 3, 900, params={"units": 32, "name": "größer | '"})
    driver.complete(0.99, 300_000)
    driver.complete(0.2, 2_000)
    driver.fail()
    driver.stop()
    driver.start(epochs=1)
    driver.writer.interrupt_running()
    driver.attempt(6, epochs=2)
    driver.finish(SweepState.INTERRUPTED)
    new_mirror().drain(SWEEP)
    return driver


def comparable(trial):
    """A trial without what MLflow is not told, and a traceback, which is a file there."""
    failure = trial.failure and replace(trial.failure, traceback="")
    return replace(trial, sampler_attrs={}, created=None, ended=None, failure=failure)


def test_trials_come_back_with_their_types(mirrored, store, tracking_uri):
    objectives, trials, constraints = trials_from_mlflow(tracking_uri, SWEEP)
    assert list(map(comparable, trials)) == list(map(comparable, store.trials(SWEEP)))
    assert [type(value) for value in trials[0].params.values()] == [int, float, bool, str, str]
    assert objectives == spec_objectives(store.sweep(SWEEP).spec)
    assert constraints == ["memory_bytes <= 200kB"]
    assert abs(trials[0].ended - store.trial(SWEEP, 0).ended).total_seconds() <= 0.001


def test_the_front_of_mlflow_is_the_front_of_the_store(mirrored, store, tracking_uri):
    front = pareto_front(tracking_uri=tracking_uri, experiment=SWEEP)
    assert front.members == open_sweep(SWEEP, store).front().members
    assert {member.trial for member in front} == {0, 1}


def test_what_mlflow_alone_cannot_tell_is_refused_and_not_quietly_false(mirrored, tracking_uri):
    with pytest.raises(UnknownNameError, match="'backbone'"):
        pareto_front(tracking_uri=tracking_uri, experiment=SWEEP, where="backbone == 'digitnet'")


def test_an_unknown_experiment_is_named_with_those_that_there_are(mirrored, tracking_uri):
    with pytest.raises(UnknownNameError, match="Did you mean 'digits-fc'"):
        trials_from_mlflow(tracking_uri, "digits-fx")


def test_an_experiment_of_something_else_is_a_sentence(tracking_uri):
    with pytest.raises(OrchestratorError, match=r"'Default' of MLflow .* holds no sweep"):
        trials_from_mlflow(tracking_uri, "Default")


def test_a_deleted_experiment_is_said_to_be_restored_by_sync(
    mirrored, store, tracking_uri, new_mirror
):
    client = mlflow_client(tracking_uri)
    client.delete_experiment(MlflowServer(tracking_uri).experiments()[SWEEP])
    with pytest.raises(OrchestratorError, match=r"deleted .*paretune sync digits-fc"):
        trials_from_mlflow(tracking_uri, SWEEP)
    assert sync(store, SWEEP, new_mirror()).is_complete
    assert len(trials_from_mlflow(tracking_uri, SWEEP)[1]) == 7


def test_of_two_sweeps_of_one_name_one_is_chosen_and_the_other_told(
    mirrored, tracking_uri, tmp_path, caplog
):
    theirs = open_store(f"sqlite:///{tmp_path / 'theirs.db'}")
    driver = Driver(theirs, tmp_path)
    driver.complete(0.7, 500)
    driver.finish()
    mirror = MlflowMirror(theirs, tracking_uri, artifact_root=tmp_path / "a", experiment=SWEEP)
    mirror.drain(SWEEP)
    front = pareto_front(tracking_uri=tracking_uri, experiment=SWEEP)
    assert front.members == open_sweep(SWEEP, theirs).front().members
    (said,) = [record.getMessage() for record in caplog.records if SWEEP in record.getMessage()]
    ours, other = mirrored.store.sweep(SWEEP).mlflow_run_id, theirs.sweep(SWEEP).mlflow_run_id
    assert "holds 2 sweeps" in said
    assert ours in said
    assert other in said
    caplog.clear()
    chosen = pareto_front(tracking_uri=tracking_uri, experiment=SWEEP, parent_run=ours)
    assert chosen.members == open_sweep(SWEEP, mirrored.store).front().members
    assert caplog.records == []
    with pytest.raises(UnknownNameError, match="parent run"):
        pareto_front(tracking_uri=tracking_uri, experiment=SWEEP, parent_run="x")
    theirs.close()


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(OrchestratorError, match="no MLflow database"):
        trials_from_mlflow(f"sqlite:///{tmp_path / 'none.db'}", SWEEP)
    assert not (tmp_path / "none.db").exists()
