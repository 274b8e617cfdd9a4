"""Images in a file, mapped into memory: read where they are indexed, shared by all processes."""

import hashlib
import mmap
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from trainers.data.image_data import Images
from trainers.errors import DataError
from trainers.files.whole_file import whole_file

# The kernel keeps pages of the file as long as it has memory; a process lets go of its own view
# of them after so many bytes, so that it is not charged with the whole file.
_LET_GO_BYTES = 16 * 2**20
_BLOCK_BYTES = 16 * 2**20
_RECORD = np.dtype([("digest", "u1", (16,)), ("number", "<i8")])

Which = int | slice | NDArray[Any] | list[int]


class MappedImages:
    """Stands in for an array of uint8 images (N, C, H, W) that lie in a file.

    Indexing by a number, a slice, numbers or a mask returns a copy, as an array. What has no
    index, such as arithmetic, needs ``numpy.asarray``, which reads all of them.
    It is pickled as the path and the numbers of its images.

    Args:
        file: The pixels, one image after another.
        shape: (C, H, W) of an image.
        numbers: Which images of the file these are, in order.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self, file: Path, shape: tuple[int, int, int], numbers: NDArray[np.int64]
    ) -> None:
        self.file, self._numbers = file, numbers
        self._pages: _Pages | None = None
        self.shape = (len(numbers), *shape)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, which: Which) -> Images:
        if self._pages is None:
            self._pages = _pages(self.file, self.shape[1:])
        pages = self._pages
        if isinstance(which, int | np.integer):
            image: Images = pages.read(self._numbers[which][None])[0]
            return image
        return pages.read(self._numbers[which])

    def __iter__(self) -> Iterator[Images]:
        return (image for block in self.blocks() for image in block)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("images in a file can only be copied into an array.")
        whole: NDArray[Any] = self[:].astype(dtype or self.dtype, copy=False)
        return whole

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedImages, (self.file, self.shape[1:], self._numbers)

    @property
    def size(self) -> int:
        """The number of pixels' values."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Size of the images on the disk."""
        return self.size

    @property
    def is_here(self) -> bool:
        """Whether this machine has the file."""
        return self.file.is_file()

    def blocks(self) -> Iterator[Images]:
        """Yield the images in order, some at a time."""
        step = max(1, _BLOCK_BYTES // int(np.prod(self.shape[1:])))
        return (self[first : first + step] for first in range(0, len(self), step))

    def taken(self, which: NDArray[Any]) -> "MappedImages":
        """Return some of the images without reading them.

        Args:
            which: Numbers, or a mask.
        """
        return MappedImages(self.file, self.shape[1:], self._numbers[which])

    def laid_out(self) -> Images:
        """Return the images as a read-only map of a file of their own, written if it is not there.

        Raises:
            OSError: It cannot be written.
        """
        name = hashlib.sha256(self._numbers.tobytes()).hexdigest()[:16]
        file = self.file.with_name(f"subset-{name}.u8")
        if not file.is_file():
            with whole_file(file) as stream:
                for block in self.blocks():
                    stream.write(np.ascontiguousarray(block).data)
        return np.memmap(file, np.uint8, mode="r", shape=self.shape)

    def records(self) -> NDArray[Any]:
        """Return what was stored with each image: the bytes of its digest, and a number."""
        every = np.fromfile(records_beside(self.file), dtype=_RECORD)
        return cast(NDArray[Any], every[self._numbers])


def mapped_of(images: object) -> MappedImages | None:
    """Return images as what they are if they lie in a file, else None.

    >>> mapped_of(np.zeros((1, 1, 2, 2), np.uint8)) is None
    True
    """
    return images if isinstance(images, MappedImages) else None


def as_images(mapped: MappedImages) -> Images:
    """Let images in a file pass where an array of images is expected.

    They can be used alike as long as they are indexed before anything else.

    >>> nothing = MappedImages(Path("images.u8"), (1, 2, 2), np.arange(0))
    >>> as_images(nothing).shape
    (0, 1, 2, 2)
    """
    return cast(Images, mapped)


def as_array(images: Images) -> Images:
    """Return images as an array, for code that does more than index them.

    Of images in a file it is a map of another file, which has them in their order and is written
    once, so that nothing is read into memory before it is used.

    >>> as_array(np.zeros((1, 1, 2, 2), np.uint8)).shape
    (1, 1, 2, 2)
    """
    mapped = mapped_of(images)
    return images if mapped is None else mapped.laid_out()


def taken(images: Images, which: NDArray[Any]) -> Images:
    """Take some images: a copy of an array, a view of images in a file.

    >>> taken(np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2), np.array([1])).ravel().tolist()
    [4, 5, 6, 7]

    Args:
        images: uint8 (N, C, H, W).
        which: Numbers, or a mask.
    """
    mapped = mapped_of(images)
    return images[which] if mapped is None else as_images(mapped.taken(which))


def records_beside(file: Path) -> Path:
    """Return the path of the records of an image file.

    >>> records_beside(Path("a/images.u8")).name
    'images.records'
    """
    return file.with_suffix(".records")


def read_records(file: Path) -> NDArray[Any]:
    """Read the whole records beside an image file; a last one that is cut off is left out.

    >>> len(read_records(Path("/no/such/images.u8")))
    0
    """
    try:
        content = records_beside(file).read_bytes()
    except FileNotFoundError:
        content = b""
    return np.frombuffer(content[: len(content) // _RECORD.itemsize * _RECORD.itemsize], _RECORD)


def record_bytes(digest: bytes, number: int) -> bytes:
    """Encode the record of an image.

    >>> len(record_bytes(b"0123456789abcdef", 3))
    24
    """
    return np.array([(tuple(digest), number)], dtype=_RECORD).tobytes()


class _Pages:
    """A file of images, mapped read-only."""

    def __init__(self, file: Path, shape: tuple[int, int, int]) -> None:
        with file.open("rb") as stream:
            self._map = mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)
        count = len(self._map) // int(np.prod(shape))
        self._rows = np.frombuffer(self._map, np.uint8)[: count * int(np.prod(shape))]
        self._rows = self._rows.reshape(count, -1)
        self._shape = shape
        self._read_bytes = 0

    def read(self, numbers: NDArray[np.int64]) -> Images:
        found: Images = self._rows[numbers]
        self._read_bytes += found.nbytes
        if self._read_bytes >= _LET_GO_BYTES:
            self._read_bytes = 0
            _let_go(self._map)
        return found.reshape(len(numbers), *self._shape)


def _no_advice(_: mmap.mmap) -> None:
    """Do nothing, where the system takes no advice on mapped memory."""


def _advice() -> Callable[[mmap.mmap], None]:
    if hasattr(mmap, "MADV_DONTNEED"):
        return lambda pages: pages.madvise(mmap.MADV_DONTNEED)
    return _no_advice


_let_go = _advice()


@lru_cache(maxsize=8)
def _opened(file: Path, shape: tuple[int, int, int], inode: int, size: int) -> _Pages:
    del inode, size
    return _Pages(file, shape)


def _pages(file: Path, shape: tuple[int, int, int]) -> _Pages:
    """Map a file, unless this process has done so already."""
    try:
        facts = file.stat()
        return _opened(file, shape, facts.st_ino, facts.st_size)
    except (OSError, ValueError) as error:
        raise DataError(
            f"the images in {file} cannot be read: {error}. Run the sweep again, which decodes "
            f"them anew."
        ) from error
