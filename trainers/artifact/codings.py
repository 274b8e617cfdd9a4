"""Lossless codings of one tensor of a packed network; the smallest result is stored.

The entropy coder is zstandard's. Weights have no repetitions worth searching for, so that its
first level codes them best, but its input matters: one code per byte if there are many different
codes, several codes per byte if there are few, and, if most codes are equal, the positions of the
others followed by the others.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import zstandard
from numpy.typing import NDArray

from trainers.artifact.sparse import from_gap_stream, gap_stream
from trainers.quantization.packing import pack_codes, packed_bytes, unpack_codes

_LEVEL = 1
# The most frequent code, and the length of the frame with the positions of the others.
_SPARSE = struct.Struct("<bI")
_SKIP = 255


@dataclass(frozen=True, slots=True)
class Piece:
    """Name, type and size of the data of one tensor of a packed network.

    Attributes:
        name: As in the container.
        bytes: Size of its data there.
        dtype: As in the container.
        bits: Bits of a code; 0 if the data are not codes.
        count: Number of codes.
    """

    name: str
    bytes: int
    dtype: str
    bits: int = 0
    count: int = 0


def smallest_coding(piece: Piece, data: bytes) -> tuple[str, bytes]:
    """Return the name of the coding that makes the data smallest, and the coded data.

    Raises:
        ValueError: The data are not codes as the piece describes them.

    >>> smallest_coding(Piece("head.0.bias", 4000, "F32"), bytes(4000))[0]  # all are zero
    'zstd'
    """
    return min(_codings(piece, data), key=lambda coded: len(coded[1]))


def decoded(piece: Piece, coding: str, coded: bytes) -> bytes:
    """Decode data, in memory of at most a few times their size.

    Raises:
        ValueError: The coding is unknown, or the decoded data have another size than the piece.
        zstandard.ZstdError: The coded data are damaged.

    >>> piece = Piece("head.0.bias", 8, "F32")
    >>> decoded(piece, *smallest_coding(piece, b"weights!"))
    b'weights!'
    """
    if coding not in _DECODERS:
        raise ValueError(f"{piece.name} has the unknown coding {coding!r}")
    data = _DECODERS[coding](piece, coded)
    if len(data) != piece.bytes:
        raise ValueError(f"{piece.name} has {len(data)} bytes in the place of {piece.bytes}")
    return data


def compressed(data: bytes, *, level: int = _LEVEL) -> bytes:
    """Compress data into one zstandard frame, which does not record their size.

    >>> decompressed(compressed(b"weights"), 7)
    b'weights'
    """
    return zstandard.ZstdCompressor(level=level, write_content_size=False).compress(data)


def decompressed(frame: bytes, most: int) -> bytes:
    """Decompress one frame.

    Args:
        frame: A result of `compressed`.
        most: Largest size of the content in bytes; a larger one is rejected before memory is
            allocated.

    Raises:
        ValueError: The frame records a size above `most`; frames of `compressed` record none.
        zstandard.ZstdError: The frame is damaged, or holds more.

    >>> decompressed(compressed(b"weights"), most=100)
    b'weights'
    """
    # `max_output_size` is ignored for a frame that records its size.
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
        for name, places in (
            ("bitmap", np.packbits(rare)),
            ("positions", gap_stream(rare, _SKIP)),
        ):
            where = compressed(places.tobytes())
            yield name, _SPARSE.pack(often, len(where)) + where + others


def _planes(data: bytes, parts: int) -> bytes:
    """Return the first bytes of all numbers, then the second ones, ...: exponents are adjacent."""
    return np.frombuffer(data, np.uint8).reshape(-1, parts).T.tobytes()


def _from_gaps(stream: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    return from_gap_stream(stream, _SKIP, count)


def _from_bitmap(stream: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    return np.unpackbits(stream, count=count).astype(np.bool_)


def _from_sparse(
    piece: Piece, coded: bytes, places: Callable[[NDArray[np.uint8], int], NDArray[np.bool_]]
) -> bytes:
    often, length = _SPARSE.unpack_from(coded)
    where = coded[_SPARSE.size : _SPARSE.size + length]
    # At most one byte per code, and one for each skip of 255 codes.
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
