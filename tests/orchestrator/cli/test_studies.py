"""``export-study``, and ``run --warm-start``."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from orchestrator.contracts import Outcome
from orchestrator.sampling.optuna_studies import study_rows
from orchestrator.storage import open_store
from orchestrator.trials import TrialState
from tests.orchestrator.driving import make_spec

Call = Callable[..., Result]


@pytest.fixture
def searched(home: Path) -> Path:
    """A state folder with the sweep a, of two complete trials."""
    store, spec = open_store(), make_spec()
    store.create_sweep("a", spec.model_dump(mode="json"), spec.fingerprint())
    writer = store.take("a", "test")
    for number in range(2):
        writer.add_trial({"fc_width_1": 16 + number}, seed=number)
        writer.start_attempt(number, "w")
        values = {"accuracy": 0.5, "memory_bytes": 100.0}
        writer.finish_attempt(number, 0, Outcome(TrialState.COMPLETE, values))
    writer.release()
    store.close()
    return home


@pytest.mark.slow
@pytest.mark.parametrize("place", ["sqlite:///{}/study.db", "{}/study.log"])
def test_a_sweep_is_written_once_and_read_back(
    call: Call, searched: Path, tmp_path: Path, place: str
) -> None:
    storage = place.format(tmp_path)
    first = call("export-study", "a", "--to", storage)
    assert first.exit_code == 0, first.output
    assert first.stdout == "study a: 2 trials added, 0 brought to their end, 0 there already\n"
    assert f"optuna-dashboard {storage}" in first.stderr
    again = call("export-study", "a", "--to", storage)
    assert again.stdout == "study a: 0 trials added, 0 brought to their end, 2 there already\n"
    other = call("export-study", "a", "--to", storage, "--study", "b")
    assert other.stdout.startswith("study b: 2 trials added")
    assert [row["fc_width_1"] for row in study_rows(storage, "a")] == [16, 17]


def test_a_sweep_or_a_storage_that_is_not_there_is_a_sentence(call: Call, searched: Path) -> None:
    unknown = call("export-study", "b", "--to", "sqlite:///x.db")
    assert (unknown.exit_code, "Unknown sweep 'b'" in unknown.stderr) == (2, True)
    refused = call("export-study", "a", "--to", f"sqlite:///{searched / 'paretune.db'}")
    assert (refused.exit_code, "another program" in refused.stderr) == (2, True)


def test_a_warm_start_that_cannot_be_had_stores_nothing(
    call: Call, searched: Path, tmp_path: Path
) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "name: b\nbackbone: {name: digitnet, weights: scratch}\ndata: {name: digits}\n"
        "space: smoke\nobjectives: {accuracy: maximize}\n"
    )
    for source, told in (
        ("aa", "Unknown sweep 'aa'"),
        ("aa.csv", "Cannot read the table"),
        ("{sweep: a, csv: b}", "needs one of"),
        ("a", "Nothing can be learned"),
    ):
        result = call("run", file, "--warm-start", source)
        assert result.exit_code == 2, result.output
        assert told in result.stderr
    assert [record.name for record in open_store().sweeps()] == ["a"]
