"""``init`` and ``schema``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from orchestrator.cli.app import app
from orchestrator.spec.files import load_sweep
from orchestrator.spec.first_file import GOALS

Call = Callable[..., Result]


@pytest.mark.parametrize("goal", GOALS)
def test_a_first_file_can_be_run_as_it_is(call: Call, tmp_path: Path, goal: str) -> None:
    file = tmp_path / "first.yaml"
    assert call("init", file, "--data", "digits", "--goal", goal, "--yes").exit_code == 0
    spec = load_sweep(file)
    assert spec.name == "first"
    assert spec.backbone.weights == "bundled"
    assert " and ".join(("size", *list(spec.objectives)[2:])).startswith(goal[:8])
    named = file.read_text().splitlines()[0].partition("$schema=")[2]
    assert json.loads((tmp_path / named).read_text())["title"] == "Sweep file of paretune"


def test_a_folder_of_any_name_is_written_so_that_yaml_reads_it(call: Call, tmp_path: Path) -> None:
    (tmp_path / "it's: {mine}").mkdir()
    file = tmp_path / "sweep.yaml"
    assert call("init", file, "--data", "it's: {mine}", "-y").exit_code == 0
    assert yaml.safe_load(file.read_text())["data"] == {"folder": "it's: {mine}"}


def test_nothing_is_overwritten(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("mine")
    result = call("init", file, "--yes")
    assert result.exit_code == 2
    assert "exists, and is left as it is" in result.stderr
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--backbone", "resnet19", "resnet18"), ("--goal", "speed", "size and latency")],
)
def test_what_is_unknown_is_refused_and_leaves_no_file(
    call: Call, tmp_path: Path, option: str, value: str, said: str
) -> None:
    result = call("init", tmp_path / "sweep.yaml", option, value, "--yes")
    assert result.exit_code == 2
    assert said in result.stderr
    assert list(tmp_path.glob("sweep*")) == []


def test_the_schema_is_printed_or_written(call: Call, tmp_path: Path) -> None:
    printed = call("schema").stdout
    assert call("schema", "--to", tmp_path / "s.json").exit_code == 0
    assert (tmp_path / "s.json").read_text() == printed
    assert json.loads(printed)["required"][0] == "name"
    assert call("schema", "--to", tmp_path / "absent" / "s.json").exit_code == 2


def test_what_is_not_given_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "asked.yaml"
    done = CliRunner().invoke(app, ["init", str(file)], input="digits\n\nsize and latency\n")
    assert done.exit_code == 0
    assert done.stdout.count("[") == 3  # each question has an answer that Enter takes
    spec = load_sweep(file)
    assert (spec.data.name, spec.backbone.name) == ("digits", "digitnet")
    assert "latency_ms" in spec.objectives
