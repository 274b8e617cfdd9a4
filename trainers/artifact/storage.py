"""The packed network in its smallest lossless form: the size of a download.

It is made from the artifact alone, which can be restored byte for byte. The file is

    MAGIC, 8 bytes; the sha256 of the artifact, 32 bytes; the length of what follows, 4 bytes;
    an index, compressed; the tensors in the artifact's order, each coded as the index says.

The index is one line of JSON, `[[CODING, BYTES], ...]` with an entry for each tensor, and then the
artifact's own header. `trainers.artifact.codings` defines the codings. Sizes may differ by some
bytes between versions of zstandard; the restored artifact does not.
"""

import hashlib
import io
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import zstandard

from trainers.artifact import compact
from trainers.artifact.codings import Piece, compressed, decoded, decompressed, smallest_coding
from trainers.artifact.packed_layout import CODES, KEY
from trainers.errors import ArtifactError
from trainers.files.whole_file import whole_file
from trainers.quantization.packing import packed_bytes

MAGIC = b"PARETUNE"
# The magic, the sha256 of the artifact, and the length of the compressed index.
_START = struct.Struct("<8s32sI")
_INDEX_LEVEL = 19
# An artifact's header grows with the names of its classes; a megabyte would be unusual.
_LARGEST_INDEX = 1 << 26
# Exceptions raised by broken headers, frames and codes.
_REFUSALS = (
    *(zstandard.ZstdError, struct.error, ValueError, TypeError, LookupError),
    *(AttributeError, OverflowError, RecursionError),
)


@dataclass(frozen=True)
class StorageInfo:
    """A compressed artifact.

    Attributes:
        bytes: Size of the file.
        codings: Coding of each tensor, by its name in the artifact.
    """

    bytes: int
    codings: Mapping[str, str]


def compress_artifact(path: Path, to: Path) -> StorageInfo:
    """Write a packed network in its smallest lossless form, choosing a coding for each tensor.

    Args:
        path: The artifact.
        to: The file to write, in a folder that exists. An existing file is replaced.

    Raises:
        ArtifactError: There is no artifact at `path`.
        OSError: The disk is full or the folder cannot be written; what was there stays.

    >>> compress_artifact(Path("absent"), Path("small"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.errors.ArtifactError: absent cannot be read as a packed network: ...
    """
    try:
        content = path.read_bytes()
        header = content[: 8 + int.from_bytes(content[:8], "little")]
        pieces = _pieces(header)
        if len(header) + sum(piece.bytes for piece in pieces) != len(content):
            raise ValueError("it is truncated or too long")
        coded, first = [], len(header)
        for piece in pieces:
            coded.append(smallest_coding(piece, content[first : first + piece.bytes]))
            first += piece.bytes
    except (OSError, *_REFUSALS) as error:
        raise ArtifactError(f"{path} cannot be read as a packed network: {error}.") from error
    index = json.dumps([[name, len(data)] for name, data in coded], separators=(",", ":"))
    frame = compressed(index.encode() + b"\n" + header, level=_INDEX_LEVEL)
    with whole_file(to) as file:
        file.write(_START.pack(MAGIC, hashlib.sha256(content).digest(), len(frame)))
        file.write(frame)
        for _, data in coded:
            file.write(data)
    codings = {piece.name: name for piece, (name, _) in zip(pieces, coded, strict=True)}
    size = _START.size + len(frame) + sum(len(data) for _, data in coded)
    return StorageInfo(size, codings)


def decompress_artifact(path: Path, to: Path, *, most_bytes: int = 1 << 32) -> None:
    """Restore the artifact that `compress_artifact` was given, byte for byte.

    Args:
        path: The compressed file.
        to: The file to write, in a folder that exists. An existing file is replaced.
        most_bytes: Size above which the artifact is refused before any of it is restored.

    Raises:
        ArtifactError: There is no such file, it is damaged, or the artifact would be too large.
        OSError: The disk is full or the folder cannot be written; what was there stays.

    >>> decompress_artifact(Path("absent"), Path("model"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.errors.ArtifactError: absent cannot be read as a compressed network: ...
    """
    try:
        source = io.BytesIO(path.read_bytes())
    except OSError as error:
        _refuse(path, error)
    try:
        with whole_file(to) as file:
            _restore(source, file, most_bytes)
    except _REFUSALS as error:
        _refuse(path, error)


def read_storage(path: Path) -> StorageInfo:
    """Read the size and the codings of a compressed artifact, without its tensors.

    Raises:
        ArtifactError: There is no such file, or it is not a compressed artifact.

    >>> read_storage(Path("absent"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.errors.ArtifactError: absent cannot be read as a compressed network: ...
    """
    try:
        with path.open("rb") as source:
            _, _, pieces, coded = _opened(source)
    except (OSError, *_REFUSALS) as error:
        _refuse(path, error)
    codings = {piece.name: name for piece, (name, _) in zip(pieces, coded, strict=True)}
    return StorageInfo(path.stat().st_size, codings)


def _refuse(path: Path, error: Exception) -> NoReturn:
    raise ArtifactError(
        f"{path} cannot be read as a compressed network: {str(error).rstrip('.')}. Export the "
        f"trial again."
    ) from error


def _restore(source: BinaryIO, file: BinaryIO, most_bytes: int) -> None:
    wanted, header, pieces, coded = _opened(source)
    size = len(header) + sum(piece.bytes for piece in pieces)
    if size > most_bytes:
        raise ValueError(f"it restores {size:,} bytes, and no more than {most_bytes:,} are wanted")
    digest = hashlib.sha256(header)
    file.write(header)
    for piece, (coding, length) in zip(pieces, coded, strict=True):
        data = decoded(piece, coding, source.read(length))
        digest.update(data)
        file.write(data)
    if source.read(1):
        raise ValueError("it is too long")
    if digest.digest() != wanted:
        raise ValueError("what it holds is not what was written")


def _opened(
    source: BinaryIO,
) -> tuple[bytes, bytes, list[Piece], list[tuple[str, int]]]:
    """Read the artifact's sha256, header and tensors, and the coding and coded size of each."""
    magic, digest, length = _START.unpack(source.read(_START.size))
    if magic != MAGIC:
        raise ValueError("it is a file of another program")
    index, _, header = decompressed(source.read(length), _LARGEST_INDEX).partition(b"\n")
    pieces = _pieces(header)
    coded = [(str(name), _size(size)) for name, size in json.loads(index)]
    if len(coded) != len(pieces):
        raise ValueError(f"it has {len(coded)} tensors in the place of {len(pieces)}")
    return digest, header, pieces, coded


def _pieces(header: bytes) -> list[Piece]:
    """List the tensors of an artifact with this header, in the order of their data."""
    entries = json.loads(header[8:])
    facts = json.loads(entries.pop("__metadata__")[KEY])
    if facts["version"] == compact.VERSION:
        (size,) = (entry["data_offsets"][1] for entry in entries.values())
        facts, entries = compact.written_out(facts)
        if size != max((entry["data_offsets"][1] for entry in entries.values()), default=0):
            raise ValueError("its tensors have another size than its header says")
    pieces, first = [], 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        size = _size(end) - first
        if begin != first or size < 0 or (entry["dtype"] == "F32" and size % 4):
            raise ValueError(f"the data of {name} have no place")
        quantized = facts["tensors"].get(name.removesuffix(CODES))
        if quantized is None or not name.endswith(CODES):
            pieces.append(Piece(name, size, str(entry["dtype"])))
        else:
            sparse = facts.get("sparse", {}).get(name.removesuffix(CODES))
            count = math.prod(quantized["shape"]) if sparse is None else sparse["kept"]
            bits, count = _size(quantized["bits"]), _size(count)
            if not 2 <= bits <= 8 or packed_bytes(count, bits) != size:
                raise ValueError(f"{name} has {size} bytes for {count} codes of {bits} bits")
            pieces.append(Piece(name, size, "U8", bits, count))
        first = end
    return pieces


def _size(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} stands in the place of a number of bytes or codes")
    return value
