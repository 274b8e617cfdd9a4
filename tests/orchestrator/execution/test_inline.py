"""Trials in the driver's own process, beside its other threads."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from orchestrator.contracts import Decision, FrontJob, Job, News, Outcome
from orchestrator.execution.inline import InlineExecutor
from orchestrator.execution.task import Task
from orchestrator.trials import Failure
from trainers.artifact import write_artifact
from trainers.data.config import DataConfig
from trainers.evaluators.config import AttackConfig
from trainers.networks.network import build_network
from trainers.quantization.config import QuantizationConfig


class Asked:
    """A source without jobs, which notes how long threads wait for one another meanwhile."""

    left = 0
    must_stop = False

    def __init__(self, then: Callable[[], None]) -> None:
        self.interval, self._then = 0.0, then

    def next_job(self) -> Job | None:
        self.interval = sys.getswitchinterval()
        self._then()
        return None

    def started(self, job: Job) -> None: ...

    def placed(self, job: Job, worker: str) -> None: ...

    def troubled(self, job: Job, trouble: Failure) -> None: ...

    def reported(self, job: Job, reports: object) -> Decision:
        return Decision.CONTINUE

    def ended(self, job: Job, outcome: Outcome) -> None: ...

    def told(self, news: News, worker: str) -> None: ...


def fails() -> None:
    raise RuntimeError("the source is broken")


@pytest.mark.parametrize("then", [lambda: None, fails])
def test_other_threads_give_way_sooner_while_trials_run_and_not_afterwards(
    then: Callable[[], None],
) -> None:
    executor = InlineExecutor(Task(DataConfig(name="digits"), {"name": "digitnet"}, {}))
    before, source = sys.getswitchinterval(), Asked(then)
    try:
        executor.run(source)
    except RuntimeError:
        assert then is fails
    assert source.interval < before == sys.getswitchinterval()


TASK = Task(
    DataConfig(name="digits", limit=300),
    {"name": "digitnet", "weights": "bundled"},
    {
        "robust_accuracy": AttackConfig("pgd", steps=3, restarts=2, samples=70),
        "robust_accuracy_l2": AttackConfig("pgd", 0.5, "l2", steps=2, samples=40),
    },
    front_attacks={
        "robust_accuracy_square": AttackConfig("square", samples=20, queries=20),
        "masked_gradient_signs": AttackConfig("pgd", 0.01, steps=2, samples=40),
    },
)


def found(
    task: Task, jobs: Mapping[int, FrontJob], cpus: int, monkeypatch: pytest.MonkeyPatch
) -> dict[int, object]:
    """What the executor finds on a machine with so many CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    executor = InlineExecutor(task)
    executor.prepare()
    return dict(executor.measure_front(jobs, lambda: False))


@pytest.mark.slow
def test_networks_that_are_measured_at_the_same_time_get_the_values_they_get_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = {}
    for number in range(4):
        network = build_network(
            "digitnet", weights="bundled", widths=(8 * (number + 1),), classes=10, seed=number
        )
        path = tmp_path / str(number) / "model.safetensors"
        path.parent.mkdir()
        write_artifact(network, path, quantization=QuantizationConfig(4, 4), classes=None)
        jobs[number] = FrontJob(str(path), test=True, measures=tuple(TASK.front_attacks))
    before = torch.random.get_rng_state()
    alone = found(TASK, jobs, 1, monkeypatch)
    assert found(TASK, jobs, 2, monkeypatch) == alone
    assert len({str(values) for values in alone.values()}) == len(jobs)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("changes", "cpus", "room"),
    [({}, 2, True), ({}, 1, False), ({"code": {"own.py": b""}}, 2, False)],
)
def test_the_second_one_needs_a_cpu_of_its_own_and_no_code_of_a_user(
    changes: dict[str, object], cpus: int, *, room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert InlineExecutor(replace(TASK, **changes))._has_room is room  # type: ignore[arg-type]
