"""Real trials in this process: what a worker does, and what becomes of what goes wrong there."""

import json
import os
import pickle
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.contracts import FrontJob, Job, Silent, Store
from orchestrator.driver.running import run
from orchestrator.execution import trial_runner
from orchestrator.execution.inline import InlineExecutor
from orchestrator.execution.preparation import prepare
from orchestrator.execution.task import Task
from orchestrator.execution.trial_runner import TrialRunner, measure_front
from orchestrator.execution.trial_step import Step
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import FailureKind, Report, SweepState, TrialState
from trainers.artifact import load_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.data.config import DataConfig
from trainers.errors import DataError, WeightsError
from trainers.evaluators.accuracy import accuracy
from trainers.files.trial_folder import CHECKPOINT_NAME
from trainers.stages.cache import StageCache

MakeSpec = Callable[..., SweepSpec]


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return prepare(task(data=DataConfig(name="digits", limit=300)))


def task(**changes: object) -> Task:
    backbone = {"name": "digitnet", "weights": "scratch"}
    given = {"data": DataConfig(name="digits"), "backbone": backbone, "attacks": {}, **changes}
    return Task(**given)  # type: ignore[arg-type]


@pytest.fixture
def job(make_spec: MakeSpec, tmp_path: Path) -> Callable[..., Job]:
    def make(*, milestones: tuple[int, ...] = (), **changes: object) -> Job:
        config = {**make_spec().trial_config().as_mapping(), "widths": [8], **changes}
        # As it arrives on a worker: from a pickle, without the driver's objects.
        plain = json.loads(json.dumps(config))
        made = Job(0, 0, TrialConfig.from_mapping(plain), str(tmp_path / "trial"), milestones)
        return pickle.loads(pickle.dumps(made))  # noqa: S301 - our own bytes

    return make


def steps(runner: TrialRunner) -> list[Step]:
    """Steps to the end."""
    found = [runner.step()]
    while found[-1].outcome is None:
        found.append(runner.step())
    return found


def test_a_job_ends_with_values_and_an_artifact(
    digits: ImageData, job: Callable[..., Job]
) -> None:
    runner = TrialRunner(digits)
    runner.begin(job())
    found = steps(runner)
    reports = [report for step in found for report in step.reports]
    assert [report.epoch for report in reports] == [1, 2]
    assert set(reports[0].values) == {"train_loss", "float_accuracy", "seconds"}
    outcome = found[-1].outcome
    assert outcome is not None
    assert outcome.state is TrialState.COMPLETE
    assert outcome.failure is None
    assert outcome.artifact is not None
    assert outcome.values["memory_bytes"] == outcome.artifact.bytes
    network = load_artifact(Path(outcome.artifact.path))
    assert outcome.values["accuracy"] == accuracy(network, digits.val_images, digits.val_labels)
    assert "robust_accuracy" in outcome.values


def test_a_step_ends_at_each_milestone(digits: ImageData, job: Callable[..., Job]) -> None:
    runner = TrialRunner(digits)
    runner.begin(job(epochs=6, milestones=(2, 3)))
    ends = [step.reports[-1].epoch for step in steps(runner) if step.reports]
    assert {2, 3, 6} <= set(ends)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"tune": "last_blocks:9"}, FailureKind.ERROR, "9"),
        ({"weights": "nosuch.safetensors"}, FailureKind.ERROR, "nosuch.safetensors"),
        (
            {"tune": "all", "optimizer": "sgd", "learning_rate": 10.0, "epochs": 40},
            FailureKind.DIVERGED,
            "diverged in epoch",
        ),
    ],
)
def test_what_a_trial_raises_becomes_its_outcome(
    digits: ImageData,
    job: Callable[..., Job],
    changes: dict[str, object],
    kind: FailureKind,
    said: str,
) -> None:
    runner = TrialRunner(digits)
    runner.begin(job(**changes))
    outcome = steps(runner)[-1].outcome
    assert outcome is not None
    assert outcome.state is TrialState.FAILED
    assert outcome.failure is not None
    assert outcome.failure.kind is kind
    assert said in outcome.failure.message
    assert "Traceback" in outcome.failure.traceback
    # The worker takes the next job as if nothing had happened.
    runner.begin(job())
    outcome = steps(runner)[-1].outcome
    assert outcome is not None
    assert outcome.state is TrialState.COMPLETE


BACKWARD = """
import torch
from torch import nn

class Kept(torch.autograd.Function):
    @staticmethod
    def forward(context, found):
        return found.clone()

    @staticmethod
    def backward(context, gradient):
        assert len(gradient) <= 2
        return gradient

class Net(nn.Module):
    image_size, mean, std = 8, [0.5], [0.25]

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 3)

    def forward(self, pixels):
        return Kept.apply(self.layer(pixels).mean((2, 3)))
"""


def test_a_gradient_of_ones_own_that_raises_is_named_with_its_line(
    digits: ImageData, job: Callable[..., Job], tmp_path: Path
) -> None:
    file = tmp_path / "my_model.py"
    file.write_text(BACKWARD)
    runner = TrialRunner(digits)
    runner.begin(job(backbone=f"{file}:Net", weights="own", tune="all"))
    outcome = steps(runner)[-1].outcome
    assert outcome is not None
    assert outcome.failure is not None
    assert outcome.failure.message == (
        f"AssertionError without a message ({file}:12 in backward: assert len(gradient) <= 2)"
    )


def test_a_trial_that_cannot_write_fails(
    digits: ImageData, job: Callable[..., Job], tmp_path: Path
) -> None:
    (tmp_path / "trial").write_text("in the way")
    runner = TrialRunner(digits)
    runner.begin(job())
    outcome = steps(runner)[-1].outcome
    assert outcome is not None
    assert outcome.failure is not None
    assert str(tmp_path / "trial") in outcome.failure.message


def test_out_of_memory_is_told_apart(
    digits: ImageData, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(*args: object, **kwargs: object) -> None:
        raise MemoryError("Unable to allocate 99 TiB")

    monkeypatch.setattr("trainers.trial.run.FineTuning", hungry)
    runner = TrialRunner(digits)
    runner.begin(job())
    outcome = steps(runner)[-1].outcome
    assert outcome is not None
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.OUT_OF_MEMORY


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_removed_and_made_again(
    digits: ImageData, job: Callable[..., Job], tmp_path: Path
) -> None:
    runner = TrialRunner(digits)
    runner.begin(job(epochs=4, milestones=(1,)))
    runner.step()
    runner.checkpoint()
    path = tmp_path / "trial" / CHECKPOINT_NAME
    path.write_bytes(path.read_bytes()[:-100])
    other = TrialRunner(digits)
    other.begin(job(epochs=4, milestones=(1,)))
    first = other.step()
    assert [report.epoch for report in first.reports] == [1]
    assert not path.exists()
    assert first.trouble is not None
    assert first.trouble.kind is FailureKind.BAD_CHECKPOINT
    assert str(path) in first.trouble.message
    last = steps(other)[-1]
    assert last.outcome is not None
    assert (last.outcome.state, last.trouble) == (TrialState.COMPLETE, first.trouble)
    other.begin(job(epochs=4))  # whose checkpoint lies there now
    assert other.step().trouble is None


def test_what_is_wrong_with_the_stage_cache_is_said_once_and_costs_no_trial(
    digits: ImageData, job: Callable[..., Job], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("no folder")
    cache = StageCache(str(tmp_path / "cache"), 1e9)
    troubles = []
    for _ in range(2):
        runner = TrialRunner(digits, cache)
        runner.begin(job())
        last = steps(runner)[-1]
        assert last.outcome is not None
        assert last.outcome.state is TrialState.COMPLETE
        troubles.append(last.trouble)
    assert troubles[0] is not None
    assert troubles[0].kind is FailureKind.BAD_CACHE
    assert str(tmp_path / "cache") in troubles[0].message
    assert troubles[1] is None


@pytest.mark.slow
def test_a_training_from_the_cache_has_its_epochs_at_once_and_no_values_of_milestones(
    digits: ImageData, job: Callable[..., Job], tmp_path: Path
) -> None:
    cache = StageCache(str(tmp_path / "cache"), 1e9)
    first, second = TrialRunner(digits, cache), TrialRunner(digits, cache)
    first.begin(job(epochs=3, milestones=(1, 2)))
    cold = [report for step in steps(first) for report in step.reports]
    second.begin(job(epochs=3, milestones=(1, 2)))
    trained, measured = steps(second)
    assert measured.outcome is not None
    assert any(name.startswith("milestone_") for name in cold[0].values)
    assert [report.epoch for report in trained.reports] == [1, 2, 3]
    for report, before in zip(trained.reports, cold, strict=True):
        assert report.values["seconds"] == 0
        kept = ("train_loss", "float_accuracy")
        assert {name: before.values[name] for name in kept} == {
            name: value for name, value in report.values.items() if name != "seconds"
        }


def test_a_trial_that_takes_too_long_has_failed_and_leaves_no_epochs_to_take_up(
    digits: ImageData, job: Callable[..., Job], tmp_path: Path
) -> None:
    runner = TrialRunner(digits)
    slow = replace(job(epochs=50, milestones=(1, 2, 3)), seconds=1e-6)
    runner.begin(slow)
    step = runner.step()
    # What it did finish is told.
    assert [report.epoch for report in step.reports] == [1]
    assert step.outcome is not None
    assert step.outcome.failure is not None
    assert step.outcome.state is TrialState.FAILED
    assert step.outcome.failure.kind is FailureKind.TIME_LIMIT
    assert "1 of 50 epochs" in step.outcome.failure.message
    runner.checkpoint()
    assert not (tmp_path / "trial" / CHECKPOINT_NAME).exists()


@pytest.mark.slow
def test_what_was_trained_is_told_at_once(digits: ImageData, job: Callable[..., Job]) -> None:
    runner = TrialRunner(digits)
    runner.begin(job(epochs=3))
    *trained, measured = steps(runner)
    assert [report.epoch for report in trained[0].reports] == [1]
    assert [report.epoch for step in trained for report in step.reports] == [1, 2, 3]
    assert not any(step.outcome for step in trained)
    assert measured.outcome is not None
    assert not measured.reports


@pytest.mark.slow
def test_a_trial_that_is_done_or_within_its_time_is_measured(
    digits: ImageData, job: Callable[..., Job]
) -> None:
    runner = TrialRunner(digits)
    # What is trained to its end is worth more than the limit.
    for given in (replace(job(epochs=1), seconds=1e-6), replace(job(epochs=3), seconds=1e6)):
        runner.begin(given)
        outcome = steps(runner)[-1].outcome
        assert outcome is not None
        assert outcome.state is TrialState.COMPLETE


@pytest.mark.slow
def test_a_job_that_is_left_keeps_its_epochs(digits: ImageData, job: Callable[..., Job]) -> None:
    runner = TrialRunner(digits)
    runner.checkpoint()  # without a job: nothing to keep
    runner.begin(job(epochs=4, milestones=(1,)))
    runner.checkpoint()
    told = runner.step().reports
    assert [report.epoch for report in told] == [1]
    runner.checkpoint()
    other = TrialRunner(digits)
    other.begin(job(epochs=4))
    reports = [report for step in steps(other) for report in step.reports]
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    # Its time tells that the first one was not trained again.
    assert reports[0] == told[0]


@pytest.mark.slow
def test_a_job_that_is_left_before_it_is_measured_keeps_its_training(
    digits: ImageData, job: Callable[..., Job], tmp_path: Path
) -> None:
    runner = TrialRunner(digits)
    runner.begin(job(epochs=2))
    told = [report for _ in range(2) for report in runner.step().reports]
    assert [report.epoch for report in told] == [1, 2]
    runner.checkpoint()
    other = TrialRunner(digits)
    other.begin(job(epochs=2))
    taken_up, measured = steps(other)
    assert taken_up.reports == tuple(told)
    assert measured.outcome is not None
    # What is over needs no checkpoint any more.
    (tmp_path / "trial" / CHECKPOINT_NAME).unlink()
    other.checkpoint()
    assert not (tmp_path / "trial" / CHECKPOINT_NAME).exists()


def test_a_step_needs_a_job(digits: ImageData) -> None:
    with pytest.raises(RuntimeError, match="begin"):
        TrialRunner(digits).step()


def test_weights_and_images_are_tried_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nosuch\.safetensors"):
        prepare(
            task(backbone={"name": "digitnet", "weights": str(tmp_path / "nosuch.safetensors")})
        )
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"broken\.npz"):
        prepare(task(data=DataConfig(npz=str(tmp_path / "broken.npz"))))


def test_images_are_measured_on_the_test_set_under_other_names(
    digits: ImageData, job: Callable[..., Job], make_spec: MakeSpec
) -> None:
    runner = TrialRunner(digits)
    runner.begin(job())
    outcome = steps(runner)[-1].outcome
    assert outcome is not None
    assert outcome.artifact is not None
    attacks = make_spec().attacks
    values = measure_front(FrontJob(outcome.artifact.path, True), digits, task(attacks=attacks))
    answers = ("accuracy", "balanced_accuracy", "macro_f1", "top5_accuracy", "nll", "ece")
    assert set(values) == {f"test_{name}" for name in (*answers, "robust_accuracy")}
    network = load_artifact(Path(outcome.artifact.path))
    assert values["test_accuracy"] == accuracy(network, digits.test_images, digits.test_labels)


class TestInline:
    """Whole sweeps in this process."""

    @pytest.mark.slow
    def test_a_sweep_gives_a_front_that_its_files_bear_out(
        self, store: Store, make_spec: MakeSpec
    ) -> None:
        spec = make_spec()
        result = run(spec, store=store, executor=InlineExecutor)
        assert (result.complete, result.failed) == (3, 0)
        assert len(result.front) >= 1
        for member in result.front:
            assert member.artifact is not None
            assert member.values["memory_bytes"] == Path(member.artifact).stat().st_size
            assert "test_robust_accuracy" in member.values
        assert {trial.attempts for trial in store.trials("tiny")} == {1}
        assert [report.epoch for report in store.reports("tiny", 0)] == [1, 2]

    @pytest.mark.slow
    def test_the_same_sweep_elsewhere_gives_the_same_values(
        self, store: Store, make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from orchestrator.storage.opening import open_store

        run(make_spec(), store=store, executor=InlineExecutor)
        monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "elsewhere"))
        other = open_store()
        run(make_spec(name="other"), store=other, executor=InlineExecutor)
        for first, second in zip(store.trials("tiny"), other.trials("other"), strict=True):
            assert first.params == second.params
            assert first.artifact is not None
            assert second.artifact is not None
            assert first.artifact.sha256 == second.artifact.sha256
            assert _steady(first.values) == _steady(second.values)
        other.close()

    @pytest.mark.slow
    def test_a_trial_that_fails_does_not_end_the_sweep(
        self, store: Store, make_spec: MakeSpec
    ) -> None:
        space = {"tune": {"type": "choice", "values": ["head", "last_blocks:1", "last_blocks:9"]}}
        spec = make_spec(space=space, head={"widths": [8]}, sampler={"kind": "grid"})
        result = run(spec, store=store, executor=InlineExecutor)
        assert (result.complete, result.failed) == (2, 1)
        (failed,) = store.trials("tiny", [TrialState.FAILED])
        assert failed.params == {"tune": "last_blocks:9"}
        assert failed.failure is not None
        assert "this backbone has 3 blocks" in failed.failure.message

    def test_broken_images_take_no_name(
        self, store: Store, make_spec: MakeSpec, tmp_path: Path
    ) -> None:
        np.savez(tmp_path / "x.npz", images=np.zeros((4, 2, 2), np.uint8), labels=np.zeros(3))
        with pytest.raises(DataError, match=r"x\.npz"):
            run(
                make_spec(data={"npz": str(tmp_path / "x.npz")}),
                store=store,
                executor=InlineExecutor,
            )
        assert store.sweeps() == []

    @pytest.mark.slow
    def test_an_interrupted_trial_goes_on_with_the_epoch_it_had(
        self, store: Store, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # So that a fast CPU has something left to be interrupted in.
        monkeypatch.setattr(trial_runner, "SLICE_S", 0.02)
        spec = make_spec(training={"epochs": 300}, budget={"trials": 1})
        result = run(spec, store=store, executor=InlineExecutor, progress=Impatient())
        assert (result.complete, result.interrupted) == (0, True)
        done = store.reports("tiny", 0)
        assert 0 < len(done) < 300
        assert store.trial("tiny", 0).state is TrialState.INTERRUPTED
        run(spec, store=store, executor=InlineExecutor)
        after = store.reports("tiny", 0)
        assert [report.epoch for report in after] == list(range(1, 301))
        # The time of an epoch tells that it was not trained again.
        assert after[: len(done)] == done
        assert store.trial("tiny", 0).state is TrialState.COMPLETE
        assert store.sweep("tiny").state is SweepState.COMPLETE


class Impatient(Silent):
    """Presses Ctrl-C at the first report."""

    def __init__(self) -> None:
        self._pressed = False

    def trial_reported(self, trial: int, report: Report) -> None:
        if not self._pressed:
            os.kill(os.getpid(), signal.SIGINT)
        self._pressed = True


def _steady(values: object) -> dict[str, float]:
    assert isinstance(values, dict)
    return {name: value for name, value in values.items() if not name.endswith("_s")}
