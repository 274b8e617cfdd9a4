"""Lossless codings of one tensor of a packed network, of which the smallest is taken.

The entropy coder is zstandard's. Weights hold no repetitions worth searching, so that its first
level codes them best, but it has to be given the right bytes: whole codes where there are many of
them, several codes in a byte where there are few, and where most codes are the same one, which
they are and then the others.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import zstandard
from numpy.typing import NDArray

from trainers.quantization.packing import pack_codes, packed_bytes, unpack_codes

_LEVEL = 1
# The most frequent code, and the length of the frame that says where the others are.
_SPARSE = struct.Struct("<bI")
_SKIP = 255


@dataclass(frozen=True, slots=True)
class Piece:
    """One tensor of a packed network, as far as its bytes are concerned.

    Attributes:
        name: As in the container.
        bytes: Of its data there.
        dtype: As in the container.
        bits: Bits of a code; 0 where the data are no codes.
        count: Number of codes.
    """

    name: str
    bytes: int
    dtype: str
    bits: int = 0
    count: int = 0


def smallest_coding(piece: Piece, data: bytes) -> tuple[str, bytes]:
    """Name of the coding that makes the data smallest, and the coded data.

    Raises:
        ValueError: The data are not the codes that the piece says.
    """
    return min(_codings(piece, data), key=lambda coded: len(coded[1]))


def decoded(piece: Piece, coding: str, coded: bytes) -> bytes:
    """The data again; no more memory is taken for them than a few times their size.

    Raises:
        ValueError: The coding is unknown, or what is coded is not as long as the piece.
        zstandard.ZstdError: The coded data are damaged.
    """
    if coding not in _DECODERS:
        raise ValueError(f"{piece.name} has the unknown coding {coding!r}")
    data = _DECODERS[coding](piece, coded)
    if len(data) != piece.bytes:
        raise ValueError(f"{piece.name} has {len(data)} bytes in the place of {piece.bytes}")
    return data


def compressed(data: bytes, *, level: int = _LEVEL) -> bytes:
    """One frame of zstandard; its size stands elsewhere."""
    return zstandard.ZstdCompressor(level=level, write_content_size=False).compress(data)


def decompressed(frame: bytes, most: int) -> bytes:
    """The content of one frame.

    Args:
        frame: What `compressed` gave.
        most: Bytes above which the content is refused, before it takes any memory.

    Raises:
        ValueError: The frame claims a size of its own, which `compressed` never does.
        zstandard.ZstdError: The frame is damaged, or holds more.
    """
    # `max_output_size` does not hold for a frame that says its size itself.
    if zstandard.frame_content_size(frame) > most:
        raise ValueError(f"a frame claims to hold more than {most} bytes")
    return zstandard.ZstdDecompressor().decompress(frame, max_output_size=most)


def _codings(piece: Piece, data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "plain", data
    yield "zstd", compressed(data)
    if piece.dtype == "F32":
        yield "zstd_planes", compressed(_planes(data, 4))
    if not piece.bits:
        return
    codes = unpack_codes(np.frombuffer(data, np.uint8), piece.bits, piece.count)
    yield "zstd_codes", compressed(codes.tobytes())
    counts = np.bincount(codes.view(np.uint8), minlength=1)
    if 2 * counts.max() > piece.count:
        often = int(np.uint8(counts.argmax()).view(np.int8))
        rare = codes != often
        others = compressed(pack_codes(codes[rare], piece.bits).tobytes())
        for name, places in (("bitmap", np.packbits(rare)), ("positions", _gaps(rare))):
            where = compressed(places.tobytes())
            yield name, _SPARSE.pack(often, len(where)) + where + others


def _planes(data: bytes, parts: int) -> bytes:
    """The first bytes of all numbers, then the second ones, and so on: exponents come together."""
    return np.frombuffer(data, np.uint8).reshape(-1, parts).T.tobytes()


def _gaps(rare: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Codes between one rare code and the next, a byte each; 255 stands for as many and more."""
    gaps = np.diff(np.flatnonzero(rare), prepend=-1) - 1
    ends = np.cumsum(gaps // _SKIP + 1) - 1
    stream = np.full(int(ends[-1]) + 1 if ends.size else 0, _SKIP, np.uint8)
    stream[ends] = gaps % _SKIP
    return stream


def _from_gaps(stream: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    """What `_gaps` was given."""
    ends = np.flatnonzero(stream < _SKIP)
    places = np.cumsum(stream, dtype=np.int64)[ends] + np.arange(ends.size)
    rare = np.zeros(count, np.bool_)
    # An index out of range is refused by NumPy itself.
    rare[places] = True
    return rare


def _from_bitmap(stream: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    return np.unpackbits(stream, count=count).astype(np.bool_)


def _from_sparse(
    piece: Piece, coded: bytes, places: Callable[[NDArray[np.uint8], int], NDArray[np.bool_]]
) -> bytes:
    often, length = _SPARSE.unpack_from(coded)
    where = coded[_SPARSE.size : _SPARSE.size + length]
    # As many as codes, and what skips 255 of them.
    stream = decompressed(where, piece.count + piece.count // _SKIP + 1)
    rare = places(np.frombuffer(stream, np.uint8), piece.count)
    number = int(rare.sum())
    others = decompressed(coded[_SPARSE.size + length :], packed_bytes(number, piece.bits) or 1)
    codes = np.full(piece.count, often, np.int8)
    codes[rare] = unpack_codes(np.frombuffer(others, np.uint8), piece.bits, number)
    return pack_codes(codes, piece.bits).tobytes()


def _from_codes(piece: Piece, coded: bytes) -> bytes:
    codes = np.frombuffer(decompressed(coded, piece.count), np.int8)
    return pack_codes(codes, piece.bits).tobytes()


def _from_planes(piece: Piece, coded: bytes) -> bytes:
    data = decompressed(coded, piece.bytes)
    return _planes(data, len(data) // 4) if data else data


_DECODERS: dict[str, Callable[[Piece, bytes], bytes]] = {
    "plain": lambda _, coded: coded,
    "zstd": lambda piece, coded: decompressed(coded, piece.bytes),
    "zstd_planes": _from_planes,
    "zstd_codes": _from_codes,
    "bitmap": lambda piece, coded: _from_sparse(piece, coded, _from_bitmap),
    "positions": lambda piece, coded: _from_sparse(piece, coded, _from_gaps),
}
