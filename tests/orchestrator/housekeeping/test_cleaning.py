"""What can be made again is removed; what belongs to a sweep is not."""

from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.housekeeping.cleaning import clean, removable
from orchestrator.state_folder import StateFolder
from orchestrator.storage import open_store
from orchestrator.trials import SweepState


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "state"))
    state = StateFolder.find()
    store = open_store(None, create=True)
    store.create_sweep("a", {}, "f")
    writer = store.take("a", "elsewhere:1:2")
    writer.set_sweep_state(SweepState.COMPLETE)
    writer.release()
    for folder in (state.cache, state.sweep_folder("a"), state.sweep_folder("b")):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"12345")
    return state


def test_the_cache_goes_and_sweeps_stay(state: StateFolder) -> None:
    found = removable()
    assert [(each.folder, each.bytes) for each in found] == [(state.cache, 5)]
    clean(found)
    assert not state.cache.exists()
    assert (state.sweep_folder("b") / "file").exists()
    assert removable() == []


def test_files_of_a_sweep_that_the_store_does_not_have_go_on_wish(state: StateFolder) -> None:
    clean(removable(abandoned=True))
    assert [each.name for each in (state.root / "sweeps").iterdir()] == ["a"]


def test_nothing_goes_while_a_sweep_runs(state: StateFolder) -> None:
    store = open_store(None, create=False)
    store.take("a", "elsewhere:1:2").set_sweep_state(SweepState.RUNNING)
    with pytest.raises(OrchestratorError, match="paretune stop a"):
        clean(removable())
    assert state.cache.exists()
