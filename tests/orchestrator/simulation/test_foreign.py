"""Tables that somebody else recorded: their names are free, and nothing of ours is assumed."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.simulation.comparing import compare
from orchestrator.simulation.foreign import sweep_of
from orchestrator.simulation.lookup import TableLookup, holes
from orchestrator.simulation.table import Recording, Table
from orchestrator.simulation.table_files import read_table
from orchestrator.simulation.variants import TableOptions, variants_of
from orchestrator.trials import Params, Report

# Names of ours with values that ours could not have.
NAMES = {"bits": ("low", "high"), "depth": (0.5, 1.5, 9.0), "n_units": (16, 64)}
GRID: list[dict[str, Any]] = [
    {"bits": bits, "depth": depth, "n_units": units}
    for bits in NAMES["bits"]
    for depth in NAMES["depth"]
    for units in NAMES["n_units"]
]


def recorded(params: Params, seed: int = 0, epochs: int = 3) -> Recording:
    score = float(params["depth"]) / 10 + (params["bits"] == "high")
    reports = tuple(
        Report(n, {"seconds": 2.0, "bleu": score * n / epochs}) for n in range(1, epochs + 1)
    )
    values = {"bleu": score, "params": float(params["n_units"]) * (1 + float(params["depth"]))}
    return Recording(params, seed, {**values, "train_s": 6.0}, reports)


TABLE = Table(tuple(map(recorded, GRID)), "somebody's table")
GOALS = {"bleu": "maximize", "params": "minimize"}


def test_a_table_is_searched_under_its_own_names() -> None:
    spec = sweep_of(TABLE, {"objectives": GOALS, "sampler": "tpe", "budget": 12})
    (found,) = compare({"tpe": spec}, TABLE, seeds=[3], slots=4)
    assert (found.complete, found.failed) == (12, 0)
    assert found.share == pytest.approx(1.0)
    # No two of them share a training, whatever their names mean to us.
    assert found.seconds == 3 * 6.0
    assert spec.search_space.domains["depth"].as_mapping()["ordered"] is True


def test_epochs_are_compared_by_the_tables_own_objectives() -> None:
    spec = sweep_of(
        TABLE,
        {
            "objectives": GOALS,
            "scheduler": {"kind": "moasha", "reduction": 2},
            "sampler": "random",
            "budget": 12,
        },
    )
    (found,) = compare({"moasha": spec}, TABLE, seeds=[0], slots=2)
    assert found.stopped > 0
    assert found.complete + found.stopped == 12


def test_without_curves_nothing_can_be_stopped() -> None:
    table = Table(tuple(recorded(params, epochs=0) for params in GRID))
    with pytest.raises(UsageError, match="no curve of bleu, params"):
        sweep_of(table, {"objectives": GOALS, "scheduler": {"kind": "moasha"}})


def test_what_was_not_recorded_stands_for_the_nearest() -> None:
    table = Table(tuple(map(recorded, [params for params in GRID if params["depth"] != 1.5])))
    space = sweep_of(TABLE).search_space.as_mapping()
    spec = sweep_of(table, {"space": space, "objectives": GOALS})
    assert holes(spec.search_space, table) == 4
    near = TableLookup(spec, table)({"bits": "low", "depth": 1.5, "n_units": 16}, seed=0)
    # The other options of what has no order are further than any number.
    assert (near.params["bits"], near.params["n_units"]) == ("low", 16)
    _, notes = variants_of(None, table, [f"space={space}"], ["seed=1"], OPTIONS)
    assert notes[-1].startswith("4 of 12 configurations were not recorded")


OPTIONS = TableOptions([f"{name}={way}" for name, way in GOALS.items()])


def test_sizes_are_known_before_training_unless_one_says_otherwise() -> None:
    variants, notes = variants_of(None, TABLE, [], [], OPTIONS)
    spec = variants["random"]
    assert set(variants) == {"random", "tpe", "nsga2"}
    assert TableLookup(spec, TABLE).known(GRID[0]) == {"params": 24.0}  # type: ignore[arg-type]
    assert "known before training: params" in notes
    _, notes = variants_of(None, TABLE, [], [], TableOptions(OPTIONS.objectives, ["none"]))
    assert "known before training: nothing" in notes


def test_an_index_has_no_order() -> None:
    rows = [Recording({"model": n}, 0, {"accuracy": n / 9, "train_s": 1.0}) for n in range(5)]
    assert "ordered" not in sweep_of(Table(tuple(rows))).space["model"]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"objectives": {"blue": "maximize"}}, "no value blue; it has bleu, params"),
        ({"known": ["macs"]}, "no value macs"),
        ({"objectives": {"bleu": "more"}}, "searched so"),
        ({"sampler": "tpa"}, "Unknown sampler"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_cannot_be_searched_is_a_sentence(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        sweep_of(TABLE, {"objectives": GOALS, **given})


def test_values_without_a_telling_name_are_asked_for() -> None:
    table = Table((Recording({"a": 1}, 0, {"bleu": 1.0, "train_s": 1.0}),), "t.csv")
    with pytest.raises(UsageError, match="--objective bleu=minimize"):
        sweep_of(table)


@pytest.mark.parametrize(
    ("text", "seconds", "note"),
    [
        ("params.a,epoch,values.loss\n1,1,0.5\n1,2,0.4\n1,,0.4\n", [1.0, 1.0], "each epoch"),
        ("params.a,values.loss\n1,0.5\n", [], "each training takes 1 s"),
        ("params.a,epoch,values.train_s\n1,1,\n1,2,\n1,,9\n", [4.5, 4.5], "spread evenly"),
        ("params.a,epoch,values.seconds\n1,1,3\n1,,\n", [3.0], ""),
    ],
)
def test_times_that_were_not_recorded_are_filled_in(
    text: str, seconds: list[float], note: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    table = read_table(path)
    assert [r.values["seconds"] for r in table.recordings[0].reports] == seconds
    assert note in " ".join(table.notes)
    assert bool(table.notes) == bool(note)


@pytest.mark.parametrize(
    ("name", "configurations", "epochs", "objectives"),
    [
        ("naap440", 440, 90, {"accuracy", "params", "macs"}),
        ("metaqnn_cifar10", 1_000, 20, {"accuracy", "params"}),
        ("deep_resnets_cifar10", 486, 50, {"accuracy", "params"}),
    ],
)
def test_the_tables_of_others_that_ship_can_be_searched_as_they_are(
    name: str, configurations: int, epochs: int, objectives: set[str]
) -> None:
    folder = Path(__file__).resolve().parents[3] / "benchmarks" / "tables"
    table = read_table(folder / f"{name}.csv.gz")
    assert table.configurations == configurations
    assert {len(each.reports) for each in table.recordings} == {epochs}
    assert set(sweep_of(table).objectives) == objectives
    # Nothing is shipped without its licence.
    assert f"`{name}.csv.gz`" in (folder / "README.md").read_text().split("## Licence")[1]
