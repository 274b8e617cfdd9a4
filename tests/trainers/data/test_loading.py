from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainers.data import DataConfig, ImageData, load_data
from trainers.errors import DataError

DIGITS_FINGERPRINT = "9af13bf7d8d0677cd7de0ed306d30a76f813e826322d3bd477e0a744a8402551"


def all_images(data: ImageData) -> np.ndarray:
    return np.concatenate([data.subset(name)[0] for name in ("train", "val", "test")])


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def archived(folder: Path, **arrays: np.ndarray) -> DataConfig:
    np.savez(folder / "a.npz", **arrays)
    return DataConfig(npz=str(folder / "a.npz"))


def contents(data: ImageData) -> dict[str, set[bytes]]:
    return {
        name: {image.tobytes() for image in data.subset(name)[0]}
        for name in ("train", "val", "test")
    }


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
    images = noise(300, 4, 4)
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
    images, labels = noise(40, 6, 4, 3), np.arange(20) % 2
    path = tmp_path / "a.npz"
    np.savez(path, x_train=images[:20], y_train=labels, x_test=images[20:], y_test=labels)
    data = load_data(DataConfig(npz=str(path), image_size=5))
    assert {data.subset(name)[0].shape[1:] for name in ("train", "val", "test")} == {(3, 5, 5)}


def test_images_of_one_size_that_are_not_square_follow_the_rule(tmp_path: Path) -> None:
    images = noise(20, 6, 4)
    given = {"images": images, "labels": np.arange(20) % 2}
    cropped = load_data(archived(tmp_path, **given))
    assert cropped.train_images.shape[1:] == (1, 4, 4)
    middles = {image.tobytes() for image in images[:, 1:5]}
    assert set.union(*contents(cropped).values()) == middles
    assert cropped.notes == (
        "images of 4 by 6 pixels become 4 by 4: the largest centred square of each picture is "
        "kept (resize: crop)",
    )
    padded = load_data(replace(archived(tmp_path, **given), resize="pad"))
    assert padded.train_images.shape[1:] == (1, 6, 6)
    assert (padded.train_images[..., [0, 5]] == 0).all()
    whole = load_data(replace(archived(tmp_path, **given), resize="squash"))
    assert whole.train_images.shape[1:] == (1, 6, 4)
    assert "stretched by the network" in whole.notes[0]


@pytest.mark.parametrize("seed", range(5))
def test_copies_never_straddle_a_split(tmp_path: Path, seed: int) -> None:
    images, labels = noise(60, 4, 4), np.arange(60) % 3
    copied = np.concatenate([images, images[:30], images[:1]])
    config = archived(
        tmp_path, images=copied, labels=np.concatenate([labels, labels[:30], [2]]).astype(int)
    )
    data = load_data(replace(config, seed=seed))
    train, val, test = contents(data).values()
    assert not (train | val) & test
    assert not train & val
    assert len(all_images(data)) == 91
    assert data.notes == (
        "31 image(s) are copies of others, pixel for pixel, 1 of them with another label; copies "
        "are kept in the subset of the first",
    )


def test_copies_of_official_images_are_left_out_of_training(tmp_path: Path) -> None:
    images, labels = noise(60, 4, 4), np.arange(60) % 2
    config = archived(
        tmp_path,
        x_train=np.concatenate([images[:40], images[40:43], images[50:52]]),
        y_train=np.concatenate([labels[:40], labels[:5]]),
        x_val=np.concatenate([images[40:50], images[55:56]]),
        y_val=np.concatenate([labels[40:50], labels[55:56]]),
        x_test=images[50:],
        y_test=labels[50:],
    )
    data = load_data(config)
    train, val, test = contents(data).values()
    assert not (train | val) & test
    assert not train & val
    assert [len(data.subset(name)[1]) for name in ("train", "val", "test")] == [40, 10, 10]
    assert data.notes == (
        "1 val image(s) are left out, because they are equal, pixel for pixel, to images of the "
        "test set",
        "5 train image(s) are left out, because they are equal, pixel for pixel, to images of a "
        "set held out",
    )


def test_data_without_copies_are_split_as_they_always_were() -> None:
    # Written by the code before copies were looked for: fronts and caches must stay valid.
    data = load_data(DataConfig(name="digits"))
    assert data.fingerprint() == DIGITS_FINGERPRINT
    assert data.notes == ()


def test_images_that_are_all_equal_are_refused(tmp_path: Path) -> None:
    labels = np.arange(20) % 2
    black = np.zeros((20, 4, 4), dtype=np.uint8)
    with pytest.raises(DataError, match="all 20 images are equal"):
        load_data(archived(tmp_path, images=black, labels=labels))
    images = noise(20, 4, 4)
    with pytest.raises(DataError, match="all 20 images are equal"):
        load_data(archived(tmp_path, x_train=images, y_train=labels, x_test=black, y_test=labels))
    images[labels == 1] = 255
    with pytest.raises(DataError, match="all 10 images of the class '1' are equal"):
        load_data(archived(tmp_path, images=images, labels=labels))


def test_official_validation_images_are_the_validation_set(tmp_path: Path) -> None:
    images, labels = noise(60, 4, 4), np.arange(60) % 2
    train = {"x_train": images[:40], "y_train": labels[:40]}
    val = {"x_val": images[40:], "y_val": labels[40:]}
    data = load_data(archived(tmp_path, **train, **val))
    assert np.array_equal(data.val_images[:, 0], images[40:])
    # The test set is still cut from what is left.
    assert (len(data.train_labels), len(data.test_labels)) == (32, 8)


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
        wanted = sum(len(archive[key]) for key in archive.files if key.startswith("x_"))
    data = load_data(DataConfig(npz=str(path)))
    assert data.train_images.shape[1:] == (3, 64, 64)
    assert len(data.classes) == 10
    assert len(all_images(data)) == wanted
