import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data import named
from trainers.data.named import data_root, read_named
from trainers.errors import DataError

FASHION_FILES = "train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"


def test_digits_are_those_of_scikit_learn_on_the_whole_range_of_bytes() -> None:
    data = read_named("digits", None, None)
    assert data.images.shape == (1797, 1, 8, 8)
    assert (data.images.min(), data.images.max()) == (0, 255)
    assert np.unique(data.images).tolist() == [round(v * 255 / 16) for v in range(17)]
    assert np.bincount(data.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert data.classes == tuple("0123456789")


def test_digits_are_there_when_scikit_learn_keeps_them_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = read_named("digits", None, None)
    monkeypatch.setattr(named, "_DIGITS_FILE", "datasets/nowhere.csv.gz")
    there = read_named("digits", None, None)
    assert np.array_equal(here.images, there.images)
    assert np.array_equal(here.labels, there.labels)


def test_the_root_is_what_is_given_then_the_environment_then_the_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PARETUNE_DATA", "/from/environment")
    assert data_root("/given") == Path("/given")
    assert data_root(None) == Path("/from/environment")
    monkeypatch.delenv("PARETUNE_DATA")
    assert data_root(None) == Path.home() / ".cache" / "paretune" / "data"


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim])
    return header + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_mnist(root: Path, *, gzipped: bool) -> tuple[np.ndarray, np.ndarray]:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
    labels = np.arange(30, dtype=np.uint8) % 10
    arrays = (images, labels, images[:10], labels[:10])
    for name, array in zip(FASHION_FILES, arrays, strict=True):
        path = raw / f"{name}-ubyte{'.gz' if gzipped else ''}"
        path.write_bytes(gzip.compress(idx(array)) if gzipped else idx(array))
    return images, labels


@pytest.mark.parametrize("gzipped", [False, True])
def test_idx_files_are_read_plain_or_gzipped(tmp_path: Path, gzipped: bool) -> None:
    images, labels = write_mnist(tmp_path, gzipped=gzipped)
    data = read_named("mnist", str(tmp_path), None)
    assert np.array_equal(data.images[:, 0], images)
    assert data.labels.tolist() == labels.tolist()
    assert data.test is not None
    assert np.array_equal(data.test[0][:, 0], images[:10])


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", b"\x1f"])
def test_a_broken_idx_file_is_named(tmp_path: Path, content: bytes) -> None:
    write_mnist(tmp_path, gzipped=False)
    broken = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    broken.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_named("mnist", str(tmp_path), None)
    assert str(broken) in str(caught.value)


def test_a_truncated_gzip_file_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path, gzipped=True)
    broken = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    broken.write_bytes(broken.read_bytes()[:-5000])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz"):
        read_named("mnist", str(tmp_path), None)


@pytest.mark.shared_data
def test_fashion_mnist_is_what_torchvision_reads(shared_data: Path, tmp_path: Path) -> None:
    import torchvision.datasets

    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FASHION_FILES:
        packed = shared_data / "fashion_mnist" / f"{name}-ubyte.gz"
        with gzip.open(packed) as source, (raw / f"{name}-ubyte").open("wb") as target:
            shutil.copyfileobj(source, target)
    data = read_named("fashion_mnist", str(tmp_path), None)
    reference = torchvision.datasets.FashionMNIST(str(tmp_path), train=True)
    assert np.array_equal(data.images[:, 0], reference.data.numpy())
    assert np.array_equal(data.labels, reference.targets.numpy())
    assert data.classes == tuple(reference.classes)
    assert data.test is not None
    assert len(data.test[1]) == 10_000


@pytest.mark.parametrize(
    ("name", "class_name"),
    [
        ("mnist", "MNIST"),
        ("cifar10", "CIFAR10"),
        ("cifar100", "CIFAR100"),
        ("svhn", "SVHN"),
        ("stl10", "STL10"),
        ("caltech101", "Caltech101"),
    ],
)
def test_a_failed_download_says_where_the_files_belong(
    name: str, class_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets

    kind = getattr(torchvision.datasets, class_name)

    def no_network(*_: object, **__: object) -> None:
        raise OSError("name resolution failed")

    monkeypatch.setattr(kind, "download", no_network)
    with pytest.raises(DataError, match="name resolution failed") as caught:
        read_named(name, str(tmp_path / "new"), None)
    assert str(tmp_path / "new") in str(caught.value)
    assert "PARETUNE_DATA" in str(caught.value)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "stl10"])
def test_each_torchvision_set_becomes_bytes_with_channels_first(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The real archives are large; torchvision's objects differ in layout and in attribute names.
    import torchvision.datasets

    images = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)

    class Cifar:
        classes = ["cat", "dog"]  # noqa: RUF012
        data, targets = images.transpose(0, 2, 3, 1), [0, 1, 0, 1]

    class Svhn:
        data, labels = images, np.array([0, 1, 0, 1])

    made = []

    def factory(root: str, *, download: bool, **arguments: object) -> object:
        made.append((download, *arguments.values()))
        return Cifar() if name.startswith("cifar") else Svhn()

    class_name = {"stl10": "STL10"}.get(name, name.upper())
    monkeypatch.setattr(torchvision.datasets, class_name, factory)
    data = read_named(name, "anywhere", None)
    assert made in ([(False, True), (False, False)], [(False, "train"), (False, "test")])
    assert np.array_equal(data.images, images)
    assert data.labels.tolist() == [0, 1, 0, 1]
    assert data.classes == (("cat", "dog") if name.startswith("cifar") else tuple("0123456789"))


def test_caltech_pictures_are_cut_square(tmp_path: Path) -> None:
    root = tmp_path / "caltech101"
    for name, mode in (("ant", "RGB"), ("bass", "L")):
        for index in range(1, 3):
            folder = root / "101_ObjectCategories" / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (20 + index, 30)).save(folder / f"image_{index:04d}.jpg")
    (root / "101_ObjectCategories" / "BACKGROUND_Google").mkdir()
    data = read_named("caltech101", str(tmp_path), 16)
    assert data.images.shape == (4, 3, 16, 16)
    assert data.classes == ("ant", "bass")
    assert data.labels.tolist() == [0, 0, 1, 1]
