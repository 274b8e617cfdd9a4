"""What a run shows by itself: lines, or a table in a notebook."""

import io
from datetime import UTC, datetime

from orchestrator.contracts import Plan
from orchestrator.driver.shown_progress import LineProgress, TableProgress, shown_progress
from orchestrator.objectives import Direction, Objective
from orchestrator.trials import Report, SweepRecord, SweepState, Trial, TrialState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SWEEP = SweepRecord("<b>s</b>", {}, "f", SweepState.COMPLETE, NOON, stop_reason="budget")


def plan() -> Plan:
    goals = (Objective("accuracy", Direction.MAXIMIZE),)
    return Plan(SWEEP, goals, trials=2, seconds=None, epochs=3, past=())


def ended(number: int) -> Trial:
    params = {"optimizer": "<i>sgd"}
    return Trial("s", number, params, 0, TrialState.COMPLETE, values={"accuracy": 0.9})


def test_outside_a_notebook_each_trial_is_a_line() -> None:
    out = io.StringIO()
    shown = LineProgress(out)
    shown.begin(plan())
    shown.trial_started(ended(0))
    shown.trial_ended(ended(0))
    shown.end(SWEEP)
    assert out.getvalue().splitlines() == [
        "<b>s</b>: 2 trials of 3 epochs",
        "[1] trial 0 complete: accuracy 90.0 % (optimizer=<i>sgd)",
        "<b>s</b>: complete: budget",
    ]
    assert isinstance(shown_progress(), LineProgress)


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
