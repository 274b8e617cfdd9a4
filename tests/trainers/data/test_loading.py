from pathlib import Path

import numpy as np
import pytest

from trainers.data import DataConfig, ImageData, load_data
from trainers.errors import DataError


def all_images(data: ImageData) -> np.ndarray:
    return np.concatenate([data.subset(name)[0] for name in ("train", "val", "test")])


def test_digits_are_split_as_asked() -> None:
    data = load_data(DataConfig(name="digits", val_fraction=0.15, test_fraction=0.2))
    sizes = [len(data.subset(name)[1]) for name in ("train", "val", "test")]
    assert sum(sizes) == 1797
    assert sizes == pytest.approx([0.65 * 1797, 0.15 * 1797, 0.2 * 1797], abs=5)
    for name in ("train", "val", "test"):
        images, labels = data.subset(name)
        assert images.flags.c_contiguous
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        assert np.abs(np.bincount(labels) / len(labels) - 0.1).max() < 0.01


def test_the_seed_decides_the_split() -> None:
    prints = [load_data(DataConfig(name="digits", seed=seed)).fingerprint() for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_subsets_share_no_image(tmp_path: Path) -> None:
    images = np.arange(120, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(120) % 3)
    data = load_data(DataConfig(npz=str(tmp_path / "a.npz")))
    assert sorted(all_images(data)[:, 0, 0, 0]) == list(range(120))
    for name in ("train", "val", "test"):
        subset, labels = data.subset(name)
        assert (subset[:, 0, 0, 0] % 3).tolist() == labels.tolist()


def test_an_official_test_set_stays_whole(tmp_path: Path) -> None:
    images = np.arange(60, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    labels = np.arange(60) % 2
    path = tmp_path / "a.npz"
    np.savez(
        path, x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:]
    )
    data = load_data(DataConfig(npz=str(path), val_fraction=0.25, test_fraction=0.7))
    assert data.test_images[:, 0, 0, 0].tolist() == list(range(40, 60))
    assert (len(data.train_labels), len(data.val_labels)) == (30, 10)


@pytest.mark.parametrize("limit", [60, 200, 10_000])
def test_a_limit_bounds_all_images_together(limit: int) -> None:
    data = load_data(DataConfig(name="digits", limit=limit))
    assert len(all_images(data)) == min(limit, 1797)
    assert set(data.test_labels) == set(range(10))


def test_a_limit_is_shared_with_the_official_test_set(tmp_path: Path) -> None:
    images = np.zeros((300, 4, 4), dtype=np.uint8)
    labels = np.arange(300) % 2
    path = tmp_path / "a.npz"
    np.savez(
        path, x_train=images[:200], y_train=labels[:200], x_test=images[200:], y_test=labels[200:]
    )
    data = load_data(DataConfig(npz=str(path), limit=30))
    assert (len(data.train_labels) + len(data.val_labels), len(data.test_labels)) == (20, 10)


def test_a_limit_that_starves_a_class_says_so() -> None:
    with pytest.raises(DataError, match=r"raise data\.limit"):
        load_data(DataConfig(name="digits", limit=12))


def test_images_are_brought_to_the_asked_size(tmp_path: Path) -> None:
    assert load_data(DataConfig(name="digits", image_size=12)).val_images.shape[1:] == (1, 12, 12)
    images, labels = np.zeros((20, 6, 4, 3), dtype=np.uint8), np.arange(20) % 2
    path = tmp_path / "a.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    data = load_data(DataConfig(npz=str(path), image_size=5))
    assert {data.subset(name)[0].shape[1:] for name in ("train", "val", "test")} == {(3, 5, 5)}


@pytest.mark.shared_data
def test_the_real_cifar_archive_is_read(shared_data: Path) -> None:
    path = shared_data / "cifar10_lossless" / "cifar10_lossless_8068train_1017test.npz"
    data = load_data(DataConfig(npz=str(path)))
    assert data.test_images.shape == (1017, 3, 32, 32)
    assert len(data.train_labels) + len(data.val_labels) == 8068
    assert data.classes[:3] == ("airplane", "automobile", "bird")
    # Mean colour of CIFAR-10's training images as everybody normalises with it.
    mean = data.train_images.mean(axis=(0, 2, 3)) / 255
    assert mean == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.01)


@pytest.mark.shared_data
def test_the_real_imagenette_archive_is_read(shared_data: Path) -> None:
    path = shared_data / "imagenette160_subset" / "imagenette64_500train_250val.npz"
    with np.load(path, allow_pickle=False) as archive:
        has_test = "x_test" in archive.files
    data = load_data(DataConfig(npz=str(path)))
    assert data.train_images.shape[1:] == (3, 64, 64)
    assert len(data.classes) == 10
    assert len(all_images(data)) == (750 if has_test else 500)
