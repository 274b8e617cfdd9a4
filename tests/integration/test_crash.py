"""A driver that is killed, one that is interrupted, and what is left in the end.

The story is told once: `paretune run` is killed with SIGKILL in mid-sweep; the same command goes
on and is interrupted with Ctrl-C; `paretune resume` ends the sweep. The tests look at the pieces.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError
from orchestrator.storage.opening import open_store
from orchestrator.trials import Report, SweepState, Trial, TrialState
from tests.faults.testbed import kill, kill_session

pytestmark = [pytest.mark.ray, pytest.mark.serial]

BUDGET = 7
# Long enough to be killed in the middle.
EPOCHS = 40
# Two trials at once, on any machine.
CPUS = max(1, len(os.sched_getaffinity(0)) // 2)
SWEEP = f"""\
name: crash
backbone: {{name: digitnet, weights: scratch}}
data: {{name: digits, limit: 150}}
space:
  fc_width_1: {{type: int, low: 8, high: 64}}
  bits: {{type: choice, values: [4, 8]}}
training: {{tune: "last_blocks:1", epochs: {EPOCHS}, batch_size: 64}}
objectives: {{accuracy: maximize, memory_bytes: minimize}}
budget: {{trials: {BUDGET}}}
execution: {{cache: off}}
resources: {{cpus: {CPUS}}}
"""
PROGRAM = "from orchestrator.cli.app import main; main()"
LONGEST_S = 240.0


@dataclass(frozen=True)
class Snapshot:
    """What the store holds at one moment."""

    state: SweepState
    reason: str
    trials: list[Trial]
    reports: Mapping[int, list[Report]]

    @classmethod
    def of(cls, store: Store) -> "Snapshot":
        record, trials = store.sweep("crash"), store.trials("crash")
        reports = {trial.number: store.reports("crash", trial.number) for trial in trials}
        return cls(record.state, record.stop_reason, trials, reports)

    def count(self, state: TrialState) -> int:
        return sum(trial.state is state for trial in self.trials)


@dataclass
class Project:
    """A folder with a sweep file, and the command in processes of its own."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "sweep.yaml"

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        env = {**os.environ, "PARETUNE_HOME": str(self.folder / "state"), **environment}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            cwd=self.folder,
            env={key: value for key, value in env.items() if value},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A process group of its own, as a terminal would give it: Ctrl-C reaches all of it.
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def call(self, *words: str, **environment: str) -> tuple[int, str]:
        process = self.start(*words, **environment)
        output, _ = process.communicate(timeout=LONGEST_S)
        return process.returncode, output

    def open(self) -> Store:
        return open_store(f"sqlite:///{self.folder / 'state' / 'paretune.db'}", create=False)

    def wait_for(
        self, process: subprocess.Popen[str], done: Callable[[Snapshot], bool]
    ) -> Snapshot:
        """Look into the store until something is there; fails if the process ends before."""
        deadline = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                pytest.fail(f"the command ended too early: {process.communicate()[0]}")
            try:
                store = self.open()
                now = Snapshot.of(store)
                store.close()
            except OrchestratorError:  # neither the store nor the sweep is there yet
                time.sleep(0.2)
                continue
            if done(now):
                return now
            time.sleep(0.1)
        pytest.fail("nothing happened in time")

    def end(self) -> None:
        """Leave no process behind that was started here."""
        for process in self.started:
            kill_session(process.pid)
            process.communicate()


@dataclass(frozen=True)
class Story:
    """The store after each chapter, and what the commands said."""

    project: Project
    killed: Snapshot
    interrupted: Snapshot
    interrupted_call: tuple[int, str]
    ended: Snapshot
    ended_call: tuple[int, str]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    project = Project(tmp_path_factory.mktemp("crash"))
    project.file.write_text(SWEEP)
    try:
        yield _told(project)
    finally:
        project.end()


def _told(project: Project) -> Story:
    first = project.start("run", str(project.file))
    project.wait_for(
        first,
        lambda now: now.count(TrialState.COMPLETE) >= 2 and now.count(TrialState.RUNNING) > 0,
    )
    kill(first.pid)
    first.communicate(timeout=LONGEST_S)
    store = project.open()
    killed = Snapshot.of(store)

    second = project.start("run", str(project.file))
    project.wait_for(second, lambda now: _has_begun(now, killed))
    os.killpg(second.pid, signal.SIGINT)
    output, _ = second.communicate(timeout=LONGEST_S)
    interrupted = Snapshot.of(store)

    ended_call = project.call("resume", "crash")
    ended = Snapshot.of(store)
    store.close()
    return Story(project, killed, interrupted, (second.returncode, output), ended, ended_call)


def _has_begun(now: Snapshot, before: Snapshot) -> bool:
    """Whether more is complete than before, and a trial runs that finished some epochs."""
    is_further = now.count(TrialState.COMPLETE) > before.count(TrialState.COMPLETE)
    return is_further and any(
        trial.state is TrialState.RUNNING and 0 < len(now.reports[trial.number]) < EPOCHS
        for trial in now.trials
    )


def test_a_killed_driver_has_lost_nothing_that_was_complete(story: Story) -> None:
    assert 2 <= story.killed.count(TrialState.COMPLETE) < BUDGET
    after = {trial.number: trial for trial in story.ended.trials}
    for trial in story.killed.trials:
        if trial.state is TrialState.COMPLETE:
            assert after[trial.number].attempts == 1
            assert after[trial.number].artifact == trial.artifact
        assert after[trial.number].params == trial.params
        assert after[trial.number].seed == trial.seed


def test_ctrl_c_interrupts_what_runs_and_exits_130(story: Story) -> None:
    code, output = story.interrupted_call
    assert code == 130, output
    assert "Traceback" not in output
    assert "paretune resume crash" in output
    assert story.interrupted.state is SweepState.INTERRUPTED
    assert story.interrupted.reason == "interrupted by SIGINT"
    assert story.interrupted.count(TrialState.INTERRUPTED) > 0
    assert story.interrupted.count(TrialState.RUNNING) == 0


def test_an_interrupted_trial_keeps_its_epochs(story: Story) -> None:
    store = story.project.open()
    for trial in story.interrupted.trials:
        if trial.state is TrialState.INTERRUPTED:
            before = {
                report.epoch: report.values for report in story.interrupted.reports[trial.number]
            }
            after = {report.epoch: report.values for report in story.ended.reports[trial.number]}
            assert sorted(after) == list(range(1, EPOCHS + 1))
            # The time of an epoch tells whether it was trained again.
            kept = [epoch for epoch, values in before.items() if after[epoch] == values]
            assert kept == sorted(before)
    store.close()


def test_resume_ends_the_sweep(story: Story) -> None:
    code, output = story.ended_call
    assert code == 0, output
    assert "Traceback" not in output
    assert f"crash: {BUDGET} complete, 0 stopped early, 0 failed" in output.splitlines()[-1]
    assert story.ended.state is SweepState.COMPLETE


def test_every_trial_is_there_once(story: Story) -> None:
    assert [trial.number for trial in story.ended.trials] == list(range(BUDGET))
    assert {trial.state for trial in story.ended.trials} == {TrialState.COMPLETE}
    params = {tuple(sorted(trial.params.items())) for trial in story.ended.trials}
    assert len(params) == BUDGET
    for trial in story.ended.trials:
        assert trial.artifact is not None
        assert Path(trial.artifact.path).stat().st_size == trial.values["memory_bytes"]


# MLflow 3.17 uses what SQLAlchemy 2.1 deprecates.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
def test_mlflow_has_one_ended_run_an_attempt_and_one_parent(story: Story) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{story.project.folder / 'state' / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "crash"]
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    parents = [run for run in runs if run not in nested]
    assert len(parents) == 1
    attempts = sum(trial.attempts for trial in story.ended.trials)
    assert attempts > BUDGET
    assert len(nested) == attempts
    assert {run.data.tags["mlflow.parentRunId"] for run in nested} == {parents[0].info.run_id}
    states = sorted(run.info.status for run in nested)
    assert states == ["FINISHED"] * BUDGET + ["KILLED"] * (attempts - BUDGET)
    assert parents[0].info.status == "FINISHED"
    latest = {trial.mlflow_run_id for trial in story.ended.trials}
    assert latest == {run.info.run_id for run in nested if run.info.status == "FINISHED"}


def test_a_complete_sweep_is_not_run_again(story: Story) -> None:
    # No cluster is there: whoever asked for one would fail.
    code, output = story.project.call("run", str(story.project.file), RAY_ADDRESS="127.0.0.1:1")
    assert code == 0, output
    assert f"{BUDGET} complete" in output
    store = story.project.open()
    assert Snapshot.of(store) == story.ended
    store.close()


def test_a_name_that_is_taken_is_refused(story: Story) -> None:
    words = ("run", str(story.project.file), "--set", "training.epochs=3")
    code, output = story.project.call(*words, RAY_ADDRESS="127.0.0.1:1")
    assert code == 1
    assert f"training.epochs was {EPOCHS}, is 3" in output
    assert "--name crash-2" in output
    assert "Traceback" not in output
    store = story.project.open()
    assert Snapshot.of(store) == story.ended
    store.close()


def test_each_run_has_a_log_that_says_where_its_trials_ran(story: Story) -> None:
    logs = sorted((story.project.folder / "state" / "logs" / "crash").glob("*.log"))
    assert len(logs) == 3
    placed = r"sweep=crash trial=\d+ attempt=\d+ node=[0-9a-f]{56} worker=[\d.]+:\d+ trial \d+"
    texts = [log.read_text() for log in logs]
    assert all(re.search(rf"{placed} runs there$", text, re.M) for text in texts)
    assert re.search(rf"{placed} interrupted$", texts[1], re.M)
    assert re.search(rf"{placed} complete: accuracy ", texts[2])
    assert "the run ended, complete: the budget of 7 trials is used up" in texts[2]
