"""A run on a terminal, and as plain lines."""

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from orchestrator.contracts import Plan, Progress
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
