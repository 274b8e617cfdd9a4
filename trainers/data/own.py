"""Images from a function of a user's own."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from trainers.data.image_data import Images, LabelledImages
from trainers.data.image_store import IN_MEMORY, Decoded, ImageStore, Source
from trainers.data.npz import Archive, read_arrays
from trainers.doors import (
    FOREIGN_ERRORS,
    load_reference,
    reference_digest,
    say_if_slow,
    shown_error,
)
from trainers.errors import DataError

_FIX = (
    "Return a mapping with x_train and y_train (and x_test, y_test, x_val, y_val, classes), uint8 "
    "images and integer labels, or a data set of pairs of an image and its label"
)


def read_own(reference: str, store: ImageStore = IN_MEMORY) -> LabelledImages:
    """Call a function without arguments, and read what it returns.

    Args:
        reference: Resolved; see `trainers.doors`. The function returns arrays by the keys of
            `trainers.data.npz.read_npz`, or anything with a length and pairs of an image of one
            size and its label, as a `torch.utils.data.Dataset` has.
        store: Keeps images that are too large for the memory. A data set of pairs is read one by
            one then, and not read again as long as the code, the length and eight of its images
            are the same.

    Raises:
        DoorError: The function cannot be imported.
        DataError: It raises, or returns anything else; the text names it.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> code = "import numpy as n; two = lambda: [(n.zeros((8, 8), n.uint8), y) for y in (3, 7)]"
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "my_data.py")
    ...     _ = file.write_text(code)
    ...     found = read_own(f"{file}:two")
    >>> found.name, found.images.shape, found.classes
    ('two', (2, 1, 8, 8), ('3', '7'))
    """
    empty = Archive(f"data.dataset {reference}", f"{_FIX}.", {})
    function = load_reference(reference)
    try:
        with say_if_slow(f"data.dataset {reference}"):
            returned = function()
        if isinstance(returned, Mapping):
            arrays = {key: np.asarray(array) for key, array in returned.items()}
            images = [each for each in arrays.values() if each.ndim > 2]
            whose = _samples(reference, images[0] if images else ())
            archive = Archive(empty.what, f"{_FIX}.", arrays, store=store, whose=whose)
        else:
            archive = _pairs(returned, reference, empty, store)
    except DataError:
        raise
    except FOREIGN_ERRORS as error:
        raise empty.error(f"could not be read: {shown_error(error)}") from error
    name = reference.rpartition(":")[2]
    return read_arrays(archive, name)


def _pairs(dataset: Any, reference: str, empty: Archive, store: ImageStore) -> Archive:
    if not len(dataset):
        raise ValueError("it holds no images")
    first = np.asarray(_pair(dataset, 0)[0])
    # Whatever else is wrong is said of all images.
    if first.dtype != np.uint8 or first.nbytes * len(dataset) <= store.in_memory:
        images, labels = zip(
            *(_pair(dataset, index) for index in range(len(dataset))), strict=True
        )
        arrays = {
            "x_train": np.stack([np.asarray(image) for image in images]),
            "y_train": np.array([_whole(label) for label in labels]),
        }
        return Archive(empty.what, f"{_FIX}.", arrays)

    def plain(given: Any) -> Images:
        found = Archive(empty.what, f"{_FIX}.", {"x_train": np.asarray(given)[None]})
        image: Images = found.images("x_train")[0]
        return image

    def decode(start: int) -> Iterator[Decoded]:
        for index in range(start, len(dataset)):
            try:
                image, label = dataset[index]
            except (StopIteration, SystemExit) as error:
                # A generator may not raise the one, and the other would end the process.
                raise RuntimeError(shown_error(error)) from error
            yield plain(image), _whole(label)

    key = _samples(reference, [_pair(dataset, index)[0] for index in _some(len(dataset))])
    source = Source(empty.what, key, len(dataset), plain(first).shape, decode)
    kept, numbers = store.kept(source)
    return Archive(empty.what, f"{_FIX}.", {"x_train": kept, "y_train": numbers}, store=store)


def _pair(dataset: Any, index: int) -> tuple[Any, Any]:
    try:
        image, label = dataset[index]
    except FOREIGN_ERRORS as error:
        raise ValueError(f"number {index} of {len(dataset)}: {shown_error(error)}") from error
    return image, label


def _samples(reference: str, images: Any) -> str:
    """Name images by the code that gives them and by some of them."""
    found = hashlib.sha256(reference_digest(reference).encode())
    for index in _some(len(images)):
        found.update(np.ascontiguousarray(images[index]).tobytes())
    return found.hexdigest()


def _some(count: int) -> list[int]:
    """Numbers of at most eight images, the first and the last among them."""
    return sorted({round(each) for each in np.linspace(0, count - 1, 8)}) if count else []


def _whole(label: Any) -> int:
    if int(label) != float(label):
        raise ValueError(f"a label is {label}; integers are wanted")
    return int(label)
