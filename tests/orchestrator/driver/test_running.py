"""A whole run with a real store; what happens on the workers is played."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.contracts import FrontJob, Job, JobSource, Load, Outcome, Plan, Silent, Store
from orchestrator.contracts.needs import Needs
from orchestrator.driver.running import resume, run
from orchestrator.errors import (
    LeaseHeldError,
    LeaseLostError,
    SweepExistsError,
    UnknownNameError,
    UsageError,
)
from orchestrator.execution.task import Task
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.storage.sql_store import SqlStore
from orchestrator.trials import Artifact, Failure, FailureKind, SweepRecord, SweepState, TrialState
from search_spaces import load_space
from trainers.errors import DataError
from trainers.files.trial_folder import CHECKPOINT_NAME


def make_spec(**changes: Any) -> SweepSpec:
    given: dict[str, Any] = {
        "name": "a",
        "backbone": {"name": "digitnet", "weights": "scratch"},
        "data": {"name": "digits"},
        "space": load_space("fc_quant").as_mapping(),
        "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
        "sampler": {"kind": "random"},
        "budget": {"trials": 6},
        "tracking": {"kind": "none"},
    }
    return SweepSpec.model_validate({**given, **changes})


@dataclass
class Played:
    """An executor whose trials are over at once; accuracy and size grow with the number."""

    task: Task | None = None
    calls: list[str] = field(default_factory=list)
    measured: list[int] = field(default_factory=list)
    asked: dict[int, FrontJob] = field(default_factory=dict)
    before: Callable[[Job], None] = lambda job: None
    ends: Callable[[Job], Outcome] | None = None
    refuses: Exception | None = None
    name = "played"
    load = Load(busy=1, slots=2)
    clock = staticmethod(time.monotonic)

    def __call__(self, task: Task) -> "Played":
        self.task = task
        return self

    def prepare(self) -> None:
        self.calls.append("prepare")
        if self.refuses:
            raise self.refuses

    def run(self, source: JobSource) -> None:
        self.calls.append("run")
        while (job := source.next_job()) is not None:
            source.started(job)
            self.before(job)
            outcome = self.ends(job) if self.ends else _complete(job)
            source.ended(job, Outcome(TrialState.INTERRUPTED) if source.must_stop else outcome)

    def measure_front(
        self, jobs: Mapping[int, FrontJob], interrupted: Callable[[], bool]
    ) -> Iterator[tuple[int, Mapping[str, float]]]:
        for number, job in jobs.items():
            if interrupted():
                return
            assert job.path.endswith(f"{number}.safetensors")
            self.measured.append(number)
            self.asked[number] = job
            tested = {"test_accuracy": number / 10} if job.test else {}
            yield number, {**tested, **dict.fromkeys(job.measures, 0.5)}

    def close(self) -> None:
        self.calls.append("close")


def _complete(job: Job) -> Outcome:
    values = {"accuracy": job.trial / 10, "memory_bytes": 100.0 + job.trial % 3}
    artifact = Artifact(f"{job.trial}.safetensors", 100, "0" * 64)
    return Outcome(TrialState.COMPLETE, values, artifact)


@dataclass
class Listener(Silent):
    begun: list[Plan] = field(default_factory=list)
    ended: list[SweepRecord] = field(default_factory=list)

    def begin(self, plan: Plan) -> None:
        self.begun.append(plan)

    def end(self, sweep: SweepRecord) -> None:
        self.ended.append(sweep)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path))
    store = open_store()
    yield store
    store.close()


def test_a_run_ends_with_its_budget_and_a_front(store: Store) -> None:
    listener, played = Listener(), Played()
    result = run(make_spec(), store=store, executor=played, progress=listener)
    assert (result.complete, result.stopped, result.failed) == (6, 0, 0)
    assert not result.interrupted
    assert result.sweep == store.sweep("a")
    assert result.sweep.state is SweepState.COMPLETE
    assert result.sweep.stop_reason == "the budget of 6 trials is used up"
    # Memory repeats every three trials, so that the last three are the best.
    assert sorted(member.trial for member in result.front) == [3, 4, 5]
    assert played.calls == ["prepare", "run", "close"]
    assert [plan.trials for plan in listener.begun] == [6]
    assert [record.state for record in listener.ended] == [SweepState.COMPLETE]


def test_a_worker_is_told_the_images_the_weights_and_the_attacks(store: Store) -> None:
    attack = {"direction": "maximize", "attack": "fgsm"}
    spec = make_spec(objectives={"robust_accuracy": attack}, resources={"cpus": 2}, seed=3)
    played = Played()
    run(spec, store=store, executor=played)
    task = played.task
    assert task is not None
    assert (task.data.name, task.data.seed) == ("digits", 3)
    assert task.backbone == {"name": "digitnet", "weights": "scratch", "image_size": None}
    assert task.attacks["robust_accuracy"].attack == "fgsm"
    assert task.needs == Needs(cpus=2)


@pytest.mark.slow
def test_an_interrupted_measurement_of_the_front_goes_on_with_the_rest(store: Store) -> None:
    class Cut(Played):
        def measure_front(
            self, jobs: Mapping[int, FrontJob], interrupted: Callable[[], bool]
        ) -> Iterator[tuple[int, Mapping[str, float]]]:
            for result in super().measure_front(jobs, interrupted):
                yield result
                os.kill(os.getpid(), signal.SIGINT)

    spec = make_spec(front_measures={"robust_accuracy_strong": {"attack": "apgd"}})
    first, second = Cut(), Played()
    result = run(spec, store=store, executor=first)
    assert result.interrupted
    assert result.sweep.state is SweepState.INTERRUPTED
    assert len(first.measured) == 1
    result = run(spec, store=store, executor=second)
    assert result.sweep.state is SweepState.COMPLETE
    assert sorted(first.measured + second.measured) == [3, 4, 5]
    assert store.trial("a", 4).values["robust_accuracy_strong"] == 0.5
    more = make_spec(
        front_measures={
            "robust_accuracy_strong": {"attack": "apgd"},
            "deepfool_perturbation": {},
        }
    )
    third = Played()
    run(more, store=store, executor=third)
    assert third.asked[3] == FrontJob("3.safetensors", False, ("deepfool_perturbation",))
    assert third.task is not None
    assert third.task.front_attacks["deepfool_perturbation"].attack == "deepfool"


def test_the_front_alone_is_measured_on_the_test_images_and_once(store: Store) -> None:
    first = Played()
    run(make_spec(), store=store, executor=first)
    assert sorted(first.measured) == [3, 4, 5]
    assert store.trial("a", 4).values["test_accuracy"] == 0.4
    assert "test_accuracy" not in store.trial("a", 0).values
    second = Played()
    run(make_spec(budget={"trials": 7}), store=store, executor=second)
    assert second.measured == [6]


def test_the_reference_is_measured_on_the_test_images_too(store: Store) -> None:
    played = Played()
    result = run(make_spec(reference=True), store=store, executor=played)
    assert sorted(member.trial for member in result.front) == [3, 4, 5]
    assert sorted(played.measured) == [0, 3, 4, 5]


def test_a_complete_sweep_is_not_run_again(store: Store) -> None:
    run(make_spec(), store=store, executor=Played())
    before, played, listener = store.sweep("a"), Played(), Listener()
    result = run(make_spec(), store=store, executor=played, progress=listener)
    assert played.calls == []
    assert listener.begun == []
    assert (result.complete, result.interrupted) == (6, False)
    assert len(result.front) == 3
    assert store.sweep("a") == before


def test_a_larger_budget_goes_on(store: Store) -> None:
    run(make_spec(), store=store, executor=Played())
    listener = Listener()
    spec = make_spec(budget={"trials": 8})
    result = run(spec, store=store, executor=Played(), progress=listener)
    assert result.complete == 8
    assert len(listener.begun[0].past) == 6
    assert SweepSpec.model_validate(store.sweep("a").spec).budget.trials == 8
    assert store.sweep("a").stop_reason == "the budget of 8 trials is used up"


def test_a_name_that_is_taken_is_refused_before_anything_starts(store: Store) -> None:
    run(make_spec(), store=store, executor=Played())
    before, played = (store.sweep("a"), store.trials("a")), Played()
    with pytest.raises(SweepExistsError, match=r"training.epochs was 10, is 3") as caught:
        run(make_spec(training={"epochs": 3}), store=store, executor=played)
    assert caught.value.exit_code == 1
    assert "--name" in str(caught.value)
    assert played.calls == []
    assert (store.sweep("a"), store.trials("a")) == before


def refused(store: Store, **changes: Any) -> str:
    with pytest.raises(SweepExistsError) as caught:
        run(make_spec(**changes), store=store, executor=Played())
    return str(caught.value)


def test_a_refusal_names_what_may_not_change_and_nothing_that_may(store: Store) -> None:
    run(make_spec(), store=store, executor=Played())
    free = {
        "budget": {"trials": 9, "seconds": 60},
        "resources": {"cpus": 2},
        "tracking": {"uri": "http://h"},
        "execution": {"cache": "off", "fuse": 2},
        "reference": True,
    }
    said = refused(store, **free, seed=7)
    assert "seed was 0, is 7" in said
    assert not [key for key in free if key in said.partition(". ")[0]]
    assert "--name a-2 --warm-start a" in said
    many = {f"fc_width_{n}": {"type": "int", "low": 1, "high": 8} for n in (1, 2, 3)}
    said = refused(store, **free, space=many, seed=7, replicates=3)
    assert all(f"space.fc_width_{n}.high" in said for n in (1, 2, 3))
    assert "replicates was 1, is 3" in said
    assert " more)" not in said


@pytest.mark.slow
def test_objectives_that_every_trial_measured_need_no_other_sweep(store: Store) -> None:
    played = Played()
    run(make_spec(), store=store, executor=played)
    said = refused(store, objectives={"accuracy": "maximize"})
    assert "objectives.memory_bytes.direction was 'minimize', is not given" in said
    assert "attack" not in said
    assert "paretune front a --objectives accuracy compares" in said
    said = refused(store, objectives={"accuracy": "minimize", "memory_bytes": "minimize"})
    assert "--objectives accuracy:min,memory_bytes " in said
    # What no trial measured, and what differs in more than the objectives.
    assert "paretune front" not in refused(store, objectives={"macs": "minimize"})
    assert "paretune front" not in refused(store, objectives={"accuracy": "maximize"}, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize("given", [None, "url"])
def test_a_run_that_never_began_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PARETUNE_HOME", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    url = given and f"sqlite:///{tmp_path}/other/s.db"
    played = Played(refuses=DataError("img/3.png cannot be read."))
    with pytest.raises(DataError):
        run(make_spec(tracking={}), store=url, executor=played)
    with pytest.raises(UsageError, match="there is no store here"):
        run(make_spec(warm_start="old"), store=url, executor=played)
    for thread in threading.enumerate():
        if thread.name == "mlflow-warm-up":
            thread.join(300)
    assert list(tmp_path.iterdir()) == []
    assert run(make_spec(), store=url, executor=Played()).complete == 6
    # The run's log is in the state folder, wherever the store is.
    assert {made.name for made in tmp_path.iterdir()} == {
        ".paretune",
        *(["other"] if given else []),
    }
    assert not given or [made.name for made in Path(".paretune").iterdir()] == ["logs"]


def test_images_that_cannot_be_used_take_no_name(store: Store) -> None:
    played = Played(refuses=DataError("img/3.png cannot be read."))
    with pytest.raises(DataError, match=r"img/3\.png"):
        run(make_spec(), store=store, executor=played)
    assert played.calls == ["prepare", "close"]
    assert store.sweeps() == []


@dataclass
class Late(Played):
    """A driver that stalls after its first trial; its workers keep what they have at the end."""

    taken_over: Callable[[], object] = lambda: None
    kept: list[Path] = field(default_factory=list)

    def run(self, source: JobSource) -> None:
        job = source.next_job()
        assert job is not None
        source.ended(job, _complete(job))
        going = source.next_job()
        assert going is not None
        self.taken_over()
        for each in (job, going):
            folder = Path(each.folder)
            folder.mkdir(parents=True)
            self.kept.append(folder / CHECKPOINT_NAME)
            self.kept[-1].touch()
        source.ended(going, Outcome(TrialState.INTERRUPTED))


def test_a_driver_that_was_replaced_leaves_no_checkpoint_of_what_is_over(store: Store) -> None:
    hour = timedelta(hours=1)
    later = SqlStore(StateFolder.find().store_url, clock=lambda: datetime.now(UTC) + hour)
    late = Late(taken_over=lambda: later.take("a", "elsewhere:1:1"))
    with pytest.raises(LeaseLostError):
        run(make_spec(), store=store, executor=late)
    later.close()
    over, going = late.kept
    assert not over.exists()
    assert going.exists()


def test_a_tracking_uri_that_mlflow_refuses_takes_no_name_but_stops_no_sweep_that_has_begun(
    store: Store,
) -> None:
    played, begun = Played(), make_spec()
    refused = make_spec(tracking={"uri": "host:5000"})
    with pytest.raises(UsageError, match="http://HOST:5000"):
        run(refused, store=store, executor=played)
    assert (store.sweeps(), played.calls) == ([], [])
    run(begun, store=store, executor=played)
    more = make_spec(tracking={"uri": "host:5000"}, budget={"trials": 7})
    assert run(more, store=store, executor=Played()).complete == 7


def test_the_mlflow_that_the_environment_names_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    told: list[str] = []
    listener = Listener()
    monkeypatch.setattr(listener, "note", told.append)
    monkeypatch.setattr("orchestrator.driver.mirroring._LAST_DRAIN_S", 0.1)
    run(make_spec(tracking={}), store=store, executor=Played(), progress=listener)
    (said,) = [text for text in told if text.startswith("tracked at")]
    assert "http://127.0.0.1:1, as MLFLOW_TRACKING_URI says" in said


def test_a_sweep_that_another_driver_runs_is_left_alone(store: Store) -> None:
    spec = make_spec()
    store.create_sweep("a", spec.model_dump(mode="json"), spec.fingerprint())
    held = store.take("a", "elsewhere:1:2")
    played = Played()
    with pytest.raises(LeaseHeldError, match="elsewhere:1:2"):
        run(spec, store=store, executor=played)
    assert played.calls == ["prepare", "close"]
    held.renew()
    held.release()
    assert run(spec, store=store, executor=Played()).complete == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_and_resume_goes_on(store: Store, number: signal.Signals) -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def press(job: Job) -> None:
        if job.trial == 2:
            os.kill(os.getpid(), number)

    listener, played = Listener(), Played(before=press)
    result = run(make_spec(), store=store, executor=played, progress=listener)
    assert result.interrupted
    assert result.complete == 2
    assert played.measured == []
    assert [record.state for record in listener.ended] == [SweepState.INTERRUPTED]
    assert store.sweep("a").stop_reason == f"interrupted by {number.name}"
    assert store.trial("a", 2).state is TrialState.INTERRUPTED
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    again = run(make_spec(), store=store, executor=Played())
    assert (again.complete, again.interrupted) == (6, False)
    assert [trial.attempts for trial in store.trials("a")] == [1, 1, 2, 1, 1, 1]


def test_a_second_ctrl_c_acts_as_usual(store: Store) -> None:
    def press(job: Job) -> None:
        if job.trial == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    listener, played = Listener(), Played(before=press)
    with pytest.raises(KeyboardInterrupt):
        run(make_spec(), store=store, executor=played, progress=listener)
    assert played.calls == ["prepare", "run", "close"]
    assert len(listener.ended) == 1
    assert run(make_spec(), store=store, executor=Played()).complete == 6


def test_a_run_in_another_thread_leaves_signals_alone(store: Store) -> None:
    results: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(
        target=lambda: results.append(run(make_spec(), store=store, executor=Played()).complete)
    )
    thread.start()
    thread.join()
    assert results == [6]
    assert signal.getsignal(signal.SIGINT) == handler


def test_a_sweep_of_failures_says_so_and_leaves_no_folder(store: Store, tmp_path: Path) -> None:
    failure = Failure(FailureKind.ERROR, "no")

    def began(job: Job) -> None:
        Path(job.folder).mkdir(parents=True)
        (Path(job.folder) / CHECKPOINT_NAME).touch()

    played = Played(before=began, ends=lambda job: Outcome(TrialState.FAILED, failure=failure))
    result = run(make_spec(), store=store, executor=played)
    assert (result.complete, result.failed, len(result.front)) == (0, 6, 0)
    assert result.sweep.state is SweepState.COMPLETE
    assert played.measured == []
    assert list((tmp_path / "sweeps").iterdir()) == []


def test_a_sweep_is_resumed_by_its_name_alone(store: Store, monkeypatch: Any) -> None:
    def press(job: Job) -> None:
        if job.trial == 1:
            os.kill(os.getpid(), signal.SIGINT)

    run(make_spec(), store=store, executor=Played(before=press))
    played = Played()
    monkeypatch.setattr("orchestrator.driver.executors._ray", lambda *_: played)
    assert resume("a", store=store).complete == 6
    assert played.calls == ["prepare", "run", "close"]


def test_a_sweep_that_is_not_there_cannot_be_resumed(store: Store) -> None:
    with pytest.raises(UnknownNameError, match="'b'"):
        resume("b", store=store)


def test_a_grid_without_an_end_is_refused_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "state"))
    space = {"learning_rate": {"type": "float", "low": 0.001, "high": 0.1}}
    played = Played()
    with pytest.raises(UsageError, match="needs a finite space"):
        run(make_spec(space=space, sampler={"kind": "grid"}), executor=played)
    assert played.calls == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("failing", "code"), [({0, 1, 2, 3, 4, 5}, 1), ({0, 5}, 0)])
def test_the_command_exits_1_when_every_trial_failed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: set[int], code: int
) -> None:
    failure = Failure(FailureKind.ERROR, "a broken trial")

    def ends(job: Job) -> Outcome:
        failed = Outcome(TrialState.FAILED, failure=failure)
        return failed if job.trial in failing else _complete(job)

    monkeypatch.setattr("orchestrator.driver.executors._ray", lambda *_: Played(ends=ends))
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps(make_spec().model_dump(mode="json")))
    result = CliRunner().invoke(app, ["run", str(path)])
    assert result.exit_code == code, result.output
    last = result.stdout.splitlines()[-1]
    assert f"a: {6 - len(failing)} complete, 0 stopped early, {len(failing)} failed" in last
    assert "Traceback" not in result.output
    assert CliRunner().invoke(app, ["run", str(path)]).exit_code == code
