"""Images from a NumPy archive."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from trainers.data.image_data import Images, LabelledImages, Labels
from trainers.data.image_store import IN_MEMORY, Decoded, ImageStore, Source
from trainers.data.mapped import as_images, mapped_of
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


def read_npz(path: str, store: ImageStore = IN_MEMORY) -> LabelledImages:
    """Read a data set from an npz file; nothing in it is ever unpickled.

    Keys: `x_train` and `y_train` (or `images` and `labels`, or `x` and `y`, or MedMNIST's
    `train_images` and `train_labels`); optionally `x_test` and `y_test`, `x_val` and `y_val` (the
    official test and validation sets then; MedMNIST's `test_images` and so on) and `classes`
    (names). Images are uint8 and NHW, NHWC or NCHW with one or three channels; labels are
    integers. Other keys are ignored, with a note.

    Args:
        path: The file.
        store: Keeps images that are too large for the memory.

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
    return read_arrays(_file(path, store), Path(path).stem)


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


def _file(path: str, store: ImageStore) -> "Archive":
    """Read an npz file; of arrays that are too large for the memory, their headers."""
    fix = (
        "Write it with numpy.savez(path, x_train=..., y_train=...): uint8 images, integer labels."
    )
    empty = Archive(f"data file {path}", fix, {})
    try:
        # Opened here, because numpy leaves a broken file open (seen in 2.4).
        file = Path(path).expanduser()
        with file.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("it is one array")
            arrays = {
                key: _Zipped(file, key) if _bytes(archive, key) > store.in_memory else archive[key]
                for key in archive.files
            }
        facts = file.stat()
        whose = f"{file.resolve()} {facts.st_size} {facts.st_mtime_ns}"
        return Archive(empty.what, fix, arrays, store=store, whose=whose)
    except FileNotFoundError:
        raise AbsentDataError(str(empty.error("does not exist"))) from None
    except (OSError, ValueError, EOFError, AttributeError, TypeError) as error:
        raise empty.error(f"cannot be read as plain arrays ({error})") from error
    except zipfile.BadZipFile as error:
        raise empty.error(f"is not a complete npz file ({error})") from error


def _bytes(archive: Any, key: str) -> int:
    """Size of an array of an npz file, with its header, without reading it."""
    members = {each.filename: each.file_size for each in archive.zip.infolist()}
    return int(members.get(f"{key}.npy", members.get(key, 0)))


def _channels_first(image: NDArray[Any], *, channels_last: bool) -> Images:
    if image.ndim == 2:
        return image[None]
    found: Images = image.transpose(2, 0, 1) if channels_last else image
    return found


class _Zipped:
    """An array of an npz file that is read row by row.

    Raises:
        ValueError: It is pickled, or in Fortran's order.
    """

    def __init__(self, file: Path, key: str) -> None:
        self._file, self._member = file, f"{key}.npy"
        with self._opened() as stream:
            self.shape, self.dtype = _header(stream)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        del copy
        whole = np.stack(list(self.rows(0)))
        return whole.astype(dtype or self.dtype, copy=False)

    def rows(self, first: int) -> Iterator[NDArray[Any]]:
        """Yield the rows from one on."""
        size = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        with self._opened() as stream:
            _header(stream)
            stream.seek(stream.tell() + first * size)
            for _ in range(first, len(self)):
                content = stream.read(size)
                yield np.frombuffer(content, self.dtype).reshape(self.shape[1:])

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(self._file) as archive, archive.open(self._member) as stream:
            yield stream


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"an array is written in version {version} of NumPy's format")
    shape, is_fortran, dtype = read(stream)
    if is_fortran or dtype.hasobject:
        raise ValueError(
            "an array that is too large for the memory is pickled or in Fortran's order; write it "
            "with numpy.ascontiguousarray"
        )
    return shape, dtype


class Archive:
    """Arrays by name; every complaint names where they are from.

    Args:
        what: Where they are from.
        fix: What to do about a wrong one, as a sentence.
        arrays: By name.
        store: Keeps images that are too large for the memory.
        whose: Text that differs wherever the arrays could.
    """

    def __init__(
        self,
        what: str,
        fix: str,
        arrays: Mapping[str, Any],
        *,
        store: ImageStore = IN_MEMORY,
        whose: str = "",
    ) -> None:
        self.what, self._fix = what, fix
        self._arrays = dict(arrays)
        self._store, self._whose = store, whose
        self.keys = frozenset(self._arrays)

    def error(self, complaint: str) -> DataError:
        """Return an error that says what is wrong and what to do."""
        return DataError(f"{self.what} {complaint}. {self._fix}")

    def images(self, key: str) -> Images:
        """Return images of any accepted layout as uint8 (N, C, H, W)."""
        array = self._arrays[key]
        mapped = mapped_of(array)
        if mapped is not None:
            return as_images(mapped)
        channels_last = self._has_channels_last(key, array)
        if isinstance(array, _Zipped) or array.nbytes > self._store.in_memory:
            return self._kept(key, array, channels_last=channels_last)
        if array.ndim == 3:
            return np.ascontiguousarray(array[:, None])
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2) if channels_last else array)

    def _kept(self, key: str, array: Any, *, channels_last: bool) -> Images:
        """Copy images into the store, one after another."""

        def decode(first: int) -> Iterator[Decoded]:
            for image in array.rows(first) if isinstance(array, _Zipped) else array[first:]:
                yield (_channels_first(image, channels_last=channels_last), 0)

        plain = np.empty(array.shape[1:], np.uint8)
        shape = _channels_first(plain, channels_last=channels_last).shape
        source = Source(f"{self.what} {key}", f"{self._whose} {key}", len(array), shape, decode)
        return self._store.kept(source)[0]

    def _has_channels_last(self, key: str, array: Any) -> bool:
        """Return whether channels come last in images that are accepted.

        Raises:
            DataError: They are not accepted.
        """
        if array.dtype != np.uint8:
            wanted = self.error(f"has {key} of type {array.dtype}; wanted uint8 pixels, 0 to 255")
            raise PixelTypeError(str(wanted))
        if array.ndim not in (3, 4) or 0 in array.shape:
            raise self.error(
                f"has {key} of shape {array.shape}; wanted (N, H, W), (N, H, W, C) or (N, C, H, W)"
                f" with at least one image"
            )
        if array.ndim == 3:
            return False
        first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
        if first == last:
            reason = "both could be" if first else "neither is"
            raise self.error(
                f"has {key} of shape {array.shape}: channels (1 or 3) are looked for in the "
                f"second and in the last place, and {reason} them"
            )
        return bool(last)

    def labels(self, images_key: str, key: str) -> NDArray[np.int64]:
        """Return the labels as written, int64 (N,), one per image."""
        array = np.asarray(self._arrays[key])
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
            array = np.asarray(self._arrays["classes"])
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
