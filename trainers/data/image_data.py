"""Images in memory, as plain arrays that many processes can share without a copy."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images as a source gives them, before they are split.

    Attributes:
        name: Name of the data set.
        classes: Names of the classes; label i means `classes[i]`.
        images: uint8 (N, C, H, W).
        labels: int64 (N,), in [0, len(classes)).
        test: The official test images and labels, if the data set has them.
        val: The official validation images and labels, if the data set has them.
        notes: What the user should know about how it was read; sentences without a full stop.
    """

    name: str
    classes: tuple[str, ...]
    images: Images
    labels: Labels
    test: tuple[Images, Labels] | None = None
    val: tuple[Images, Labels] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set, split into train, validation and test.

    It holds only C-contiguous arrays and short text, so that it can be put into shared memory
    unchanged. Arrays from there are read-only, so no code may write to them, wherever they are.
    Images of a large set lie in a file, as `trainers.data.mapped.MappedImages`: code indexes
    images before it does anything else with them.

    Attributes:
        name: Name of the data set.
        classes: Names of the classes; label i means `classes[i]`.
        train_images: uint8 (N, C, H, W), C of 1 or 3; the same C, H, W in all subsets.
        train_labels: int64 (N,), in [0, len(classes)).
        val_images: As `train_images`.
        val_labels: As `train_labels`.
        test_images: As `train_images`.
        test_labels: As `train_labels`.
        notes: What the user should know about how the data were read and split.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Images
    train_labels: Labels
    val_images: Images
    val_labels: Labels
    test_images: Images
    test_labels: Labels
    notes: tuple[str, ...] = ()

    def subset(self, name: str) -> tuple[Images, Labels]:
        """Return images and labels of one subset.

        Raises:
            ValueError: `name` is not one of `train`, `val` and `test`.
        """
        if name not in ("train", "val", "test"):
            raise ValueError(f"there is no subset {name!r}; known: train, val, test.")
        return getattr(self, f"{name}_images"), getattr(self, f"{name}_labels")

    def fingerprint(self) -> str:
        """Return the SHA-256 of name, class names, pixels and labels, as 64 hexadecimal digits.

        Notes are not part of it. Computed once and carried along when the data are pickled.
        """
        return self._fingerprint

    def content(self) -> str:
        """Return a digest like `fingerprint`, but without the name of the folder or file."""
        return self._content

    @cached_property
    def _fingerprint(self) -> str:
        return self._digest(self.name, *self.classes)

    @cached_property
    def _content(self) -> str:
        return self._digest(*self.classes)

    def _digest(self, *names: str) -> str:
        digest = hashlib.sha256(json.dumps(names).encode())
        for field in fields(self)[2:-1]:
            array = getattr(self, field.name)
            digest.update(json.dumps([field.name, str(array.dtype), array.shape]).encode())
            for block in _blocks(array):
                digest.update(np.ascontiguousarray(block).data)
        return digest.hexdigest()


def _blocks(array: NDArray[Any]) -> Iterable[NDArray[Any]]:
    """Yield an array, or images that lie in a file, in parts."""
    return [array] if isinstance(array, np.ndarray) else array.blocks()
