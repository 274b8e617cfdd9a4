"""The log of a trial: the store's events and the lines of runs, in the order of their times."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.contracts import Outcome
from orchestrator.queries.sweeps import Sweep, open_sweep
from orchestrator.queries.trial_log import trial_log
from orchestrator.state_folder import StateFolder
from orchestrator.storage import open_store
from orchestrator.trials import Failure, FailureKind, Report, TrialState

NOW = datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    store = open_store(f"sqlite:///{tmp_path / 'sweeps.db'}")
    store.create_sweep("a", {"objectives": {"x": "maximize"}}, "f")
    writer = store.take("a", "test")
    for _ in range(2):
        writer.add_trial({"bits": 4}, seed=0)
    writer.start_attempt(0, "node-1:7")
    writer.add_reports(0, 0, [Report(1, {"loss": 0.5})])
    failure = Failure(FailureKind.WORKER_LOST, "its process died", "Traceback:\n  boom")
    writer.finish_attempt(0, 0, Outcome(TrialState.INTERRUPTED, failure=failure))
    writer.start_attempt(0, "node-2:8")
    writer.add_reports(0, 1, [Report(2, {"loss": 0.25})])
    writer.finish_attempt(0, 1, Outcome(TrialState.COMPLETE, {"x": 1.0}))
    return open_sweep("a", store)


def test_attempts_epochs_and_errors_stand_in_order(sweep: Sweep, tmp_path: Path) -> None:
    events = trial_log(sweep, 0, StateFolder(tmp_path))
    assert [(each.attempt, each.text.partition(" after")[0]) for each in events] == [
        (None, "stored: bits=4"),
        (0, "started on node-1:7"),
        (0, "interrupted"),
        (1, "started on node-2:8"),
        (1, "epoch 1: loss 0.5"),
        (1, "epoch 2: loss 0.25"),
        (1, "complete"),
    ]
    assert events[2].level == "ERROR"
    assert "worker_lost: its process died" in events[2].text
    assert events[2].traceback == "Traceback:\n  boom"
    assert [each.text for each in trial_log(sweep, 1, StateFolder(tmp_path))] == ["stored: bits=4"]


def text_line(seconds: int, trial: object, message: str) -> str:
    moment = (NOW + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    return f"{moment} WARNING sweep=a trial={trial} attempt=1 node=n worker=w:1 {message}"


def test_lines_of_runs_are_merged_in_both_forms(sweep: Sweep, tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    folder = state.log_folder("a")
    folder.mkdir(parents=True)
    of_json = {"time": (NOW + timedelta(seconds=3)).isoformat(), "level": "INFO", "sweep": "a"}
    of_json |= {"trial": 0, "attempt": 1, "node": "n", "worker": "w", "message": "from JSON"}
    (folder / "2-8.log").write_text(
        f"{json.dumps(of_json)}\n{json.dumps({**of_json, 'trial': 1})}\n{{cut off\n"
    )
    (folder / "1-7.log").write_text(
        "\n".join(
            [
                "not a line of ours",
                text_line(2, 0, "it is late"),
                "Traceback (most recent call last):",
                "ValueError: bad",
                text_line(2, 1, "another trial"),
                "its traceback",
                text_line(2, "-", "the sweep"),
            ]
        )
    )
    (folder / "1-7.log.1").write_text(text_line(1, 0, "an older part") + "\n")
    found = [each for each in trial_log(sweep, 0, state) if each.source != "store"]
    assert [(each.text, each.level, each.attempt) for each in found] == [
        ("an older part", "WARNING", 1),
        ("it is late", "WARNING", 1),
        ("from JSON", "INFO", 1),
    ]
    assert found[1].traceback == "Traceback (most recent call last):\nValueError: bad\n"
