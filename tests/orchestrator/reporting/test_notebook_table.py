"""What a run shows by itself: lines, or a table in a notebook."""

from datetime import UTC, datetime

import pytest

from orchestrator.contracts import Plan
from orchestrator.objectives import Direction, Objective
from orchestrator.reporting.notebook_table import TableProgress
from orchestrator.reporting.terminal import quiet_progress
from orchestrator.trials import Report, SweepRecord, SweepState, Trial, TrialState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SWEEP = SweepRecord("<b>s</b>", {}, "f", SweepState.COMPLETE, NOON, stop_reason="budget")


def plan() -> Plan:
    goals = (Objective("accuracy", Direction.MAXIMIZE),)
    return Plan(SWEEP, goals, trials=2, seconds=None, epochs=3, past=())


def ended(number: int) -> Trial:
    params = {"optimizer": "<i>sgd"}
    return Trial("s", number, params, 0, TrialState.COMPLETE, values={"accuracy": 0.9})


def test_outside_a_notebook_each_trial_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown = quiet_progress()
    shown.begin(plan())
    shown.trial_started(ended(0))
    shown.trial_ended(ended(0))
    shown.end(SWEEP)
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == "<b>s</b>: 2 trials of 3 epochs"
    assert second.startswith("[1/2] trial 0 complete after ")
    assert "accuracy 90.0 % (optimizer=<i>sgd)" in second
    assert third == "<b>s</b>: complete: budget"


def test_in_a_notebook_one_table_is_kept_up_to_date_and_holds_no_markup() -> None:
    drawn: list[str] = []
    shown = TableProgress(drawn.append)
    shown.begin(plan())
    shown.trial_started(ended(1))
    shown.trial_reported(1, Report(2, {}))
    shown.trial_ended(ended(0))
    # News that come at once are drawn together.
    assert len(drawn) == 1
    shown.note("almost <script>there")
    assert "epoch 2 of 3" in drawn[-1]
    assert "90.0 %" in drawn[-1]
    assert "<i>" not in drawn[-1]
    assert "<script>" not in drawn[-1]
    shown.end(SWEEP)
    assert "epoch 2 of 3" not in drawn[-1]
    assert "complete: budget" in drawn[-1]
