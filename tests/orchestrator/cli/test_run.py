"""``check``, ``run`` and ``resume``: what they print last, and their exit codes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from orchestrator.contracts import Silent
from orchestrator.driver.running import RunResult
from orchestrator.driver.watch import Watch
from orchestrator.logs.run_log import LogFormat
from orchestrator.metrics.serving import MetricsPlace
from orchestrator.queries.sweeps import open_sweep

Call = Callable[..., Result]
SWEEP = """\
name: tiny
backbone: {name: digitnet, weights: scratch}
data: {name: digits}
space: smoke
objectives: {accuracy: maximize, memory_bytes: minimize}
"""


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP, encoding="utf-8")
    return file


@pytest.fixture
def ended(filled: Path) -> RunResult:
    """How a run of the sweep in the store would have ended."""
    sweep = open_sweep("digits-fc")
    return RunResult(sweep.record, sweep.front(), 5, 0, 1, interrupted=False)


@pytest.fixture
def run_ends(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunResult], list[dict[str, Any]]]:
    """Let runs end in a given way at once: how they really end is tested with Ray elsewhere."""

    def arrange(result: RunResult) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []

        def run(what: object, **options: object) -> RunResult:
            calls.append({"what": what, **options})
            return result

        monkeypatch.setattr("orchestrator.driver.running.run", run)
        monkeypatch.setattr("orchestrator.driver.running.resume", run)
        return calls

    return arrange


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SWEEP + "objectivs: {}\n", "objectivs"),
        (SWEEP.replace("digitnet", "digitnt"), "digitnt"),
        ("name: [", "sweep.yaml"),
        (SWEEP + "name: twice\n", "name"),
    ],
)
def test_a_wrong_file_exits_2_and_nothing_is_written(
    call: Call, home: Path, tmp_path: Path, command: str, text: str, told: str
) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(text, encoding="utf-8")
    result = call(command, file)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""
    assert not home.exists()


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_missing_file_and_a_wrong_setting_exit_2(
    call: Call, home: Path, sweep_file: Path, command: str
) -> None:
    assert "nowhere.yaml" in call(command, "nowhere.yaml").stderr
    assert call(command, "nowhere.yaml").exit_code == 2
    assert call(command, sweep_file, "--set", "training.epoch=3").exit_code == 2
    assert call(command, sweep_file, "--set", "epochs").exit_code == 2
    assert not home.exists()


@pytest.mark.parametrize("data", ["{folder: nowhere}", "{folder: .}", "{npz: nowhere.npz}"])
def test_a_wrong_place_of_the_data_exits_2(
    call: Call, sweep_file: Path, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    result = call("check", sweep_file, "--set", f"data={data}")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: data f")


def test_check_prints_what_the_sweep_would_do_and_writes_nothing(
    call: Call, home: Path, sweep_file: Path
) -> None:
    result = call("check", sweep_file)
    assert result.exit_code == 0, result.output
    assert "configurations" in result.stdout
    assert "digits" in result.stdout
    assert not home.exists()


def test_a_run_ends_with_the_front_and_a_count_of_failures(
    call: Call, sweep_file: Path, ended: RunResult, run_ends: Callable[..., Any]
) -> None:
    calls = run_ends(ended)
    result = call("run", sweep_file, "--name", "other", "--trials", 3, "--address", "here:1")
    assert result.exit_code == 0
    assert "→ is the knee" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.startswith("digits-fc: 5 complete, 0 stopped early, 1 failed, in ")
    assert (calls[0]["what"].name, calls[0]["what"].budget.trials) == ("other", 3)
    assert calls[0]["address"] == "here:1"


def test_a_run_of_which_every_trial_failed_exits_1(
    call: Call, sweep_file: Path, ended: RunResult, run_ends: Callable[..., Any]
) -> None:
    nothing = replace(ended.front, members=(), others=())
    run_ends(replace(ended, front=nothing, complete=0, failed=6))
    result = call("run", sweep_file)
    assert result.exit_code == 1
    assert "6 failed" in result.stdout.splitlines()[-1]


def test_an_interrupted_run_exits_130_and_says_how_to_go_on(
    call: Call, ended: RunResult, run_ends: Callable[..., Any]
) -> None:
    calls = run_ends(replace(ended, interrupted=True))
    result = call("resume", "digits-fc")
    assert result.exit_code == 130
    assert "go on with: paretune resume digits-fc" in result.stdout
    assert calls[0]["what"] == "digits-fc"


def test_resuming_in_a_store_that_is_not_there_makes_none(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "typo.db"
    assert call("resume", "digits-fc", "--store", f"sqlite:///{file}").exit_code == 2
    assert not file.exists()


@pytest.mark.parametrize("command", ["run", "resume"])
def test_the_log_and_the_metrics_are_as_the_options_say(
    call: Call,
    filled: Path,
    sweep_file: Path,
    ended: RunResult,
    run_ends: Callable[..., Any],
    command: str,
) -> None:
    calls = run_ends(ended)
    what = sweep_file if command == "run" else "digits-fc"
    options = ("--log-format", "json", "--metrics-port", 0, "--metrics-file", "run.prom")
    assert call(command, what, *options).exit_code == 0
    watch = calls[0]["watch"]
    assert watch == Watch(LogFormat.JSON, MetricsPlace(0, "127.0.0.1", Path("run.prom")))
    # Its lines on standard error are the progress.
    assert isinstance(calls[0]["progress"], Silent)
    assert call(command, what).exit_code == 0
    assert calls[1]["watch"] == Watch(LogFormat.TEXT, MetricsPlace())
    assert not isinstance(calls[1]["progress"], Silent)


def test_a_wrong_form_of_the_log_exits_2(
    call: Call, sweep_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("run", sweep_file, "--log-format", "yaml").exit_code == 2
    monkeypatch.setenv("PARETUNE_LOG_FORMAT", "yaml")
    result = call("run", sweep_file)
    assert result.exit_code == 2
    assert "set it to text or json" in result.stderr
