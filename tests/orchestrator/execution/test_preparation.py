"""Images that lie in a file of one machine are found, or made again, on another."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.execution.preparation import images_here, prepare
from orchestrator.execution.task import Task
from trainers.data import DataConfig, ImageData
from trainers.data.mapped import MappedImages
from trainers.errors import DataError


@pytest.fixture
def task(tmp_path: Path) -> Task:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (40, 8, 8), dtype=np.uint8), np.arange(40) % 2
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    state = tmp_path / "driver" / ".paretune"
    state.mkdir(parents=True)
    config = DataConfig(
        npz=str(tmp_path / "a.npz"), in_memory=0, images_folder=str(state / "cache" / "images")
    )
    return Task(config, {"name": "digitnet", "weights": "scratch", "image_size": None}, {})


def file_of(data: ImageData) -> Path:
    assert isinstance(data.train_images, MappedImages)
    return data.train_images.file


def test_workers_of_the_machine_share_the_file(task: Task) -> None:
    data = prepare(task)
    arrived = pickle.loads(pickle.dumps(data))  # noqa: S301 - our own bytes
    assert images_here(arrived, task) is arrived
    assert file_of(arrived) == file_of(data)


def test_another_machine_makes_a_file_of_its_own(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare(task)
    # As `found_out` does before the images are sent.
    data.content()
    sent = pickle.dumps(data)
    # As on a machine that does not see the driver's folder.
    (tmp_path / "driver").rename(tmp_path / "away")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))
    arrived: ImageData = pickle.loads(sent)  # noqa: S301 - our own bytes
    found = images_here(arrived, task)
    assert file_of(found).is_relative_to(tmp_path / "node")
    assert np.array_equal(
        np.asarray(found.val_images), np.asarray(images_here(found, task).val_images)
    )
    assert found.content() == data.content()


def test_other_images_on_another_machine_are_refused(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = pickle.dumps(replace(prepare(task), name="other"))
    prepared: ImageData = pickle.loads(sent)  # noqa: S301 - our own bytes
    (tmp_path / "driver").rename(tmp_path / "away")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))
    np.savez(
        tmp_path / "a.npz",
        images=np.random.default_rng(1).integers(0, 255, (40, 8, 8), dtype=np.uint8),
        labels=np.arange(40) % 2,
    )
    # Its digest was not carried along, as if it were computed where the images were.
    object.__setattr__(prepared, "_content", "0" * 64)
    with pytest.raises(DataError, match="are not those that the sweep was prepared with"):
        images_here(prepared, task)
