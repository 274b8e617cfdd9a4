"""Copies of checkpoints in a storage."""

from pathlib import Path

import pytest

from orchestrator.execution.checkpoint_copies import CheckpointCopies
from orchestrator.file_storage.storage import FileStorage
from trainers.files.trial_folder import CHECKPOINT_NAME

FOLDER = "/state/sweeps/tiny/trials/00003"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def test_another_node_goes_on_from_the_last_copy(tmp_path: Path, here: Path) -> None:
    storage, clock = FileStorage(str(tmp_path / "shared")), Clock()
    copies = CheckpointCopies(storage, 30, clock)
    copies.keep(FOLDER, here)  # there is none yet
    (here / CHECKPOINT_NAME).write_text("epoch 1")
    clock.now += 31
    copies.keep(FOLDER, here)
    (here / CHECKPOINT_NAME).write_text("epoch 2")
    clock.now += 1
    copies.keep(FOLDER, here)

    def fetched(name: str) -> str:
        CheckpointCopies(storage).fetch(FOLDER, tmp_path / name)
        return (tmp_path / name / CHECKPOINT_NAME).read_text()

    assert fetched("second") == "epoch 1"
    # At the end of a run there is no later moment.
    copies.keep(FOLDER, here, now=True)
    assert fetched("third") == "epoch 2"
    # What a node has itself is newer.
    (tmp_path / "third" / CHECKPOINT_NAME).write_text("epoch 3")
    assert fetched("third") == "epoch 3"
    copies.drop(FOLDER)
    CheckpointCopies(storage).fetch(FOLDER, tmp_path / "fourth")
    assert not (tmp_path / "fourth" / CHECKPOINT_NAME).exists()


def test_a_copy_is_removed_only_where_there_may_be_one(
    tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To remove what is not there takes a distant store as long as to remove a copy."""
    removed: list[str] = []
    monkeypatch.setattr(FileStorage, "remove", lambda self, key: removed.append(key))
    copies = CheckpointCopies(FileStorage(str(tmp_path / "shared")))
    copies.fetch(FOLDER, here)  # there is none
    copies.drop(FOLDER)
    assert removed == []
    copies.fetch(FOLDER, here)
    (here / CHECKPOINT_NAME).write_text("epoch 1")
    copies.keep(FOLDER, here, now=True)
    copies.drop(FOLDER)
    assert len(removed) == 1
    # It may have been copied by the process that had the trial before.
    copies.fetch(FOLDER, here)
    copies.drop(FOLDER)
    assert len(removed) == 2


def test_a_storage_that_is_away_costs_only_the_copy(
    tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.file_storage.storage._PAUSES_S", ())
    (tmp_path / "shared").write_text("no folder")
    copies = CheckpointCopies(FileStorage(str(tmp_path / "shared")))
    (here / CHECKPOINT_NAME).write_text("epoch 1")
    copies.keep(FOLDER, here, now=True)
    copies.fetch(FOLDER, tmp_path / "second")
    copies.drop(FOLDER)
    assert (here / CHECKPOINT_NAME).read_text() == "epoch 1"


def test_without_a_storage_nothing_is_copied(here: Path) -> None:
    copies = CheckpointCopies(None)
    (here / CHECKPOINT_NAME).write_text("epoch 1")
    copies.keep(FOLDER, here, now=True)
    copies.fetch(FOLDER, here)
    copies.drop(FOLDER)
    assert [file.name for file in here.iterdir()] == [CHECKPOINT_NAME]
