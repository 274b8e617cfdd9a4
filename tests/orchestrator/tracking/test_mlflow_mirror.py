"""The mirror on a real MLflow database."""

import json
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.contracts import Outcome
from orchestrator.state_folder import StateFolder
from orchestrator.storage import open_store
from orchestrator.storage.sql_outbox import SqlOutbox
from orchestrator.tracking import MlflowMirror, NoMirror, build_mirror
from orchestrator.tracking.errors import RefusedError
from orchestrator.tracking.mlflow_server import MlflowServer
from orchestrator.tracking.runs import Changes
from orchestrator.trials import ChoiceKind, SweepState, TrialState
from tests.servers import mlflow_client

STOPPED = TrialState.STOPPED

pytestmark = pytest.mark.mlflow

SWEEP = "digits-fc"


def attempts(runs):
    """Runs of attempts by number of trial and attempt."""
    found = [run for run in runs() if run.tags["paretune.run"] == "attempt"]
    by_number = {
        (int(run.tags["paretune.trial"]), int(run.tags["paretune.attempt"])): run for run in found
    }
    assert len(by_number) == len(found)
    return by_number


def parent(runs):
    (run,) = [run for run in runs() if run.tags["paretune.run"] == "sweep"]
    return run


def test_every_state_has_its_own_status(driver, new_mirror, runs):
    driver.complete()
    driver.fail("units is 0")
    driver.stop()
    driver.start(epochs=1)
    driver.start(epochs=1)
    driver.end(4, Outcome(TrialState.INTERRUPTED))
    new_mirror().drain(SWEEP)
    shown = {trial: run.status for (trial, _), run in attempts(runs).items()}
    assert shown == {0: "FINISHED", 1: "FAILED", 2: "KILLED", 3: "RUNNING", 4: "KILLED"}
    assert parent(runs).status == "RUNNING"
    failed = attempts(runs)[1, 0]
    assert failed.tags["failure_kind"] == "error"
    assert failed.tags["failure_message"] == "units is 0"
    assert attempts(runs)[3, 0].ended_ms is None


def test_a_run_carries_what_the_store_knows_of_the_attempt(driver, new_mirror, runs, store):
    trial = driver.complete(0.9, 1_000, params={"units": 32, "lr": 0.1, "bias": True})
    new_mirror().drain(SWEEP)
    run = attempts(runs)[0, 0]
    assert run.params == {
        "units": "32",
        "lr": "0.1",
        "bias": "True",
        "seed": "7",
        "replicate": "0",
        "backbone": "digitnet",
        "data": "digits",
        "tune": "head",
    }
    assert run.metrics == {"val_accuracy": 0.3, **trial.values}
    assert run.tags["mlflow.runName"] == "trial 0"
    assert run.tags["mlflow.parentRunId"] == parent(runs).run_id
    assert run.tags["artifact_path"] == trial.artifact.path
    assert run.tags["artifact_sha256"] == trial.artifact.sha256
    (attempt,) = store.attempts(SWEEP, 0)
    assert attempt.mlflow_run_id == run.run_id
    assert run.ended_ms == round(attempt.ended.timestamp() * 1_000)
    assert run.started_ms == round(attempt.started.timestamp() * 1_000)


def test_every_epoch_is_one_point_however_often_it_is_mirrored(
    driver, new_mirror, store, tracking_uri
):
    driver.start(epochs=2)
    new_mirror().drain(SWEEP)
    driver.writer.interrupt_running()
    driver.attempt(0, epochs=3)
    new_mirror().drain(SWEEP)
    store.outbox.mark_all(SWEEP)
    new_mirror().drain(SWEEP)
    client = mlflow_client(tracking_uri)
    first, second = (attempt.mlflow_run_id for attempt in store.attempts(SWEEP, 0))
    history = client.get_metric_history(second, "val_accuracy")
    assert [(point.step, point.value) for point in history] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert [point.step for point in client.get_metric_history(first, "val_accuracy")] == [1, 2]


def test_two_attempts_are_two_runs(driver, new_mirror, runs):
    driver.start(epochs=1)
    driver.writer.interrupt_running()
    driver.attempt(0, epochs=3)
    new_mirror().drain(SWEEP)
    both = attempts(runs)
    assert {key: run.status for key, run in both.items()} == {(0, 0): "KILLED", (0, 1): "RUNNING"}
    assert both[0, 1].tags["mlflow.runName"] == "trial 0, attempt 2"


def test_mirroring_again_changes_nothing(driver, new_mirror, runs, store):
    driver.complete()
    driver.fail()
    driver.finish()
    new_mirror().drain(SWEEP)
    before = runs()
    assert store.outbox.pending(SWEEP) == []
    store.outbox.mark_all(SWEEP)
    assert new_mirror().drain(SWEEP) == 3
    assert runs() == before


@pytest.mark.parametrize("forgotten", ["record_attempt_run", "record_sweep_run"])
def test_a_crash_before_a_run_was_recorded_makes_no_second_one(
    driver, new_mirror, runs, monkeypatch, forgotten
):
    driver.complete()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SqlOutbox, forgotten, crash)
        with pytest.raises(KeyboardInterrupt):
            new_mirror().drain(SWEEP)
    new_mirror().drain(SWEEP)
    assert Counter(run.tags["paretune.run"] for run in runs()) == {"sweep": 1, "attempt": 1}


def test_a_long_param_is_cut_and_kept_whole_in_a_tag(driver, new_mirror, runs):
    driver.complete(params={"layers": "64," * 2_500})
    mirror = new_mirror()
    mirror.drain(SWEEP)
    assert mirror.refused == []
    assert len(attempts(runs)[0, 0].params["layers"]) == 6_000


def test_the_parent_shows_spec_counts_and_the_growth_of_the_front(
    driver, new_mirror, runs, tracking_uri
):
    for accuracy in (0.5, 0.7, 0.6):
        driver.complete(accuracy)
    driver.fail()
    driver.finish()
    new_mirror().drain(SWEEP)
    run = parent(runs)
    assert run.status == "FINISHED"
    assert run.params["backbone.name"] == "digitnet"
    assert run.params["budget.trials"] == "48"
    assert (run.metrics["trials_complete"], run.metrics["trials_failed"]) == (3, 1)
    history = mlflow_client(tracking_uri).get_metric_history(run.run_id, "hypervolume")
    assert [point.step for point in history] == [1, 2, 3]
    assert 0 < history[0].value < history[1].value == history[2].value
    assert set(json.loads(run.tags["paretune.hypervolume_reference"])) == {
        "accuracy",
        "memory_bytes",
        "robust_accuracy",
    }


def test_the_parent_shows_the_best_value_of_each_objective(driver, new_mirror, runs):
    driver.complete(0.5, 3_000)
    driver.complete(0.7, 9_000)
    driver.fail()
    driver.finish()
    new_mirror().drain(SWEEP)
    metrics = parent(runs).metrics
    assert (metrics["accuracy"], metrics["memory_bytes"]) == (0.7, 3_000)


def test_the_reference_of_the_hypervolume_stays_where_it_was_placed(driver, new_mirror, runs):
    driver.complete(0.5)
    driver.finish(SweepState.INTERRUPTED)
    new_mirror().drain(SWEEP)
    before = parent(runs).tags["paretune.hypervolume_reference"]
    driver.writer.set_sweep_state(SweepState.RUNNING)
    driver.complete(0.1, 90_000)
    driver.finish()
    new_mirror().drain(SWEEP)
    assert parent(runs).tags["paretune.hypervolume_reference"] == before
    assert parent(runs).status == "FINISHED"


def test_a_finished_sweep_shows_its_front(driver, new_mirror, runs, tracking_uri, tmp_path):
    driver.complete(0.9, 1_000)
    driver.complete(0.8, 2_000)
    driver.complete(0.95, 3_000)
    driver.finish()
    new_mirror().drain(SWEEP)
    by_trial = {trial: run for (trial, _), run in attempts(runs).items()}
    shown = {trial for trial, run in by_trial.items() if run.tags.get("pareto") == "true"}
    assert shown == {0, 2}
    assert by_trial[0].tags["front_rank"] == "1"
    server = MlflowServer(tracking_uri)
    assert server.files(by_trial[0].run_id) == {"0.safetensors": 1_000}
    assert server.files(by_trial[1].run_id) == {}
    assert set(server.files(parent(runs).run_id)) == {"sweep.json", "front.csv", "front.html"}
    assert "2 of 3 complete trials" in parent(runs).tags["mlflow.note.content"]
    page = next((tmp_path / "artifacts").rglob("front.html")).read_text(encoding="utf-8")
    assert "<script src=" not in page
    table = next((tmp_path / "artifacts").rglob("front.csv")).read_text(encoding="utf-8")
    assert table.startswith("sweep,trial,")
    assert len(table.splitlines()) == 3


def test_the_front_is_shown_at_the_end_however_lately_it_was_renewed(driver, new_mirror, runs):
    driver.complete(0.8, 1_000)
    mirror = new_mirror()
    mirror.drain(SWEEP)
    driver.writer.set_sweep_state(SweepState.RUNNING)  # the sweep's mark is the oldest
    driver.complete(0.9, 2_000)
    driver.finish()
    mirror.drain(SWEEP)
    assert {run.tags.get("pareto") for run in attempts(runs).values()} == {"true"}
    assert parent(runs).metrics["trials_complete"] == 2


def test_a_member_that_a_later_trial_beats_loses_its_tags(driver, new_mirror, runs):
    driver.complete(0.8, 1_000)
    driver.finish()
    new_mirror().drain(SWEEP)
    driver.writer.set_sweep_state(SweepState.RUNNING)
    driver.complete(0.9, 900)
    driver.finish()
    new_mirror().drain(SWEEP)
    by_trial = {trial: run.tags for (trial, _), run in attempts(runs).items()}
    assert "pareto" not in by_trial[0]
    assert "front_rank" not in by_trial[0]
    assert by_trial[1]["pareto"] == "true"


def test_a_choice_is_a_tag_of_the_run_until_it_is_withdrawn(driver, new_mirror, runs, store):
    driver.complete()
    mirror = new_mirror()
    mirror.drain(SWEEP)
    (run,) = [run for run in runs() if run.tags.get("paretune.trial") == "0"]
    assert "(http://127.0.0.1:5050/#/trial/0)" in run.tags["mlflow.note.content"]
    mine = Changes(tags=(("mlflow.note.content", "my own words"),))
    mirror.server.change(run.run_id, mine)
    store.choose(SWEEP, 0, ChoiceKind.PICKED, note="small <enough>", who="ada")
    mirror.drain(SWEEP)
    tags = next(run.tags for run in runs() if run.tags.get("paretune.trial") == "0")
    chosen = {key: tags.get(key) for key in ("choice", "choice_note", "choice_who")}
    assert chosen == {"choice": "picked", "choice_note": "small <enough>", "choice_who": "ada"}
    assert tags["mlflow.note.content"] == "my own words"
    store.choose(SWEEP, 0, ChoiceKind.CANDIDATE)
    mirror.drain(SWEEP)
    tags = next(run.tags for run in runs() if run.tags.get("paretune.trial") == "0")
    assert (tags["choice"], "choice_note" in tags) == ("candidate", False)
    store.withdraw(SWEEP, 0)
    new_mirror().drain(SWEEP)
    tags = next(run.tags for run in runs() if run.tags.get("paretune.trial") == "0")
    assert not {"choice", "choice_note", "choice_who"} & tags.keys()


def test_a_running_sweep_shows_how_far_it_is(driver, new_mirror, runs, tracking_uri):
    driver.complete()
    new_mirror().drain(SWEEP)
    assert parent(runs).metrics["trials_complete"] == 1
    assert "front.html" in MlflowServer(tracking_uri).files(parent(runs).run_id)
    assert "pareto" not in attempts(runs)[0, 0].tags


def test_a_spec_that_grows_is_no_trouble(driver, new_mirror, runs, store):
    new_mirror().drain(SWEEP)
    spec = dict(store.sweep(SWEEP).spec)
    driver.writer.set_spec({**spec, "budget": {"trials": 96, "seconds": None}})
    mirror = new_mirror()
    mirror.drain(SWEEP)
    assert mirror.refused == []
    assert parent(runs).params["budget.trials"] == "48"


def test_a_password_in_the_spec_does_not_reach_mlflow(driver, new_mirror, runs, store, tmp_path):
    spec = {**store.sweep(SWEEP).spec, "store": "postgresql+psycopg://ann:hunter2@host/db"}
    driver.writer.set_spec(spec)
    driver.finish()
    new_mirror().drain(SWEEP)
    assert parent(runs).params["store"] == "postgresql+psycopg://***@host/db"
    text = next((tmp_path / "artifacts").rglob("sweep.json")).read_text(encoding="utf-8")
    assert "hunter2" not in text
    assert "hunter2" not in str(runs())


def test_runs_in_the_bin_come_back(driver, new_mirror, runs, store, tracking_uri):
    driver.complete()
    new_mirror().drain(SWEEP)
    before = runs()
    client = mlflow_client(tracking_uri)
    client.delete_experiment(client.get_experiment_by_name(SWEEP).experiment_id)
    store.outbox.mark_all(SWEEP)
    new_mirror().drain(SWEEP)
    assert {run.run_id for run in runs()} == {run.run_id for run in before}


def test_another_store_with_the_same_sweep_has_runs_of_its_own(
    driver, new_mirror, runs, tmp_path, tracking_uri
):
    driver.complete()
    new_mirror().drain(SWEEP)
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    other = open_store(f"sqlite:///{other_folder / 'paretune.db'}")
    twin = type(driver)(other, other_folder)
    twin.complete()
    root = other_folder / "artifacts"
    twin.finish()
    MlflowMirror(other, tracking_uri, artifact_root=root, experiment=SWEEP).drain(SWEEP)
    assert Counter(run.tags["paretune.run"] for run in runs()) == {"sweep": 2, "attempt": 2}
    # And artifacts: none is written into the other project's folder.
    assert len(list(root.rglob("front.html"))) == 1
    assert len(list(root.rglob("0.safetensors"))) == 1
    driver.finish()
    new_mirror().drain(SWEEP)
    assert len(list((tmp_path / "artifacts").rglob("front.html"))) == 1
    assert len(list(root.rglob("front.html"))) == 1


def test_no_more_marks_than_asked_for_are_mirrored(driver, new_mirror, store):
    for _ in range(3):
        driver.stop()
    assert new_mirror().drain(SWEEP, limit=2) == 2
    assert new_mirror().pending(SWEEP) == 2


def test_what_mlflow_refuses_holds_up_nothing_else(driver, new_mirror, runs, store, monkeypatch):
    driver.stop()
    driver.stop()
    bring = MlflowServer.bring

    def refuse_first(server, run, content):
        if content.name == "trial 0":
            raise RefusedError("the key is 300 letters long")
        bring(server, run, content)

    monkeypatch.setattr(MlflowServer, "bring", refuse_first)
    mirror = new_mirror()
    mirror.drain(SWEEP)
    assert mirror.refused == ["trial 0 of 'digits-fc': the key is 300 letters long"]
    assert store.outbox.pending(SWEEP) == []
    assert attempts(runs)[1, 0].status == "KILLED"


def test_a_change_while_it_is_mirrored_is_not_forgotten(
    driver, new_mirror, runs, store, monkeypatch
):
    trial = driver.start(epochs=1)
    bring, changes = MlflowServer.bring, [lambda: driver.end(trial.number, Outcome(STOPPED))]

    def bring_late(server, run, content):
        if content.name == "trial 0" and changes:
            changes.pop()()
        bring(server, run, content)

    monkeypatch.setattr(MlflowServer, "bring", bring_late)
    new_mirror().drain(SWEEP)
    assert attempts(runs)[0, 0].status == "KILLED"
    assert store.outbox.pending(SWEEP) == []


def test_the_tracking_section_names_a_mirror(store, tmp_path):
    state = StateFolder(tmp_path / "state")
    mirror = build_mirror("mlflow", store, experiment=SWEEP, state=state)
    assert isinstance(mirror, MlflowMirror)
    assert mirror.server.name == state.tracking_uri
    assert not Path(state.root).exists()
    assert isinstance(build_mirror("none", store, experiment=SWEEP, state=state), NoMirror)
