"""A bounded folder of decoded images: each set is decoded once, and checked by digest."""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from trainers.data.config import DEFAULT_IN_MEMORY, DEFAULT_ON_DISK, DataConfig
from trainers.data.image_data import Images
from trainers.data.mapped import (
    MappedImages,
    as_images,
    read_records,
    record_bytes,
    records_beside,
)
from trainers.doors import shown_error
from trainers.errors import DataError
from trainers.files.whole_file import replacing

logger = logging.getLogger(__name__)

_FILE = "images.u8"
_FORMAT = 1
# Written at once; what a killed process had not written is decoded again.
_FLUSH_BYTES = 16 * 2**20
# A set that was opened so recently is likely to be in use.
_RECENT_S = 3600.0

Decoded = tuple[Images, int]
"""An image, uint8 (C, H, W), and a number that is kept with it, such as its label."""


@dataclass(frozen=True)
class Source:
    """Images that can be decoded one after another.

    Attributes:
        name: What to call them in errors.
        key: Text that differs wherever the images could.
        count: Number of images.
        shape: (C, H, W) of each.
        decode: Yields the images from the one of the given number on.
    """

    name: str
    key: str
    count: int
    shape: tuple[int, int, int]
    decode: Callable[[int], Iterable[Decoded]]

    @property
    def image_bytes(self) -> int:
        """Bytes of an image."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of all images."""
        return self.count * self.image_bytes


@dataclass(frozen=True)
class ImageStore:
    """Keeps small sets of images in memory, and large ones in files of a folder.

    Attributes:
        root: The folder; made on the first write.
        in_memory: Bytes up to which a set is kept in memory.
        on_disk: Bytes of all sets in the folder, at most; the least recently used are removed.
    """

    root: Path
    in_memory: float = DEFAULT_IN_MEMORY
    on_disk: float = DEFAULT_ON_DISK

    def kept(self, source: Source) -> tuple[Images, NDArray[np.int64]]:
        """Decode images into memory, or find or make the file that holds them.

        Every image in the file is compared with its digest. From the first damaged or missing one
        on they are decoded again. Of several processes that need the same set one decodes it, and
        the others wait.

        Returns:
            uint8 (N, C, H, W), an array or a `MappedImages`, and the number kept with each.

        Raises:
            DataError: The file would exceed the bound or the disk, or cannot be written.
        """
        if source.nbytes <= self.in_memory:
            return _in_memory(source)
        try:
            return self._on_disk(source)
        except OSError as error:
            raise DataError(
                f"{source.name}: the images, {_size(source.nbytes)} decoded, cannot be written to "
                f"{self.root}: {error.strerror or error}. Make room there, or let them stay in "
                f"memory: data: {{in_memory: {_size(source.nbytes)}}}."
            ) from error

    def changed(
        self,
        images: MappedImages,
        how: str,
        shape: tuple[int, int, int],
        change: Callable[[Images], Images],
    ) -> Images:
        """Change images that lie in a file, into another file.

        Args:
            images: As `kept` returned them.
            how: Text that names the change.
            shape: (C, H, W) of a changed image.
            change: Changes uint8 (N, C, H, W).
        """
        digests = images.records()["digest"].tobytes()

        def decode(first: int) -> Iterator[Decoded]:
            step = max(1, _FLUSH_BYTES // int(np.prod(images.shape[1:])))
            for begin in range(first, len(images), step):
                yield from ((image, 0) for image in change(images[begin : begin + step]))

        key = f"{how} of {hashlib.sha256(digests).hexdigest()}"
        return self.kept(Source(how, key, len(images), shape, decode))[0]

    def _on_disk(self, source: Source) -> tuple[Images, NDArray[np.int64]]:
        text = f"{_FORMAT} {source.key} {source.count} {source.shape}"
        folder = self.root / hashlib.sha256(text.encode()).hexdigest()[:32]
        file = folder / _FILE
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f".{folder.name}.lock"):
            whole = _undamaged(file, source)
            if whole < source.count:
                self._make_room(source, folder, _held(folder))
                _decode(file, source, whole)
            os.utime(folder)
        every = np.arange(source.count, dtype=np.int64)
        mapped = MappedImages(file, source.shape, every)
        return as_images(mapped), mapped.records()["number"].astype(np.int64)

    def _make_room(self, source: Source, own: Path, held: int) -> None:
        """Remove sets that were not used for the longest time, until one more fits."""
        wanted = source.nbytes
        if wanted > self.on_disk:
            raise DataError(
                f"{source.name}: the images take {_size(wanted)} decoded, and data.on_disk allows "
                f"{_size(self.on_disk)} in {self.root}. Raise it, or take a smaller image_size."
            )
        others = [each for each in self.root.iterdir() if each.is_dir() and each != own]
        others.sort(key=lambda each: each.stat().st_mtime)
        taken = sum(map(_held, others))
        for other in others:
            if taken + wanted <= self.on_disk or _is_recent(other):
                break
            taken -= _held(other)
            shutil.rmtree(other, ignore_errors=True)
        free = shutil.disk_usage(self.root).free + held
        if taken + wanted > self.on_disk or free < wanted:
            raise DataError(
                f"{source.name}: the images take {_size(wanted)} decoded. In {self.root} other "
                f"sets that were used within the hour hold {_size(taken)} of {_size(self.on_disk)}"
                f" (data.on_disk), and the disk has {_size(free)} left. Make room with 'paretune "
                f"clean', raise data.on_disk, or take a smaller image_size."
            )


IN_MEMORY = ImageStore(Path(), in_memory=float("inf"))
"""Keeps every set in memory."""


def store_of(config: DataConfig) -> ImageStore:
    """Return the store that a data config names.

    >>> store_of(DataConfig(name="digits", images_folder="/images")).root.as_posix()
    '/images'
    """
    given = config.images_folder or os.environ.get("PARETUNE_IMAGES")
    root = Path(given or "~/.cache/paretune/images").expanduser()
    return ImageStore(root, config.in_memory, config.on_disk)


def _in_memory(source: Source) -> tuple[Images, NDArray[np.int64]]:
    # Made at once: a list of them would take the memory twice.
    images = np.empty((source.count, *source.shape), dtype=np.uint8)
    numbers = np.zeros(source.count, dtype=np.int64)
    for index, (image, number) in enumerate(source.decode(0)):
        images[index], numbers[index] = image, number
    return images, numbers


def _undamaged(file: Path, source: Source) -> int:
    """Count the images at the beginning of a file that are as they were written."""
    try:
        stored = file.stat().st_size // source.image_bytes
    except FileNotFoundError:
        return 0
    records = read_records(file)
    count = min(stored, len(records), source.count)
    if not count:
        return 0
    images = MappedImages(file, source.shape, np.arange(count, dtype=np.int64))
    for index, image in enumerate(images):
        if digest(image) != records["digest"][index].tobytes():
            logger.warning(
                "Image %d in %s is damaged: %s is decoded again from there.",
                index,
                file,
                source.name,
            )
            return index
    return count


def _decode(file: Path, source: Source, first: int) -> None:
    """Write the images from the one with number `first` on."""
    with (
        _cut_to(file, first * source.image_bytes) as pixels,
        _cut_to(records_beside(file), first * len(record_bytes(bytes(16), 0))) as records,
    ):
        unwritten, index = 0, first
        for image, number in _told(source, first):
            plain = np.ascontiguousarray(image)
            if plain.shape != source.shape:
                raise DataError(
                    f"{source.name}: image {index} has the shape {plain.shape} (channels, height, "
                    f"width), and the first one has {source.shape}; they must be equal."
                )
            pixels.write(plain.data)
            records.write(record_bytes(digest(plain), number))
            unwritten, index = unwritten + plain.nbytes, index + 1
            if unwritten >= _FLUSH_BYTES:
                # Pixels first: a record without pixels is worth nothing.
                pixels.flush()
                records.flush()
                unwritten = 0
    if index != source.count:
        raise DataError(f"{source.name}: {source.count} images were expected, and {index} came.")


def _told(source: Source, first: int) -> Iterator[Decoded]:
    """Decode, with errors that say which image it was."""
    index = first
    try:
        for decoded in source.decode(first):
            yield decoded
            index += 1
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{source.name}: image {index} could not be read: {shown_error(error)}."
        ) from error


@contextmanager
def _cut_to(file: Path, size: int) -> Iterator[BinaryIO]:
    """Open a file to be continued after so many bytes."""
    file.touch()
    if file.stat().st_size > size:
        # Not cut where it is: another process may have it mapped, and would be killed.
        with replacing(file) as copy:
            shutil.copyfile(file, copy)
            os.truncate(copy, size)
    with file.open("ab") as stream:
        yield stream


def digest(image: Images) -> bytes:
    """Compute the digest of an image by which copies and damages are found.

    >>> len(digest(np.zeros((1, 2, 2), np.uint8)))
    16
    """
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def _held(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir() if each.is_file())


def _is_recent(folder: Path) -> bool:
    return time.time() - folder.stat().st_mtime < _RECENT_S


def _size(count: float) -> str:
    return f"{count / 1e9:.1f}GB"
