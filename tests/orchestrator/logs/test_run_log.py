"""The log file of a run: when it is made, what it takes in, and what becomes of older ones."""

import json
import logging
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.logs import run_log
from orchestrator.logs.lines import Line
from orchestrator.logs.run_log import LogFormat, RunLog

LOGGER = logging.getLogger("orchestrator.test")


def lines(log: RunLog) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.path.read_text().splitlines()]


def test_lines_wait_until_the_sweep_is_stored(tmp_path: Path) -> None:
    log = RunLog("a", tmp_path / "logs" / "a", LogFormat.JSON)
    with log.attached():
        LOGGER.info("before")
        assert not (tmp_path / "logs").exists()
        assert log.begin() == log.path
        LOGGER.info("after")
    LOGGER.warning("not of this run")
    assert [line["message"] for line in lines(log)] == ["before", "after"]
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


def test_a_run_that_ends_before_its_sweep_is_stored_leaves_nothing(tmp_path: Path) -> None:
    with RunLog("a", tmp_path / "logs").attached():
        LOGGER.info("before")
    assert list(tmp_path.iterdir()) == []


def test_lines_of_a_worker_are_written_with_its_place(tmp_path: Path) -> None:
    log = RunLog("a", tmp_path, LogFormat.JSON)
    with log.attached():
        log.begin()
        log.write([Line(1.5, logging.INFO, "trainers.x", "far", 3, 1)], "5e2f", "10.0.0.7:9")
    (line,) = lines(log)
    assert [line[each] for each in ("sweep", "trial", "attempt", "node", "worker")] == [
        "a",
        3,
        1,
        "5e2f",
        "10.0.0.7:9",
    ]
    assert line["time"] == "1970-01-01T00:00:01.500Z"


def test_json_lines_also_go_to_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = RunLog("a", tmp_path, LogFormat.JSON)
    with log.attached():
        LOGGER.info("hello")
    assert json.loads(capsys.readouterr().err)["message"] == "hello"


def test_in_text_only_a_warning_goes_to_standard_error_unless_it_was_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in the command: pytest has handlers of its own.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with RunLog("a", tmp_path).attached():
        LOGGER.info("quiet")
        LOGGER.warning("the lease was not renewed", exc_info=ValueError("deep"))
        LOGGER.warning("shown already", extra={"is_shown": True})
    assert capsys.readouterr().err == "the lease was not renewed\n"


def test_what_a_program_set_up_hears_no_more_than_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    its_own = logging.Handler()
    its_own.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [its_own])
    monkeypatch.setattr(root, "level", logging.WARNING)
    with RunLog("a", tmp_path).attached():
        LOGGER.info("quiet")
        LOGGER.warning("loud")
    LOGGER.warning("afterwards")
    assert heard == ["loud", "afterwards"]


def test_a_file_that_is_full_is_continued_and_the_oldest_part_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log, "MOST_BYTES", 500)
    monkeypatch.setattr(run_log, "MOST_PARTS", 2)
    log = RunLog("a", tmp_path)
    with log.attached():
        log.begin()
        for number in range(50):
            LOGGER.info("line %d", number)
    parts = sorted(tmp_path.iterdir())
    assert [part.name.removeprefix(log.path.name) for part in parts] == ["", ".1", ".2"]
    assert all(part.stat().st_size <= 500 for part in parts)
    assert "line 49" in log.path.read_text()


def test_the_logs_of_the_oldest_runs_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log, "KEPT_RUNS", 2)
    for name in ("20260101T000000Z-1.log", "20260101T000000Z-1.log.1", "20260102T000000Z-1.log"):
        (tmp_path / name).touch()
    log = RunLog("a", tmp_path)
    with log.attached():
        log.begin()
        assert sorted(tmp_path.iterdir()) == [tmp_path / "20260102T000000Z-1.log", log.path]


def test_a_folder_that_cannot_be_made_costs_the_log_alone(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    log = RunLog("a", tmp_path / "logs" / "a")
    with log.attached():
        assert log.begin() is None
        LOGGER.info("lost")


def test_a_line_that_cannot_be_written_prints_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log = RunLog("a", tmp_path)
    with log.attached():
        log.begin()
        LOGGER.info("a number is %d", "none")
    assert "Traceback" not in capsys.readouterr().err


def test_the_form_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARETUNE_LOG_FORMAT", raising=False)
    assert LogFormat.of_environment() is LogFormat.TEXT
    monkeypatch.setenv("PARETUNE_LOG_FORMAT", "json")
    assert LogFormat.of_environment() is LogFormat.JSON
    monkeypatch.setenv("PARETUNE_LOG_FORMAT", "yaml")
    with pytest.raises(UsageError, match="'yaml'; set it to text or json"):
        LogFormat.of_environment()
