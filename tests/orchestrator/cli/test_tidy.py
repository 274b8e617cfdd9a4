"""``diff``, ``delete`` and ``clean`` as a person calls them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Call = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("filled")


def test_trials_are_compared(call: Call) -> None:
    done = call("diff", "digits-fc:0", "digits-fc:1", "--format", "json")
    assert done.exit_code == 0
    rows = {row["name"]: (row["first"], row["second"]) for row in json.loads(done.stdout)}
    assert rows["bits"] == (8, 7)
    assert "lr" not in rows
    table = call("diff", "digits-fc:0", "digits-fc:1").stdout
    assert "digits-fc:1" in table
    assert "bits" in table


def test_a_sweep_and_a_trial_cannot_be_compared(call: Call) -> None:
    done = call("diff", "digits-fc", "digits-fc:1")
    assert done.exit_code == 2
    assert "not of one kind" in done.stderr


def test_a_sweep_does_not_differ_from_itself(call: Call) -> None:
    done = call("diff", "digits-fc", "digits-fc")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "do not differ" in done.stderr


def test_nothing_is_deleted_unless_somebody_says_yes(call: Call) -> None:
    asked = call("delete", "digits-fc")
    assert asked.exit_code == 2
    assert "6 trials" in asked.stderr
    assert "--yes" in asked.stderr
    assert "digits-fc" in call("list").stdout
    assert call("delete", "digits-fc", "--yes").exit_code == 0
    assert "digits-fc" not in call("list").stdout


def test_what_was_removed_is_told_to_programs(call: Call, filled: Path) -> None:
    (filled / "cache").mkdir()
    (filled / "cache" / "stage").write_bytes(bytes(2_000))
    (cleaned,) = json.loads(call("clean", "--yes", "--format", "json").stdout)
    assert (cleaned["folder"], cleaned["bytes"]) == (str(filled / "cache"), 2_000)
    assert json.loads(call("clean", "--yes", "--format", "json").stdout) == []
    deleted = json.loads(call("delete", "digits-fc", "--yes", "-f", "json").stdout)
    assert (deleted["sweep"], deleted["trials"], deleted["mlflow_runs"]) == ("digits-fc", 6, [])


@pytest.mark.slow
def test_an_archive_brings_a_deleted_sweep_back(call: Call, filled: Path, tmp_path: Path) -> None:
    before = call("trials", "digits-fc", "--format", "json").stdout
    file = tmp_path / "digits.zip"
    said = json.loads(call("archive", "digits-fc", "--to", file, "--format", "json").stdout)
    assert (said["trials"], said["bytes"]) == (6, file.stat().st_size)
    assert said["lost_networks"] == [0, 1, 2, 3, 4]
    call("delete", "digits-fc", "--yes")
    assert "6 trials" in call("restore", file).stdout
    assert call("trials", "digits-fc", "--format", "json").stdout == before
    again = call("restore", file)
    assert again.exit_code == 1
    assert "paretune rename digits-fc NEW" in again.stderr


def test_cleaning_shows_sizes_first(call: Call, filled: Path) -> None:
    assert "nothing to remove" in call("clean").stderr
    (filled / "cache").mkdir()
    (filled / "cache" / "stage").write_bytes(bytes(2_000))
    asked = call("clean")
    assert asked.exit_code == 2
    assert "2.00 kB" in asked.stderr
    assert call("clean", "--yes").exit_code == 0
    assert not (filled / "cache").exists()
