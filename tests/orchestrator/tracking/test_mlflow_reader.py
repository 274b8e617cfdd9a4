"""A sweep read back from MLflow alone."""

from dataclasses import replace

import pytest

from orchestrator.errors import OrchestratorError, UnknownNameError
from orchestrator.queries.sweeps import open_sweep, pareto_front
from orchestrator.spec.stored import spec_objectives
from orchestrator.tracking.mlflow_reader import trials_from_mlflow
from orchestrator.trials import SweepState

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


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(OrchestratorError, match="no MLflow database"):
        trials_from_mlflow(f"sqlite:///{tmp_path / 'none.db'}", SWEEP)
    assert not (tmp_path / "none.db").exists()
