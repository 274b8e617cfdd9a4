"""Whole sweeps in which trials are stopped early: real training, store, sampler and verdicts."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contracts import Silent, Store
from orchestrator.driver.running import run
from orchestrator.execution.inline import InlineExecutor
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.storage.opening import open_store
from orchestrator.trials import Report, SweepState, TrialState
from trainers.files.trial_folder import ARTIFACT_NAME, CHECKPOINT_NAME

MakeSpec = Callable[..., SweepSpec]
SPACE = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True},
    "bits": {"type": "choice", "values": [4, 8]},
}
TIMES = ("seconds", "milestone_s")


@pytest.fixture
def moasha(make_spec: MakeSpec) -> Callable[..., SweepSpec]:
    def make(**changes: Any) -> SweepSpec:
        given: dict[str, Any] = {
            "space": SPACE,
            "backbone": {"name": "digitnet", "weights": "bundled"},
            "head": {"widths": [8]},
            "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
            "training": {"epochs": 4, "batch_size": 64, "tune": "last_blocks:1"},
            "scheduler": {"kind": "moasha", "reduction": 2},
            "budget": {"trials": 6},
            # Trainings that were taken from others have nothing to stop.
            "execution": {"cache": "off"},
        }
        return make_spec(**{**given, **changes})

    return make


@dataclass
class Interrupting(Silent):
    """Presses Ctrl-C when a trial reports an epoch."""

    trial: int
    epoch: int

    def trial_reported(self, trial: int, report: Report) -> None:
        if (trial, report.epoch) == (self.trial, self.epoch):
            os.kill(os.getpid(), signal.SIGINT)


def told(store: Store) -> list[tuple[object, ...]]:
    """What was tried, measured and decided, without the times."""
    return [
        (
            trial.params,
            trial.state,
            [
                (r.epoch, {name: v for name, v in r.values.items() if name not in TIMES})
                for r in store.reports("tiny", trial.number)
            ],
        )
        for trial in store.trials("tiny")
    ]


@pytest.mark.slow
def test_hopeless_trials_are_stopped_and_the_front_is_of_complete_ones(
    store: Store, moasha: Callable[..., SweepSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(moasha(), store=store, executor=InlineExecutor)
    assert result.sweep.state is SweepState.COMPLETE
    assert result.failed == 0
    assert result.complete + result.stopped == 6
    assert result.stopped >= 1
    trials = {trial.number: trial for trial in store.trials("tiny")}
    assert {trials[member.trial].state for member in result.front} == {TrialState.COMPLETE}
    for number, trial in trials.items():
        reports = store.reports("tiny", number)
        folder = tmp_path / "sweeps" / "tiny" / "trials" / f"{number:05d}"
        assert not (folder / CHECKPOINT_NAME).exists()
        assert (folder / ARTIFACT_NAME).exists() == (trial.state is TrialState.COMPLETE)
        measured = [r.epoch for r in reports if "milestone_accuracy" in r.values]
        if trial.state is TrialState.COMPLETE:
            assert ([r.epoch for r in reports], measured) == ([1, 2, 3, 4], [1, 2])
        else:
            assert measured == [r.epoch for r in reports] in ([1], [1, 2])
            assert trial.values == {}

    # Interrupted at two milestones, and with a budget that grows: the same sweep.
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "again"))
    again = open_store()
    runs = [(3, Interrupting(2, 1)), (5, Interrupting(3, 2)), (6, Silent())]
    for count, progress in runs:
        spec = moasha(budget={"trials": count})
        run(spec, store=again, executor=InlineExecutor, progress=progress)
    assert told(again) == told(store)
    again.close()


@pytest.mark.slow
def test_a_trial_that_is_taken_up_measures_what_it_would_have_without_the_stop(
    store: Store, moasha: Callable[..., SweepSpec]
) -> None:
    space = {
        "learning_rate": {"type": "choice", "values": [3e-3, 1e-5]},
        "bits": {"type": "choice", "values": [8, 4]},
    }
    # One batch of trials after another, so that later ones meet peers.
    early = moasha(space=space, sampler={"kind": "grid"}, budget={"trials": 99, "seconds": 3600})
    result = run(early, store=store, executor=InlineExecutor)
    assert (result.complete, result.stopped) == (4, 0)
    assert result.sweep.stop_reason == "every configuration of the space was tried"
    attempts = {n: [a.state for a in store.attempts("tiny", n)] for n in range(4)}
    taken_up = [n for n, states in attempts.items() if TrialState.STOPPED in states]
    assert taken_up
    for number in taken_up:
        assert attempts[number][-1] is TrialState.COMPLETE
        assert [report.epoch for report in store.reports("tiny", number)] == [1, 2, 3, 4]
    to_the_end = moasha(name="fifo", space=space, sampler={"kind": "grid"}, scheduler="fifo")
    run(to_the_end, store=store, executor=InlineExecutor)
    for trial in store.trials("tiny"):
        values, expected = trial.values, store.trial("fifo", trial.number).values
        for name in ("accuracy", "memory_bytes", "params"):
            assert values[name] == expected[name]
