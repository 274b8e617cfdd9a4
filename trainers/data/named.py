"""Data sets that are known by name.

`digits` ships with scikit-learn; the others are read from `root`, and downloaded into it by
torchvision when they are absent.
"""

import gzip
import os
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from trainers.data.folder import read_folder
from trainers.data.image_data import Images, LabelledImages, Labels
from trainers.data.image_store import ImageStore
from trainers.data.resizing import CROP
from trainers.errors import DataError

_DIGITS = tuple("0123456789")
_DIGITS_FILE = "datasets/data/digits.csv.gz"
_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# Folder under the root, and names of the classes. Both data sets come in the same four files.
_IDX = {"mnist": ("MNIST", _DIGITS), "fashion_mnist": ("FashionMNIST", _FASHION)}
_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# Name to torchvision class, and the arguments for its training and its test images.
_TORCHVISION: dict[str, tuple[str, dict[str, object], dict[str, object]]] = {
    "cifar10": ("CIFAR10", {"train": True}, {"train": False}),
    "cifar100": ("CIFAR100", {"train": True}, {"train": False}),
    "svhn": ("SVHN", {"split": "train"}, {"split": "test"}),
    "stl10": ("STL10", {"split": "train"}, {"split": "test"}),
}


def read_named(
    name: str,
    root: str | None,
    image_size: int | None,
    *,
    resize: str = CROP,
    default_size: int = 224,
    store: ImageStore | None = None,
) -> LabelledImages:
    """Read a data set of `data_names()`.

    Args:
        name: Name of the data set.
        root: Folder of the data sets; default `$PARETUNE_DATA`, else `~/.cache/paretune/data`.
        image_size: Side in pixels of Caltech-101, whose pictures differ in size.
        resize: How these become squares.
        default_size: Their side where no `image_size` is given.
        store: Keeps them if they are too large for the memory.

    Raises:
        DataError: The files are absent and cannot be downloaded, or are broken.

    >>> digits = read_named("digits", None, None)
    >>> digits.images.shape, digits.classes[:2]
    ((1797, 1, 8, 8), ('0', '1'))
    """
    if name == "digits":
        return _read_digits()
    folder = data_root(root)
    if name in _IDX:
        return _read_idx_set(name, folder)
    if name == "caltech101":
        pictures = _caltech101_folder(folder)
        # One class holds whatever a search engine found; it is not among the 101.
        source = read_folder(
            str(pictures),
            image_size,
            without=frozenset({"BACKGROUND_Google"}),
            resize=resize,
            default_size=default_size,
            store=store,
        )
        return replace(source, name=name)
    return _read_torchvision(name, folder)


def data_root(root: str | None) -> Path:
    """Return the folder of the named data sets.

    >>> data_root("/data").as_posix()
    '/data'
    """
    given = root or os.environ.get("PARETUNE_DATA") or "~/.cache/paretune/data"
    return Path(given).expanduser()


def _read_digits() -> LabelledImages:
    pixels, labels = _digits()
    # Sums of 4x4 binary pixels, so 0 to 16 (Alpaydin and Kaynak 1998); 16 becomes white.
    images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return LabelledImages("digits", _DIGITS, images, labels)


def _digits() -> tuple[Images, Labels]:
    """Pixels (N, 64) and labels (N,), as scikit-learn ships them."""
    package = find_spec("sklearn")
    file = Path(package.origin).parent / _DIGITS_FILE if package and package.origin else None
    if file and file.is_file():
        rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)
        return rows[:, :-1], rows[:, -1].astype(np.int64)
    # It reads the same file, after a second in which it imports scipy's statistics and pandas.
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.data.astype(np.uint8), digits.target.astype(np.int64)


def _read_idx_set(name: str, root: Path) -> LabelledImages:
    folder_name, classes = _IDX[name]
    raw = root / folder_name / "raw"
    if any(_present(raw / file) is None for file in _IDX_FILES):
        _construct(name, folder_name, root, {"train": True})
    arrays = [_read_idx(raw / file) for file in _IDX_FILES]
    train_images, train_labels, test_images, test_labels = arrays
    test = (test_images[:, None], test_labels.astype(np.int64))
    return LabelledImages(
        name, classes, train_images[:, None], train_labels.astype(np.int64), test
    )


def _present(path: Path) -> Path | None:
    """The file, plain or gzipped, whichever is there."""
    candidates = (path, path.with_name(path.name + ".gz"))
    return next((file for file in candidates if file.is_file()), None)


def _read_idx(path: Path) -> Images:
    """Read one IDX file (LeCun's format: type, rank, big-endian sizes, bytes)."""
    file = _present(path)
    try:
        if file is None:
            raise FileNotFoundError("it is absent")
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        rank = content[3]
        shape = np.frombuffer(content, ">u4", count=rank, offset=4).astype(np.int64)
        if content[:3] != b"\x00\x00\x08":
            raise ValueError("its first bytes are not those of an IDX file of unsigned bytes")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise DataError(
            f"cannot read {file or path} as a file of images or labels: {error}. Delete it, so "
            f"that it is downloaded again, or copy a good one there."
        ) from error


def _read_torchvision(name: str, root: Path) -> LabelledImages:
    class_name, train_arguments, test_arguments = _TORCHVISION[name]
    train = _construct(name, class_name, root, train_arguments)
    test = _construct(name, class_name, root, test_arguments)
    classes = tuple(getattr(train, "classes", _DIGITS))
    return LabelledImages(name, classes, *_arrays(train), _arrays(test))


def _arrays(dataset: Any) -> tuple[Images, Labels]:
    labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
    images = np.asarray(dataset.data, dtype=np.uint8)
    # CIFAR is held as NHWC; SVHN and STL-10 are held as NCHW.
    if images.shape[-1] == 3:
        images = images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images), np.asarray(labels, dtype=np.int64)


def _caltech101_folder(root: Path) -> Path:
    folder = root / "caltech101" / "101_ObjectCategories"
    if not folder.is_dir():
        _construct("caltech101", "Caltech101", root, {})
    return folder


def _construct(name: str, class_name: str, root: Path, arguments: dict[str, object]) -> Any:
    """Open a torchvision data set, downloading it only if its files are absent."""
    import torchvision.datasets

    factory: Callable[..., Any] = getattr(torchvision.datasets, class_name)
    try:
        root.mkdir(parents=True, exist_ok=True)
        try:
            return factory(str(root), download=False, **arguments)
        except RuntimeError:  # Files are absent or have another checksum.
            return factory(str(root), download=True, **arguments)
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(
            f"data set {name!r} is not in {root}, and downloading it failed ({error}). On a "
            f'machine with internet run `python -c "import torchvision; '
            f"torchvision.datasets.{class_name}('data', download=True)\"`, copy what appeared in "
            f"data/ to {root}, and run this again; or set data.root or PARETUNE_DATA to the "
            f"folder where it already lies."
        ) from error
