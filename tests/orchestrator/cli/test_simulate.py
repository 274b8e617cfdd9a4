"""``paretune simulate``: files and stored sweeps are replayed, and variants are printed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from orchestrator.driver.running import run
from orchestrator.simulation.executor import SimulatedExecutor
from orchestrator.simulation.table import Recording, Table
from orchestrator.simulation.table_files import read_table, write_table
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import Report

Call = Callable[..., Result]

SPEC = {
    "name": "a",
    "backbone": {"name": "digitnet", "weights": "scratch"},
    "data": {"name": "digits"},
    "space": {"fc_width_1": {"type": "choice", "values": [8, 16, 32, 64]}},
    "training": {"epochs": 2},
    "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
    "sampler": {"kind": "random"},
    "budget": {"trials": 4},
    "tracking": {"kind": "none"},
}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(SPEC))
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    epochs = tuple(Report(number, {"seconds": 1.0}) for number in (1, 2))
    recordings = tuple(
        Recording(
            {"fc_width_1": width},
            0,
            {"accuracy": 1 - 1 / width, "memory_bytes": 9.0 * width, "train_s": 2.0},
            epochs,
        )
        for width in (8, 16, 32, 64)
    )
    return write_table(Table(recordings), tmp_path / "table.csv.gz")


def test_variants_are_a_row_each(call: Call, sweep: Path, table: Path) -> None:
    result = call(
        *("simulate", sweep, "--from", table, "--seeds", 2, "--slots", 2),
        *("--against", "sampler.kind=grid,budget.trials=2"),
    )
    assert result.exit_code == 0, result.output
    rows = result.stdout.splitlines()
    assert any(row.split()[:2] == ["as", "given"] for row in rows), result.stdout
    assert any("sampler.kind=grid" in row for row in rows)
    assert "2/2" in result.stdout
    assert result.stderr.startswith("2 variants, 2 seeds, 2 slots; trials of ")


@pytest.mark.slow
def test_json_has_a_record_a_simulated_sweep(call: Call, sweep: Path, table: Path) -> None:
    result = call(
        *("simulate", sweep, "--from", table, "--seeds", 2, "--slots", 1, "--format", "json"),
        *("--set", "budget.trials=1", "--against", "budget.trials=4"),
    )
    records = json.loads(result.stdout)
    assert [(record["variant"], record["seed"]) for record in records] == [
        ("as given", 0),
        ("budget.trials=4", 0),
        ("as given", 1),
        ("budget.trials=4", 1),
    ]
    assert records[0]["complete"] == 1
    assert records[1]["seconds"] == 8.0
    assert records[1]["volume"] == pytest.approx(1.0)
    assert records[0]["seconds_to_99"] is None


@pytest.mark.slow
def test_a_stored_sweep_is_replayed(call: Call, home: Path, sweep: Path, table: Path) -> None:
    spec = SweepSpec.model_validate(SPEC)
    executor = SimulatedExecutor(read_table(table).recording, slots=1)
    run(spec, executor=lambda task: executor)
    result = call("simulate", sweep, "--from", "a", "--seeds", 1, "--format", "csv")
    header, row = result.stdout.splitlines()
    assert header.split(",")[:3] == ["variant", "seed", "complete"]
    assert row.split(",")[:3] == ["as given", "0", "4"]
    assert "trials of Sweep 'a'" in result.stderr


@pytest.mark.parametrize(
    ("source", "code", "complaint"),
    [
        ("nothing.csv", 2, "No such file"),
        ("nothing", 2, "Unknown sweep 'nothing'"),
    ],
)
def test_what_is_not_there_is_a_sentence(
    call: Call, filled: Path, sweep: Path, source: str, code: int, complaint: str
) -> None:
    result = call("simulate", sweep, "--from", source)
    assert result.exit_code == code
    assert complaint in result.stderr


def test_a_variant_that_is_no_change_is_a_sentence(call: Call, sweep: Path, table: Path) -> None:
    result = call("simulate", sweep, "--from", table, "--against", "random")
    assert result.exit_code == 2
    assert "'random' is not KEY=VALUE" in result.stderr


def test_a_table_needs_no_sweep_file(call: Call, table: Path) -> None:
    result = call(
        *("simulate", "--from", table, "--seeds", 2, "--slots", 2, "--set", "sampler=random"),
        *("--objective", "accuracy=maximize", "--objective", "memory_bytes=minimize"),
    )
    assert result.exit_code == 0, result.output
    assert "log diff" in result.stdout
    assert "objectives: accuracy (maximize), memory_bytes (minimize)" in result.stderr
    assert "known before training: memory_bytes" in result.stderr


def test_a_short_file_says_how_a_table_is_searched(
    call: Call, tmp_path: Path, table: Path
) -> None:
    short = tmp_path / "short.yaml"
    short.write_text("{objectives: {accuracy: maximize}, known: [], budget: 3, sampler: random}")
    result = call("simulate", short, "--from", table, "--seeds", 1, "--format", "json")
    (record,) = json.loads(result.stdout)
    assert (record["variant"], record["complete"]) == ("as given", 3)


def test_an_objective_without_a_direction_is_a_sentence(call: Call, table: Path) -> None:
    result = call("simulate", "--from", table, "--objective", "accuracy")
    assert result.exit_code == 2
    assert "'accuracy' is not NAME=maximize" in result.stderr


def test_a_sweep_file_has_its_own_objectives(call: Call, sweep: Path, table: Path) -> None:
    result = call("simulate", sweep, "--from", table, "--known", "none")
    assert result.exit_code == 2
    assert "has objectives of its own" in result.stderr
