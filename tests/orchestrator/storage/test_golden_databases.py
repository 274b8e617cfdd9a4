"""A store that an older paretune wrote opens today, with everything in it.

The files in ``tests/golden/databases`` are named after the schema's version that wrote them; how
they were made is said in ``tests/golden/make_database.py``.
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.contracts import Outcome, Store
from orchestrator.state_folder import StateFolder
from orchestrator.storage import open_store, schema_version
from orchestrator.storage.tables import HEAD
from orchestrator.trials import (
    Artifact,
    ChoiceKind,
    Failure,
    FailureKind,
    PriorPoint,
    Report,
    SweepState,
    TrialState,
)

_FILES = sorted((Path(__file__).parents[2] / "golden" / "databases").glob("*.db"))


@pytest.fixture(params=_FILES, ids=[path.stem for path in _FILES])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A copy, opened for writing, so upgraded where it is old."""
    url = f"sqlite:///{shutil.copy(request.param, tmp_path)}"
    store = open_store(url, state=StateFolder(tmp_path))
    yield store
    store.close()


@pytest.fixture(params=_FILES[:4], ids=[path.stem for path in _FILES[:4]])
def request_file(request: pytest.FixtureRequest) -> Path:
    """One that was written before places had roots."""
    return Path(request.param)


def test_every_version_has_a_file() -> None:
    assert [path.stem for path in _FILES] == [f"{n:04}" for n in range(1, int(HEAD) + 1)]


def test_an_old_store_is_brought_up_to_date(store: Store) -> None:
    assert schema_version(store.url) == (HEAD, HEAD)


def test_its_sweeps_are_there(store: Store) -> None:
    full, empty = store.sweeps()
    assert (full.name, full.spec) == ("digits-fc", {"space": {"bits": [2, 4, 8]}, "seed": 0})
    assert (full.state, full.stop_reason) == (SweepState.INTERRUPTED, "Ctrl-C")
    assert (full.mlflow_experiment_id, full.mlflow_run_id) == ("1", "parent-run")
    assert full.created == datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC)
    assert (empty.name, store.trials("empty")) == ("empty", [])


def test_its_trials_are_there(store: Store) -> None:
    trials = store.trials("digits-fc")
    states = [trial.state.value for trial in trials]
    assert states == ["complete", "stopped", "failed", "interrupted", "running", "waiting"]
    complete, _, failed, *_ = trials
    assert complete.params == {"bits": 2, "lr": 0.1, "augment": True, "policy": "größe"}
    assert complete.params["augment"] is True
    assert complete.values == {
        "accuracy": 0.1 + 0.2,
        "memory_bytes": 12345.0,
        "test_accuracy": 0.25,
    }
    assert complete.mlflow_run_id == "run-0"
    assert failed.failure == Failure(FailureKind.DIVERGED, "the loss became NaN", "Traceback ...")
    assert (failed.seed, failed.replicate, failed.sampler_attrs) == (2, 0, {"nsga2:generation": 2})
    assert store.reports("digits-fc", 1) == [Report(1, {"loss": 1.0}), Report(2, {"loss": 0.5})]
    assert store.attempts("digits-fc", 4)[0].worker == "worker-4"


def test_its_places_are_under_the_state_folder_of_today(
    store: Store, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    knows_roots = request.node.callspec.params["store"].stem >= "0005"
    inside = tmp_path / "sweeps" / "digits-fc" / "trials" / "00000" / "model.safetensors"
    path = str(inside) if knows_roots else "trials/00000/network.safetensors"
    assert store.trial("digits-fc", 0).artifact == Artifact(path, 12345, "a" * 64)
    content = {"data": "d" * 64, "weights": "", "places": {"data.folder": "../photos"}}
    assert store.sweep("digits-fc").content == (content if knows_roots else {})


def test_an_absolute_place_of_an_old_store_is_followed(request_file: Path, tmp_path: Path) -> None:
    """Its state folder was moved, and another one lies now where it was."""
    home, old = StateFolder(tmp_path / "here"), StateFolder(tmp_path / "old")
    for state, text in ((home, b"measured"), (old, b"another!")):
        folder = state.trial_folder("digits-fc", 0)
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(text)
    database = shutil.copy(request_file, home.root / "paretune.db")
    recorded = old.trial_folder("digits-fc", 0) / "model.safetensors"
    found = home.trial_folder("digits-fc", 0) / "model.safetensors"
    facts = (str(recorded), 8, hashlib.sha256(b"measured").hexdigest())
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE trials SET artifact_path = ?, artifact_bytes = ?, artifact_sha256 = ? "
            "WHERE number = 0",
            facts,
        )
    for state in (home, StateFolder(tmp_path / "elsewhere")):
        store = open_store(f"sqlite:///{database}", state=state)
        assert store.trial("digits-fc", 0).artifact == Artifact(str(found), *facts[1:])
        store.close()
    # A store elsewhere has files where it was opened, or still where they were recorded.
    moved = shutil.move(database, tmp_path / "store.db")
    store = open_store(f"sqlite:///{moved}", state=home)
    assert store.trial("digits-fc", 0).artifact == Artifact(str(found), *facts[1:])
    store.close()
    store = open_store(f"sqlite:///{moved}", state=StateFolder(tmp_path / "elsewhere"))
    assert store.trial("digits-fc", 0).artifact == Artifact(*facts)
    store.close()


def test_what_it_learned_from_is_there(store: Store, request: pytest.FixtureRequest) -> None:
    version = request.node.callspec.params["store"].stem
    point = PriorPoint({"bits": 4}, {"accuracy": 0.5, "memory_bytes": 99.0}, "sweep 'old'")
    assert store.prior_points("digits-fc") == ([point] if version >= "0003" else [])


def test_what_people_chose_is_there(store: Store, request: pytest.FixtureRequest) -> None:
    version = request.node.callspec.params["store"].stem
    found = [(each.trial, each.kind, each.note, each.who) for each in store.choices("digits-fc")]
    picked = (0, ChoiceKind.PICKED, "fits the small device", "ada")
    assert found == ([picked] if version >= "0006" else [])


def test_it_can_be_gone_on_with(store: Store) -> None:
    writer = store.take("digits-fc", "another")
    assert writer.interrupt_running() == [4]
    assert writer.start_attempt(4, "w").number == 1
    writer.finish_attempt(4, 1, Outcome(TrialState.COMPLETE, {"accuracy": 0.5}))
    assert writer.add_trial({}, seed=0).number == 6
    assert len(store.outbox.pending("digits-fc")) == 7
