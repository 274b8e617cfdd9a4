"""Images from a function of a user's own."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainers.data.image_data import LabelledImages
from trainers.data.npz import Archive, read_arrays
from trainers.doors import load_reference

_FIX = (
    "Return a mapping with x_train and y_train (and x_test, y_test, x_val, y_val, classes), uint8 "
    "images and integer labels, or a data set of pairs of an image and its label"
)


def read_own(reference: str) -> LabelledImages:
    """Call a function without arguments, and read what it returns.

    Args:
        reference: Resolved; see `trainers.doors`. The function returns arrays by the keys of
            `trainers.data.npz.read_npz`, or anything with a length and pairs of an image of one
            size and its label, as a `torch.utils.data.Dataset` has.

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
        returned = function()
        arrays = dict(returned) if isinstance(returned, Mapping) else _pairs(returned)
        arrays = {key: np.asarray(array) for key, array in arrays.items()}
    except (Exception, SystemExit) as error:
        raise empty.error(f"could not be read: {type(error).__name__}: {error}") from error
    name = reference.rpartition(":")[2]
    return read_arrays(Archive(empty.what, f"{_FIX}.", arrays), name)


def _pairs(dataset: Any) -> dict[str, Any]:
    pairs = [dataset[index] for index in range(len(dataset))]
    if not pairs:
        raise ValueError("it holds no images")
    images, labels = zip(*pairs, strict=True)
    return {
        "x_train": np.stack([np.asarray(image) for image in images]),
        "y_train": np.array([_whole(label) for label in labels]),
    }


def _whole(label: Any) -> int:
    if int(label) != float(label):
        raise ValueError(f"a label is {label}; integers are wanted")
    return int(label)
