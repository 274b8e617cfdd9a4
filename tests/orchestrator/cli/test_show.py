"""``list``, ``status``, ``trials`` and ``show`` on a real store."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli.app import app

Call = Callable[..., Result]


def test_list_shows_sweeps_with_their_trials_by_state(filled: Path, call: Call) -> None:
    (record,) = json.loads(call("list", "--format", "json").stdout)
    assert record["sweep"] == "digits-fc"
    assert record["state"] == "interrupted"
    assert record["trials"] == {"complete": 5, "failed": 1}
    assert "5 complete, 1 failed" in call("list").stdout


def test_without_a_store_the_answer_is_a_sentence(call: Call, home: Path) -> None:
    result = call("list")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert not home.exists(), "asking writes nothing"


def test_status_says_how_to_go_on(filled: Path, call: Call) -> None:
    text = call("status", "digits-fc").stdout
    assert "interrupted by SIGINT" in text
    assert "paretune resume digits-fc" in text
    assert "of 8 in the budget" in text
    record = json.loads(call("status", "digits-fc", "--format", "json").stdout)
    assert record["best"]["memory_bytes"] == {"trial": 2, "value": 9000.0}
    assert record["front"] == [0, 1, 2]


def test_trials_lists_all_states_and_why_one_failed(filled: Path, call: Call) -> None:
    text = call("trials", "digits-fc").stdout
    assert "22.4 kB" in text
    assert "94.0 %" in text
    assert "error: a tensor is [bold]bad" in text, "text is never read as markup"
    records = json.loads(call("trials", "digits-fc", "-f", "json").stdout)
    assert [record["state"] for record in records] == ["complete"] * 5 + ["failed"]


def test_trials_can_be_filtered(filled: Path, call: Call) -> None:
    result = call("trials", "digits-fc", "--where", "bits <= 4", "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["trial"] for row in rows] == ["4", "5"]
    assert rows[0]["params.bits"] == "4"
    assert rows[0]["values.memory_bytes"] == "9500.0"
    assert rows[1]["values.memory_bytes"] == ""


def test_a_condition_that_no_trial_fulfills_prints_an_empty_list(filled: Path, call: Call) -> None:
    result = call("trials", "digits-fc", "--where", "bits > 32", "-f", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    assert "no trial that fulfills" in result.stderr


@pytest.mark.parametrize("words", [("status", "nope"), ("trials", "nope"), ("show", "nope", 0)])
def test_an_unknown_sweep_exits_2_with_the_known_names(
    filled: Path, call: Call, words: tuple[object, ...]
) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert "Known: digits-fc" in result.stderr
    assert result.stdout == ""


def test_show_tells_everything_of_a_trial(filled: Path, call: Call) -> None:
    text = call("show", "digits-fc", 1).stdout
    for part in ("bits  7", "22.4 kB", "epochs 1 to 3", "on node-1", "network.safetensors"):
        assert part in text
    record = json.loads(call("show", "digits-fc", 1, "-f", "json").stdout)
    assert record["params"] == {"bits": 7, "lr": 0.001}
    assert [report["epoch"] for report in record["reports"]] == [1, 2, 3]
    assert record["artifact_bytes"] == record["values"]["memory_bytes"] == 22_400
    assert [attempt["state"] for attempt in record["attempts"]] == ["complete"]


def test_a_traceback_is_folded_until_it_is_asked_for(filled: Path, call: Call) -> None:
    folded, whole = call("show", "digits-fc", 5), call("show", "digits-fc", 5, "--traceback")
    assert "ValueError: bad" in folded.stdout
    assert "line 0" not in folded.stdout
    assert "8 more lines with --traceback" in folded.stdout
    assert "line 0" in whole.stdout


def test_an_unknown_trial_exits_2(filled: Path, call: Call) -> None:
    assert call("show", "digits-fc", 99).exit_code == 2
    assert call("show", "digits-fc", "x").exit_code == 2


def test_logs_tell_what_happened_to_a_trial(filled: Path, call: Call) -> None:
    page = call("logs", "digits-fc", 5).stdout
    assert "attempt 1  INFO     started on node-1" in page
    assert "error: a tensor is [bold]bad" in page
    assert "      line 8" in page
    events = json.loads(call("logs", "digits-fc", 0, "--format", "json").stdout)
    assert [each["message"].partition(":")[0] for each in events[2:5]] == [
        "epoch 1",
        "epoch 2",
        "epoch 3",
    ]


def test_a_shell_completes_the_names_of_sweeps(filled: Path, home: Path) -> None:
    def completed(line: str) -> list[str]:
        asked = {"_PARETUNE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "2"}
        return CliRunner().invoke(app, [], env=asked, prog_name="paretune").stdout.split()

    assert completed("paretune status dig") == ["digits-fc"]
    assert completed("paretune status x") == []
    (filled / "paretune.db").unlink()
    assert completed("paretune status dig") == []
