"""The targets of the reuse study: small parts of the shared data sets, of one size each."""

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from trainers.data import DataConfig, ImageData, load_data

TRAIN, VAL, TEST = 2000, 300, 400
Arrays = tuple[np.ndarray, np.ndarray]


def digits(shared: Path) -> ImageData:
    """Read scikit-learn's digits."""
    return load_data(DataConfig(name="digits", seed=0))


def cifar10(shared: Path) -> ImageData:
    """Read the subset of CIFAR-10."""
    (archive,) = (shared / "cifar10_lossless").glob("*.npz")
    with np.load(archive) as found:
        parts = [
            (found[f"x_{part}"].transpose(0, 3, 1, 2), found[f"y_{part}"].astype(np.int64))
            for part in ("train", "test")
        ]
        classes = tuple(map(str, found["classes"]))
    return _cut("cifar10", classes, parts[0], parts[1])


def fashion_mnist(shared: Path) -> ImageData:
    """Read Fashion-MNIST."""

    def read(name: str, header: int) -> np.ndarray:
        content = gzip.decompress((shared / "fashion_mnist" / f"{name}-ubyte.gz").read_bytes())
        return np.frombuffer(content, np.uint8, offset=header)

    parts = [
        (
            read(f"{part}-images-idx3", 16).reshape(-1, 1, 28, 28),
            read(f"{part}-labels-idx1", 8).astype(np.int64),
        )
        for part in ("train", "t10k")
    ]
    return _cut("fashion_mnist", tuple(map(str, range(10))), parts[0], parts[1])


def imagenette(shared: Path) -> ImageData:
    """Read the subset of imagenette, 64 pixels a side."""
    (archive,) = (shared / "imagenette160_subset").glob("*.npz")
    with np.load(archive) as found:
        parts = [
            (found[f"x_{part}"].transpose(0, 3, 1, 2), found[f"y_{part}"].astype(np.int64))
            for part in ("train", "val")
        ]
        classes = tuple(map(str, found["classes"]))
    # The arrays are small, and may be in the order of the classes.
    order = np.random.default_rng(0).permutation(len(parts[0][1]))
    shuffled = parts[0][0][order], parts[0][1][order]
    return _cut("imagenette", classes, shuffled, parts[1], val=100)


def _cut(
    name: str, classes: tuple[str, ...], train: Arrays, test: Arrays, val: int = VAL
) -> ImageData:
    """Keep a few images; validation images are the last of the training ones."""
    return ImageData(
        name=name,
        classes=classes,
        train_images=np.array(train[0][:-val][:TRAIN]),
        train_labels=train[1][:-val][:TRAIN],
        val_images=np.array(train[0][-val:]),
        val_labels=train[1][-val:],
        test_images=np.array(test[0][:TEST]),
        test_labels=test[1][:TEST],
    )


TARGETS: Mapping[str, Callable[[Path], ImageData]] = {
    "digits": digits,
    "cifar10": cifar10,
    "fashion_mnist": fashion_mnist,
    "imagenette": imagenette,
}
