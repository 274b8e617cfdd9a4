"""A packed network out of the state folder, or a sentence about why not."""

import hashlib
import json
from pathlib import Path

import pytest

from orchestrator.contracts import Outcome, Store
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.reporting.export import export
from orchestrator.storage.opening import open_store
from orchestrator.trials import Artifact, Failure, FailureKind, TrialState

CONTENT = b"a network" * 100


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "trials" / "0.safetensors"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def store(tmp_path: Path, source: Path) -> Store:
    """The sweep a: a complete trial and a failed one."""
    store = open_store(f"sqlite:///{tmp_path / 'sweeps.db'}")
    store.create_sweep("a", {}, "f")
    writer = store.take("a", "test")
    artifact = Artifact(str(source), len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    failure = Failure(FailureKind.ERROR, "no")
    for outcome in (
        Outcome(TrialState.COMPLETE, {"memory_bytes": 900.0}, artifact),
        Outcome(TrialState.FAILED, failure=failure),
    ):
        number = writer.add_trial({"bits": 4}, seed=0).number
        writer.start_attempt(number, "w")
        writer.finish_attempt(number, 0, outcome)
    yield store
    store.close()


def test_an_export_is_the_file_and_what_is_known_of_it(store: Store, tmp_path: Path) -> None:
    to = tmp_path / "new" / "folder"
    model, record = export("a", 0, to, store)
    assert sorted(to.iterdir()) == [model, record]
    assert model.read_bytes() == CONTENT
    facts = json.loads(record.read_text())
    assert facts["params"] == {"bits": 4}
    assert facts["values"] == {"memory_bytes": 900.0}
    assert facts["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()


def test_an_export_replaces_an_earlier_one(store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        model, _ = export("a", 0, tmp_path / "out", store)
        assert model.read_bytes() == CONTENT
        model.write_bytes(b"old")


def test_a_file_that_was_changed_is_not_exported(
    store: Store, source: Path, tmp_path: Path
) -> None:
    source.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(OrchestratorError, match="not the one that was measured"):
        export("a", 0, tmp_path / "out", store)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("instead", ["nothing", "folder"])
def test_a_file_that_is_gone_is_named(
    store: Store, source: Path, tmp_path: Path, instead: str
) -> None:
    source.unlink()
    if instead == "folder":
        source.mkdir()
    with pytest.raises(OrchestratorError, match="is not at") as caught:
        export("a", 0, tmp_path / "out", store)
    assert str(source) in str(caught.value)


def test_a_folder_that_cannot_be_written_to_is_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for to in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OrchestratorError, match="could not be written") as caught:
            export("a", 0, to, store)
        assert caught.value.exit_code == 1
        assert str(to) in str(caught.value)


def test_what_has_no_network_cannot_be_exported(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Trial 1 of 'a' is failed"):
        export("a", 1, tmp_path / "out", store)
    with pytest.raises(UnknownNameError):
        export("a", 2, tmp_path / "out", store)
    with pytest.raises(UnknownNameError):
        export("b", 0, tmp_path / "out", store)
    assert not (tmp_path / "out").exists()
