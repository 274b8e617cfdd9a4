"""A run as it is watched: its log names the trial of each event, its metrics are its own."""

import json
from pathlib import Path

import pytest

from orchestrator.contracts import Job, JobSource, News, Outcome, Silent, Store
from orchestrator.driver.running import run
from orchestrator.driver.watch import Watch, watched
from orchestrator.errors import OrchestratorError
from orchestrator.logs.lines import Line
from orchestrator.logs.run_log import LogFormat
from orchestrator.metrics.serving import MetricsPlace
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import Failure, FailureKind, Report, TrialState
from tests.orchestrator.driver.test_running import Played, make_spec
from trainers.stages.use import CacheUse

JSON = Watch(LogFormat.JSON)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path))
    store = open_store()
    yield store
    store.close()


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Told(Played):
    """Workers that also tell where they are and what they logged and cached."""

    def run(self, source: JobSource) -> None:
        while (job := source.next_job()) is not None:
            source.started(job)
            source.placed(job, "ray 10.0.0.7:4711 node 5e2f")
            line = Line(1.5, 30, "trainers.x", "an image is black", job.trial, job.attempt)
            source.told(News((line,), CacheUse(hits=1)), "ray 10.0.0.7:4711 node 5e2f")
            source.ended(job, self.ends(job) if self.ends else Outcome(TrialState.INTERRUPTED))


def diverged(job: Job) -> Outcome:
    return Outcome(TrialState.FAILED, failure=Failure(FailureKind.DIVERGED, "The loss is NaN."))


def lines(folder: Path) -> list[dict[str, object]]:
    (file,) = (folder / "logs" / "a").glob("*.log")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_each_event_of_a_trial_names_its_attempt_node_and_worker(
    store: Store, tmp_path: Path
) -> None:
    told = Told(ends=diverged)
    run(make_spec(budget={"trials": 1}), store=store, executor=told, watch=JSON)
    written = lines(tmp_path)
    about = [line for line in written if line["trial"] == 0]
    assert [line.get("event") for line in about] == [
        "trial_started",
        "trial_placed",
        None,
        "trial_ended",
    ]
    assert {(line["sweep"], line["attempt"]) for line in about} == {("a", 0)}
    assert {(line["node"], line["worker"]) for line in about[1:]} == {("5e2f", "10.0.0.7:4711")}
    assert about[2]["message"] == "an image is black"
    assert (about[3]["state"], about[3]["failure"]) == ("failed", "diverged")
    assert about[3]["level"] == "WARNING"
    fields = {"time", "level", "sweep", "trial", "attempt", "node", "worker", "message"}
    assert all(fields <= line.keys() for line in written)
    assert written[-1]["event"] == "run_ended"


def test_the_path_of_the_log_is_told_and_every_run_has_its_own(
    store: Store, tmp_path: Path
) -> None:
    shown = Notes()
    run(make_spec(), store=store, executor=Played(), progress=shown)
    (path,) = [note.removeprefix("log: ") for note in shown.notes if note.startswith("log: ")]
    assert Path(path).is_relative_to(tmp_path / "logs" / "a")
    assert "trial 5 complete: accuracy 50.0 %" in Path(path).read_text()


def test_a_run_that_fails_has_the_reason_in_its_log(store: Store, tmp_path: Path) -> None:
    def fails(job: Job) -> None:
        raise OrchestratorError("the store went away")

    with pytest.raises(OrchestratorError, match="went away"):
        run(make_spec(), store=store, executor=Played(before=fails), watch=JSON)
    last = lines(tmp_path)[-1]
    assert (last["level"], last["message"]) == ("ERROR", "the run failed: the store went away")


def test_a_run_that_is_refused_leaves_no_log(store: Store, tmp_path: Path) -> None:
    refused = Played(refuses=OrchestratorError("no images"))
    with pytest.raises(OrchestratorError, match="no images"):
        run(make_spec(), store=store, executor=refused)
    assert not (tmp_path / "logs").exists()


def test_a_lost_worker_is_counted_and_logged_though_its_trial_goes_on(
    store: Store, tmp_path: Path
) -> None:
    def lost_once(job: Job) -> Outcome:
        if job.attempt == 0:
            failure = Failure(FailureKind.WORKER_LOST, "Its process died.")
            return Outcome(TrialState.FAILED, failure=failure)
        return diverged(job)

    file = tmp_path / "run.prom"
    watch = Watch(LogFormat.JSON, MetricsPlace(file=file))
    told = Told(ends=lost_once)
    run(make_spec(budget={"trials": 1}), store=store, executor=told, watch=watch)
    text = file.read_text()
    for state, kind in (("interrupted", "worker_lost"), ("failed", "diverged")):
        sample = f'paretune_attempts_total{{failure="{kind}",state="{state}",sweep="a"}} 1.0'
        assert sample in text
    ends = [line for line in lines(tmp_path) if line.get("event") == "trial_ended"]
    assert [(line["attempt"], line["failure"]) for line in ends] == [
        (0, "worker_lost"),
        (1, "diverged"),
    ]


def test_the_metrics_of_a_run_are_in_its_file_when_it_is_over(
    store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "run.prom"
    told = Told(ends=diverged)
    watch = Watch(metrics=MetricsPlace(file=file))
    run(make_spec(budget={"trials": 3}), store=store, executor=told, watch=watch)
    text = file.read_text()
    for sample in (
        'paretune_trials{state="failed",sweep="a"} 3.0',
        'paretune_attempts_total{failure="diverged",state="failed",sweep="a"} 3.0',
        'paretune_stage_cache_lookups_total{result="hit",sweep="a"} 3.0',
        'paretune_store_seconds_count{operation="start_attempt",sweep="a"} 3.0',
        'paretune_slots{sweep="a"} 2.0',
    ):
        assert sample in text


def test_the_first_report_of_a_run_is_heard_of_once(store: Store, tmp_path: Path) -> None:
    heard: list[str] = []
    with watched(make_spec(), StateFolder(tmp_path), Watch(), lambda _: None) as seen:
        seen.when_reported(lambda: heard.append("reported"))
        shown = seen.progress(Silent())
        shown.note("It begins.")
        assert not heard
        shown.trial_reported(0, Report(1, {}))
        shown.trial_reported(0, Report(2, {}))
    assert heard == ["reported"]
