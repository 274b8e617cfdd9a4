"""Real trials, several on one worker at once."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from orchestrator.contracts import Job, Store
from orchestrator.driver.running import run
from orchestrator.execution import group_runner as module
from orchestrator.execution.group_runner import GroupRunner
from orchestrator.execution.inline import InlineExecutor
from orchestrator.execution.preparation import prepare
from orchestrator.execution.task import Task
from orchestrator.execution.trial_runner import TrialRunner
from orchestrator.execution.trial_step import Step
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import FailureKind, Trial, TrialState
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.data.config import DataConfig
from trainers.files.trial_folder import CHECKPOINT_NAME
from trainers.training.finetune import EpochReport, FineTuning

MakeSpec = Callable[..., SweepSpec]
MakeJob = Callable[..., Job]


@pytest.fixture(scope="module")
def digits() -> ImageData:
    task = Task(
        DataConfig(name="digits", limit=300), {"name": "digitnet", "weights": "bundled"}, {}
    )
    return prepare(task)


@pytest.fixture
def job(make_spec: MakeSpec, tmp_path: Path) -> MakeJob:
    def make(
        trial: int,
        *,
        milestones: tuple[int, ...] = (),
        folder: str = "",
        **changes: object,
    ) -> Job:
        config = make_spec().trial_config().as_mapping()
        config |= {"weights": "bundled", "widths": [8], "attacks": {}, **changes}
        plain = json.loads(json.dumps(config))
        return Job(
            trial,
            0,
            TrialConfig.from_mapping(plain),
            str(tmp_path / folder / str(trial)),
            milestones,
        )

    return make


def to_the_end(runner: GroupRunner | TrialRunner, trials: list[int]) -> dict[int, list[Step]]:
    """The steps of each."""
    found: dict[int, list[Step]] = {number: [] for number in trials}
    while any(not steps or steps[-1].outcome is None for steps in found.values()):
        steps = runner.step()
        each = steps if isinstance(steps, Mapping) else {trials[0]: steps}
        for number, step in each.items():
            assert not found[number] or found[number][-1].outcome is None
            found[number].append(step)
    return found


def values(steps: list[Step]) -> dict[str, float]:
    """What a complete trial measured, but for times."""
    assert steps[-1].outcome is not None
    assert steps[-1].outcome.state is TrialState.COMPLETE
    measured = steps[-1].outcome.values
    return {name: value for name, value in measured.items() if not name.endswith("_s")}


def epochs(steps: list[Step]) -> list[int]:
    return [report.epoch for step in steps for report in step.reports]


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many trainings each epoch that was run together had."""
    sizes: list[int] = []
    original = module.run_epoch

    def counted(trainings: list[FineTuning]) -> list[object]:
        sizes.append(len(trainings))
        return list(original(trainings))

    monkeypatch.setattr(module, "run_epoch", counted)
    return sizes


@pytest.mark.slow
def test_jobs_together_measure_what_they_measure_alone(
    digits: ImageData, job: MakeJob, fused: list[int], tmp_path: Path
) -> None:
    """Also what cannot be trained with the others."""
    jobs = [
        job(0),
        job(1, widths=[16, 8], learning_rate=1e-2),
        job(2, widths=[4], tune="last_blocks:1"),
        job(3, widths=[4], epochs=3, optimizer="sgd"),
    ]
    runner = GroupRunner(digits)
    runner.begin(jobs)
    together = to_the_end(runner, [0, 1, 2, 3])
    assert fused[0] == 3
    assert runner.trials == []
    for each in jobs:
        alone = TrialRunner(digits)
        alone.begin(Job(each.trial, 0, each.config, str(tmp_path / "alone" / str(each.trial))))
        expected = to_the_end(alone, [each.trial])[each.trial]
        assert values(together[each.trial]) == pytest.approx(values(expected), abs=0.03)
        assert epochs(together[each.trial]) == epochs(expected)


def test_one_that_fails_leaves_the_others_alone(
    digits: ImageData, job: MakeJob, fused: list[int]
) -> None:
    jobs = [
        job(0),
        job(1, learning_rate=10.0, optimizer="sgd", epochs=9, weight_decay=1.0),
        job(2, weights="nosuch.safetensors"),
        job(3, widths=[5]),
    ]
    runner = GroupRunner(digits)
    runner.begin(jobs)
    found = to_the_end(runner, [0, 1, 2, 3])
    failures = {n: found[n][-1].outcome.failure for n in (1, 2)}  # type: ignore[union-attr]
    kinds = {n: failure.kind for n, failure in failures.items() if failure is not None}
    assert kinds == {1: FailureKind.DIVERGED, 2: FailureKind.ERROR}
    assert fused[0] == 3
    assert values(found[0])
    assert values(found[3])


def test_training_stops_at_the_milestone_of_each_and_one_that_is_dropped_trains_no_more(
    digits: ImageData, job: MakeJob, fused: list[int]
) -> None:
    runner = GroupRunner(digits)
    runner.begin([job(n, widths=[4 + n], epochs=4, milestones=(1, 3)) for n in range(3)])
    assert {n: epochs([step]) for n, step in runner.step().items()} == {0: [1], 1: [1], 2: [1]}
    runner.drop([1])
    assert {n: epochs([step]) for n, step in runner.step().items()} == {0: [2, 3], 2: [2, 3]}
    assert fused == [3, 2, 2]
    rest = to_the_end(runner, [0, 2])
    assert all(values(steps) for steps in rest.values())


@pytest.mark.slow
def test_what_was_begun_together_goes_on_alone_and_the_other_way_round(
    digits: ImageData, job: MakeJob, tmp_path: Path
) -> None:
    jobs = [job(n, widths=[4 + n], epochs=3, milestones=(1,)) for n in range(3)]
    whole = GroupRunner(digits)
    whole.begin([job(n, widths=[4 + n], epochs=3, folder="whole") for n in range(3)])
    expected = to_the_end(whole, [0, 1, 2])
    first = GroupRunner(digits)
    first.begin(jobs)
    first.step()
    first.checkpoint()
    assert all((tmp_path / str(n) / CHECKPOINT_NAME).exists() for n in range(3))
    alone = TrialRunner(digits)
    alone.begin(jobs[0])
    found = {0: to_the_end(alone, [0])[0]}
    again = GroupRunner(digits)
    again.begin(jobs[1:])
    # The driver may not have heard of the epoch that the checkpoint has.
    assert {n: epochs([step]) for n, step in again.step().items()} == {1: [1], 2: [1]}
    found |= to_the_end(again, [1, 2])
    for number in range(3):
        assert values(found[number]) == pytest.approx(values(expected[number]), abs=0.03)


def test_what_ends_all_of_them_is_the_failure_of_each(
    digits: ImageData, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(trainings: list[FineTuning]) -> list[EpochReport]:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(module, "run_epoch", exhausted)
    runner = GroupRunner(digits)
    runner.begin([job(0), job(1)])
    for steps in to_the_end(runner, [0, 1]).values():
        outcome = steps[-1].outcome
        assert outcome is not None
        assert outcome.failure is not None
        assert outcome.failure.kind is FailureKind.OUT_OF_MEMORY


def _measured(trials: list[Trial]) -> list[dict[str, float]]:
    return [
        {name: value for name, value in trial.values.items() if not name.endswith("_s")}
        for trial in trials
    ]


@pytest.mark.slow
def test_a_sweep_that_fuses_is_the_sweep_that_does_not(
    store: Store, make_spec: MakeSpec, fused: list[int]
) -> None:
    for name, fuse in (("alone", "off"), ("tiny", 4)):
        execution = {"fuse": fuse, "cache": "off"}
        spec = make_spec(name=name, budget={"trials": 6}, execution=execution)
        result = run(spec, store=store, executor=InlineExecutor)
        assert (result.complete, result.failed) == (6, 0)
    assert fused[0] == 4
    alone, together = (store.trials(name) for name in ("alone", "tiny"))
    assert [trial.params for trial in together] == [trial.params for trial in alone]
    for one, other in zip(_measured(together), _measured(alone), strict=True):
        assert one == pytest.approx(other, abs=0.05)
