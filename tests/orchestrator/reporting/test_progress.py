"""A run on a terminal, and as plain lines."""

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from orchestrator.contracts import Plan, Progress
from orchestrator.objectives import Direction, Objective
from orchestrator.reporting.live import LiveProgress, picture
from orchestrator.reporting.plain import PlainProgress
from orchestrator.reporting.run_view import RunView
from orchestrator.reporting.terminal import progress_for
from orchestrator.trials import Failure, FailureKind, Report, SweepState, Trial, TrialState

MakePlan = Callable[..., Plan]
Terminal = Callable[[int], Console]
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def failed(trials: list[Trial]) -> Trial:
    failure = Failure(FailureKind.DIVERGED, "the loss became [nan]")
    return replace(trials[3], state=TrialState.FAILED, values={}, failure=failure)


def play(progress: Progress, plan: Plan, trials: list[Trial], failed: Trial) -> None:
    """A short run: notes, three trials that complete, one that fails, one interrupted."""
    progress.note("Ray starts")
    progress.begin(plan)
    for trial in trials[:3]:
        progress.trial_started(trial)
        progress.trial_reported(trial.number, Report(1, {"accuracy": 0.5}))
        progress.trial_ended(trial)
    progress.trial_started(failed)
    progress.trial_ended(failed)
    cut = replace(trials[0], number=9, state=TrialState.INTERRUPTED, values={})
    progress.trial_started(cut)
    progress.trial_ended(cut)
    progress.end(replace(plan.sweep, state=SweepState.INTERRUPTED, stop_reason="by SIGINT"))


def test_plain_lines_say_how_each_trial_ended(
    plan: MakePlan, trials: list[Trial], failed: Trial
) -> None:
    stream = io.StringIO()
    play(progress_for(stream), plan(), trials, failed)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Ray starts"
    assert lines[1] == "digits-fc: 8 trials of 4 epochs"
    assert "[1/8] trial 0 complete" in lines[2]
    assert "accuracy 96.0 %, memory 60.0 kB" in lines[2]
    assert "bits=8 optimizer=[red]sgd" in lines[2]
    assert "trial 3 failed" in lines[5]
    assert "diverged: the loss became [nan]" in lines[5]
    assert "[4/8] trial 9 interrupted" in lines[6]
    assert lines[7].endswith("by SIGINT")
    assert len(lines) == 8
    assert "\x1b" not in stream.getvalue()


def test_the_terminal_is_given_back_as_it_was(
    terminal: Terminal, plan: MakePlan, trials: list[Trial], failed: Trial
) -> None:
    console = terminal(100)
    play(LiveProgress(console), plan(), trials, failed)
    stream = console.file
    assert isinstance(stream, io.StringIO)
    text = stream.getvalue()
    assert text.count(HIDE) == 1
    assert text.rindex(SHOW) > text.rindex(HIDE)
    assert "Ray starts" in text
    assert "diverged: the loss became [nan]" in text


def shown(console: Console, view: RunView) -> str:
    with console.capture() as capture:
        console.print(picture(view, width=console.width))
    return capture.get()


@pytest.fixture
def view(plan: MakePlan, trials: list[Trial], failed: Trial) -> RunView:
    view = RunView(plan(past=[*trials[:3], failed]))
    view.started(replace(trials[0], number=17, state=TrialState.RUNNING))
    view.reported(17, Report(2, {"accuracy": 0.912, "loss": 0.3}))
    return view


def test_the_picture_shows_counts_running_trials_best_values_and_the_front(
    terminal: Terminal, view: RunView
) -> None:
    text = shown(Console(file=io.StringIO(), width=110, markup=False), view)
    for part in (
        "digits-fc",
        "4/8 done",
        "1 running",
        "1 failed",
        "trial 17",
        "2/4",
        "accuracy 91.2 %",
        "accuracy 96.0 % (trial 0)",
        "3 of 3 complete trials",
        "22.4 kB",
        ", → the knee",
    ):
        assert part in text


@pytest.mark.parametrize("width", [20, 44, 80, 200])
def test_no_line_is_wider_than_the_terminal(view: RunView, width: int) -> None:
    console = Console(file=io.StringIO(), width=width, markup=False)
    lines = shown(console, view).splitlines()
    assert max(map(len, lines)) <= width
    assert any("trial 17" in line for line in lines)


SEVEN = {
    "backbone": "mobilenet_v3_small",
    "fc_rule": "explicit",
    "fc_width_1": 4096,
    "fc_width_2": 4096,
    "bits": 4,
    "quantizer": "codebook",
    "learning_rate": 0.000123,
}


@pytest.mark.parametrize("width", [44, 76, 80, 100, 140])
@pytest.mark.parametrize("value", ["accuracy", "robust_accuracy_autoattack_eps2"])
def test_the_number_and_the_epoch_of_a_trial_stay_whatever_its_parameters_are(
    plan: MakePlan, trials: list[Trial], width: int, value: str
) -> None:
    view = RunView(plan(epochs=120, objectives=(Objective(value, Direction.MAXIMIZE),)))
    for number in (7, 1234):
        view.started(replace(trials[0], number=number, params=SEVEN))
    view.reported(1234, Report(119, {value: 0.912}))
    console = Console(file=io.StringIO(), width=width, markup=False)
    lines = shown(console, view).splitlines()
    assert max(map(len, lines)) <= width
    (late,) = [line for line in lines if "trial 1234" in line]
    assert ("epoch 119/120" in late) or width == 44
    (early,) = [line for line in lines if "trial 7 " in line]
    assert "starting" in early
    if width >= 80 and value == "accuracy":
        assert "91.2 %" in late
        assert "backbone=" in late
        assert late.rstrip().endswith("…") or "learning_rate" in late


def test_nothing_done_yet_is_a_picture_too(plan: MakePlan) -> None:
    console = Console(file=io.StringIO(), width=80)
    assert "0/8 done" in shown(console, RunView(plan()))
    assert "0/0 done" in shown(console, RunView(plan(trials=0, epochs=0)))


def test_a_terminal_gets_the_live_display_and_a_pipe_plain_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(progress_for(Terminal()), LiveProgress)
    assert isinstance(progress_for(io.StringIO()), PlainProgress)
