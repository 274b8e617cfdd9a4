"""Images from a NumPy archive."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainers.data.image_data import Images, LabelledImages, Labels
from trainers.errors import DataError, PixelTypeError

_TRAIN_KEYS = (("x_train", "y_train"), ("images", "labels"), ("x", "y"))


def read_npz(path: str) -> LabelledImages:
    """Read a data set from an npz file; nothing in it is ever unpickled.

    Keys: `x_train` and `y_train` (or `images` and `labels`, or `x` and `y`); optionally `x_test`
    and `y_test` (the official test set then) and `classes` (names). Images are uint8 and NHW,
    NHWC or NCHW with one or three channels; labels are integers. Other keys are ignored.

    Raises:
        DataError: The file is absent or broken, holds a pickle, or an array has a wrong type or
            shape; the text names the file and the array.
    """
    archive = _Archive(path)
    keys = next((pair for pair in _TRAIN_KEYS if set(pair) <= archive.keys), None)
    if keys is None:
        raise archive.error(
            f"holds no pair of images and labels. Its keys: {', '.join(sorted(archive.keys))}; "
            f"wanted: x_train and y_train, or images and labels"
        )
    images, raw_labels = archive.images(keys[0]), archive.labels(*keys)
    raw_test = None
    if keys[0] == "x_train" and {"x_test", "y_test"} <= archive.keys:
        raw_test = archive.images("x_test"), archive.labels("x_test", "y_test")
        if raw_test[0].shape[1:] != images.shape[1:]:
            raise archive.error(
                f"has test images of shape {raw_test[0].shape[1:]} and training images of shape "
                f"{images.shape[1:]} (channels, height, width); they must be equal"
            )
    classes, values = archive.classes(raw_labels)
    labels = archive.coded(raw_labels, values, keys[1])
    test = raw_test and (raw_test[0], archive.coded(raw_test[1], values, "y_test"))
    return LabelledImages(Path(path).stem, classes, images, labels, test)


class _Archive:
    """An npz file, read whole; every complaint names the file."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            # Opened here, because numpy leaves a broken file open (seen in 2.4).
            with Path(path).expanduser().open("rb") as stream:
                archive = np.load(stream, allow_pickle=False)
                if isinstance(archive, np.ndarray):
                    raise ValueError("it is one array")
                self._arrays = {key: archive[key] for key in archive.files}
        except FileNotFoundError:
            raise self.error("does not exist") from None
        except (OSError, ValueError, EOFError, AttributeError, TypeError) as error:
            raise self.error(f"cannot be read as plain arrays ({error})") from error
        except zipfile.BadZipFile as error:
            raise self.error(f"is not a complete npz file ({error})") from error
        self.keys = frozenset(self._arrays)

    def error(self, complaint: str) -> DataError:
        return DataError(
            f"data file {self._path} {complaint}. Write it with "
            f"numpy.savez(path, x_train=..., y_train=...): uint8 images, integer labels."
        )

    def images(self, key: str) -> Images:
        """uint8 (N, C, H, W) of any accepted layout."""
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
        """int64 (N,) as written, as many as there are images."""
        array = self._arrays[key]
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
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
        """Names of the classes, and the value by which each is written in the labels."""
        if "classes" not in self.keys:
            values = np.unique(labels)
            names = tuple(str(value) for value in values)
        else:
            array = self._arrays["classes"]
            if array.ndim != 1 or array.dtype.kind not in "US":
                raise self.error(f"has classes of type {array.dtype}; wanted a list of names")
            names = tuple(str(name) for name in array.astype(str))
            values = np.arange(len(names))
        if len(names) < 2:
            raise self.error(f"has one class only ({', '.join(names)}); wanted at least two")
        return names, values

    def coded(self, labels: Labels, values: NDArray[np.int64], key: str) -> Labels:
        """Labels as positions in `values`, which is sorted."""
        strange = np.setdiff1d(labels, values)
        if len(strange):
            shown = ", ".join(str(value) for value in strange[:5])
            raise self.error(
                f"has in {key} the label(s) {shown}, for which there is no class; known are "
                f"{values[0]} to {values[-1]}"
            )
        coded: Labels = np.searchsorted(values, labels).astype(np.int64)
        return coded
