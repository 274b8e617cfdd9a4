"""Images from a NumPy archive."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.data.image_data import Images, LabelledImages, Labels
from trainers.errors import AbsentDataError, DataError, PixelTypeError

# Ours and Keras', two common ones, and MedMNIST's; of each the keys of train, val and test.
_KEYS: tuple[Mapping[str, tuple[str, str]], ...] = (
    {"train": ("x_train", "y_train"), "val": ("x_val", "y_val"), "test": ("x_test", "y_test")},
    {"train": ("images", "labels")},
    {"train": ("x", "y")},
    {
        "train": ("train_images", "train_labels"),
        "val": ("val_images", "val_labels"),
        "test": ("test_images", "test_labels"),
    },
)


def read_npz(path: str) -> LabelledImages:
    """Read a data set from an npz file; nothing in it is ever unpickled.

    Keys: `x_train` and `y_train` (or `images` and `labels`, or `x` and `y`, or MedMNIST's
    `train_images` and `train_labels`); optionally `x_test` and `y_test`, `x_val` and `y_val` (the
    official test and validation sets then; MedMNIST's `test_images` and so on) and `classes`
    (names). Images are uint8 and NHW, NHWC or NCHW with one or three channels; labels are
    integers. Other keys are ignored, with a note.

    Raises:
        AbsentDataError: There is no such file.
        DataError: The file is broken, holds a pickle, or an array has a wrong type or shape; the
            text names the file and the array.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file, images = Path(folder, "two.npz"), np.zeros((2, 8, 8), np.uint8)
    ...     np.savez(file, images=images, labels=np.array([3, 7]))
    ...     found = read_npz(str(file))
    >>> found.images.shape, found.classes, found.labels.tolist()
    ((2, 1, 8, 8), ('3', '7'), [0, 1])
    """
    return read_arrays(_file(path), Path(path).stem)


def read_arrays(archive: "Archive", name: str) -> LabelledImages:
    """Read a data set from arrays, by the keys that `read_npz` takes.

    Raises:
        DataError: An array has a wrong type or shape, or is missing; the text names it.

    >>> arrays = {"x": np.zeros((2, 8, 8), np.uint8), "y": np.array([3, 7])}
    >>> found = read_arrays(Archive("my images", "Correct them.", arrays), "two")
    >>> found.name, found.images.shape, found.classes
    ('two', (2, 1, 8, 8), ('3', '7'))
    """
    keys = next((keys for keys in _KEYS if set(keys["train"]) <= archive.keys), None)
    if keys is None:
        raise archive.error(
            f"holds no pair of images and labels. Its keys: {', '.join(sorted(archive.keys))}; "
            f"wanted: x_train and y_train, images and labels, or train_images and train_labels"
        )
    keys = {subset: pair for subset, pair in keys.items() if set(pair) <= archive.keys}
    images = {subset: archive.images(pair[0]) for subset, pair in keys.items()}
    for subset, (key, _) in keys.items():
        if images[subset].shape[1:] != images["train"].shape[1:]:
            raise archive.error(
                f"has images of shape {images[subset].shape[1:]} in {key} and of shape "
                f"{images['train'].shape[1:]} in {keys['train'][0]} (channels, height, width); "
                f"they must be equal"
            )
    raw_labels = archive.labels(*keys["train"])
    classes, values = archive.classes(raw_labels)
    labels = {
        subset: archive.coded(archive.labels(*pair), values, pair[1])
        for subset, pair in keys.items()
    }
    used = {key for pair in keys.values() for key in pair}
    return LabelledImages(
        name,
        classes,
        images["train"],
        labels["train"],
        test=(images["test"], labels["test"]) if "test" in keys else None,
        val=(images["val"], labels["val"]) if "val" in keys else None,
        notes=(*_notes(archive, used), *_unlabelled(raw_labels, classes)),
    )


def _notes(archive: "Archive", used: set[str]) -> list[str]:
    """Note which arrays of the archive are not read."""
    left = sorted(archive.keys - used - {"classes"})
    alone = [
        f"{key} without {other}"
        for keys in _KEYS
        for pair in keys.values()
        for key, other in (pair, pair[::-1])
        if key in left and other not in archive.keys
    ]
    others = [key for key in left if not any(each.startswith(f"{key} ") for each in alone)]
    return [f"arrays that are left out: {', '.join(alone + others)}"] if left else []


def _unlabelled(labels: Labels, classes: tuple[str, ...]) -> list[str]:
    """Note that some labels are -1, often "unknown"; not if all are among -1, 0 and 1."""
    count = int((labels == -1).sum())
    if not count or set(classes) <= {"-1", "0", "1"}:
        return []
    return [
        f"the label -1 is taken as a class, with {count:,} image(s); where it means that the "
        f"class is not known, remove these images"
    ]


def _file(path: str) -> "Archive":
    """Read an npz file whole."""
    fix = (
        "Write it with numpy.savez(path, x_train=..., y_train=...): uint8 images, integer labels."
    )
    empty = Archive(f"data file {path}", fix, {})
    try:
        # Opened here, because numpy leaves a broken file open (seen in 2.4).
        with Path(path).expanduser().open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("it is one array")
            return Archive(empty.what, fix, {key: archive[key] for key in archive.files})
    except FileNotFoundError:
        raise AbsentDataError(str(empty.error("does not exist"))) from None
    except (OSError, ValueError, EOFError, AttributeError, TypeError) as error:
        raise empty.error(f"cannot be read as plain arrays ({error})") from error
    except zipfile.BadZipFile as error:
        raise empty.error(f"is not a complete npz file ({error})") from error


class Archive:
    """Arrays by name; every complaint names where they are from.

    Args:
        what: Where they are from.
        fix: What to do about a wrong one, as a sentence.
        arrays: By name.
    """

    def __init__(self, what: str, fix: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.what, self._fix = what, fix
        self._arrays = dict(arrays)
        self.keys = frozenset(self._arrays)

    def error(self, complaint: str) -> DataError:
        """Return an error that says what is wrong and what to do."""
        return DataError(f"{self.what} {complaint}. {self._fix}")

    def images(self, key: str) -> Images:
        """Return images of any accepted layout as uint8 (N, C, H, W)."""
        array = self._arrays[key]
        if array.dtype != np.uint8:
            wanted = self.error(f"has {key} of type {array.dtype}; wanted uint8 pixels, 0 to 255")
            raise PixelTypeError(str(wanted))
        if array.ndim not in (3, 4) or 0 in array.shape:
            raise self.error(
                f"has {key} of shape {array.shape}; wanted (N, H, W), (N, H, W, C) or (N, C, H, W)"
                f" with at least one image"
            )
        if array.ndim == 3:
            return np.ascontiguousarray(array[:, None])
        first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
        if first == last:
            reason = "both could be" if first else "neither is"
            raise self.error(
                f"has {key} of shape {array.shape}: channels (1 or 3) are looked for in the "
                f"second and in the last place, and {reason} them"
            )
        return np.ascontiguousarray(array if first else array.transpose(0, 3, 1, 2))

    def labels(self, images_key: str, key: str) -> NDArray[np.int64]:
        """Return the labels as written, int64 (N,), one per image."""
        array = self._arrays[key]
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim == 2 and array.dtype.kind in "iu":
            raise self.error(
                f"has {key} of shape {array.shape}; wanted integers (N,). Of one-hot labels "
                f"take {key}.argmax(axis=1); several labels an image are not supported"
            )
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise self.error(
                f"has {key} of type {array.dtype} and shape {array.shape}; wanted integers (N,)"
            )
        count = len(self._arrays[images_key])
        if len(array) != count:
            raise self.error(
                f"has {count} images in {images_key} and {len(array)} labels in {key}"
            )
        labels: Labels = array.astype(np.int64)
        return labels

    def classes(self, labels: Labels) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Return the names of the classes, and the value of each in the labels."""
        if "classes" not in self.keys:
            values = np.unique(labels)
            names = tuple(str(value) for value in values)
        else:
            array = self._arrays["classes"]
            if array.ndim != 1 or array.dtype.kind not in "US":
                raise self.error(f"has classes of type {array.dtype}; wanted a list of names")
            names = self._decoded(array)
            values = np.arange(len(names))
        if len(names) < 2:
            raise self.error(f"has one class only ({', '.join(names)}); wanted at least two")
        return names, values

    def _decoded(self, array: NDArray[Any]) -> tuple[str, ...]:
        """Names that are texts, or bytes in UTF-8."""
        if array.dtype.kind == "U":
            return tuple(str(name) for name in array)
        try:
            return tuple(bytes(name).decode() for name in array)
        except UnicodeDecodeError as error:
            raise self.error(
                f"has names in classes that are bytes, and not in UTF-8 ({error}); write them as "
                f"text, as in numpy.array(['café', 'thé'])"
            ) from None

    def coded(self, labels: Labels, values: NDArray[np.int64], key: str) -> Labels:
        """Convert labels to positions in `values`, which is sorted."""
        strange = np.setdiff1d(labels, values)
        if len(strange):
            shown = ", ".join(str(value) for value in strange[:5])
            unknown = "; -1 often means that the class is not known" if -1 in strange else ""
            raise self.error(
                f"has in {key} the label(s) {shown}, for which there is no class; known are "
                f"{values[0]} to {values[-1]}{unknown}"
            )
        coded: Labels = np.searchsorted(values, labels).astype(np.int64)
        return coded
