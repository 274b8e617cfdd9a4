import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from trainers.data import ImageData
from trainers.errors import DivergedError
from trainers.networks.backbones import build_backbone
from trainers.training.pretrain import pretrain


def stripes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of horizontal, vertical or no stripes, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 60, (count, 1, 28, 28), dtype=np.uint8)
    bright = (np.arange(28) // 3 % 2 * 150).astype(np.uint8)
    images[labels == 0] += bright[:, None]
    images[labels == 1] += bright
    return images, labels


@pytest.fixture(scope="module")
def data() -> ImageData:
    subsets = [array for seed in range(3) for array in stripes(240 if seed == 0 else 60, seed)]
    for array in subsets:
        # As they come back from shared memory.
        array.flags.writeable = False
    return ImageData("stripes", ("rows", "columns", "none"), *subsets)


@pytest.mark.slow
def test_pre_training_learns_and_writes_what_the_backbone_loads(
    data: ImageData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "new" / "weights.safetensors"
    state = torch.random.get_rng_state()
    with caplog.at_level(logging.INFO):
        result = pretrain("digitnet", data, epochs=4, seed=0, to=path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert result.path == path
    assert len(result.train_losses) == caplog.text.count("validation accuracy") == 4
    assert result.train_losses[-1] < result.train_losses[0]
    assert result.test_accuracy > 0.9
    with safe_open(path, "pt") as file:
        origin = json.loads(file.metadata()["origin"])
    assert origin["test_accuracy"] == round(result.test_accuracy, 4)
    assert (origin["data"], origin["epochs"], origin["seed"]) == ("stripes", 4, 0)
    assert origin["data_fingerprint"] == data.fingerprint()
    assert [file.name for file in path.parent.iterdir()] == ["weights.safetensors"]
    features = build_backbone("digitnet", str(path)).features
    assert all(parameter.requires_grad for parameter in features.parameters())


@pytest.mark.slow
def test_the_same_seed_writes_the_same_file(data: ImageData, tmp_path: Path) -> None:
    contents = []
    for number, seed in enumerate((0, 0, 1)):
        path = tmp_path / f"{number}.safetensors"
        torch.rand(number)
        pretrain("digitnet", data, epochs=1, seed=seed, to=path)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.slow
def test_other_backbones_keep_their_batch_norms(data: ImageData, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    small = ImageData(data.name, data.classes, *[data.train_images[:6], data.train_labels[:6]] * 3)
    pretrain("squeezenet1_1", small, epochs=1, seed=0, to=path, flip=False)
    assert build_backbone("squeezenet1_1", str(path)).n_features == 512


def test_a_divergence_leaves_no_file(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.training.pretrain._LEARNING_RATE", float("inf"))
    with pytest.raises(DivergedError):
        pretrain("digitnet", data, epochs=2, seed=0, to=tmp_path / "weights.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_meant_is_refused_before_training(data: ImageData, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one epoch"):
        pretrain("digitnet", data, epochs=0, seed=0, to=tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="another extension"):
        pretrain("digitnet", data, epochs=1, seed=0, to=tmp_path / "a.pth")
    with pytest.raises(ValueError, match="no backbone named"):
        pretrain("digitsnet", data, epochs=1, seed=0, to=tmp_path / "a.safetensors")


def test_shifts_move_whole_images_by_at_most_two_pixels() -> None:
    from trainers.training.pretrain import _shifted

    images = np.random.default_rng(0).integers(1, 256, (500, 3, 6, 7), dtype=np.uint8)
    shifted = _shifted(images, np.random.default_rng(1))
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (6, 7), axis=(2, 3))
    equal = (windows == shifted[:, :, None, None]).all(axis=(1, 4, 5))
    assert equal.reshape(500, -1).sum(1).tolist() == [1] * 500
    assert equal.any(0).all()  # Every one of the 25 shifts was drawn.
