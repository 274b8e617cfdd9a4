"""Codes of b bits as a stream of bytes without gaps, and back.

A code is stored in two's complement. Code i fills the bits `i*b` to `i*b + b - 1` of the stream;
bit k of the stream is bit `k % 8` (1 is the lowest) of byte `k // 8`. Bits after the last code
are zero.
"""

import numpy as np
from numpy.typing import NDArray

# Eight codes of b bits fill b bytes exactly, and fit one 64-bit word during packing.
_GROUP = 8
# A few MB of temporary arrays, however long the stream is.
_GROUPS_AT_ONCE = 1 << 18


def packed_bytes(count: int, bits: int) -> int:
    """Return the bytes of a stream of `count` codes: `ceil(count * bits / 8)`.

    >>> packed_bytes(3, 4)
    2
    """
    return -(-count * bits // 8)


def pack_codes(codes: NDArray[np.int8], bits: int) -> NDArray[np.uint8]:
    """Pack codes into a stream of bits.

    >>> pack_codes(np.array([1, -1, 2], np.int8), 4).tolist()
    [241, 2]

    Args:
        codes: int8 of any shape, read in C order; each in [-2**(bits-1), 2**(bits-1) - 1].
        bits: Bits per code, 2 to 8.

    Returns:
        uint8 `(packed_bytes(codes.size, bits),)`.

    Raises:
        ValueError: `bits` is out of range, or a code needs more bits than that.
    """
    _check_bits(bits)
    flat = np.ascontiguousarray(codes, dtype=np.int8).reshape(-1)
    lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if flat.size and not lowest <= flat.min() <= flat.max() <= highest:
        raise ValueError(
            f"codes lie in [{flat.min()}, {flat.max()}], and {bits} bits hold no more than "
            f"[{lowest}, {highest}]."
        )
    packed = np.empty(packed_bytes(flat.size, bits), np.uint8)
    for first in range(0, flat.size, _GROUP * _GROUPS_AT_ONCE):
        stream = _pack_groups(flat[first : first + _GROUP * _GROUPS_AT_ONCE], bits)
        start = first * bits // 8
        packed[start : start + stream.size] = stream[: packed.size - start]
    return packed


def unpack_codes(packed: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.int8]:
    """Unpack `count` codes from a stream of `pack_codes`; its exact inverse.

    >>> unpack_codes(np.array([241, 2], np.uint8), 4, 3).tolist()
    [1, -1, 2]

    Args:
        packed: uint8 `(packed_bytes(count, bits),)`.
        bits: Bits per code, 2 to 8.
        count: Number of codes, at least 0.

    Returns:
        int8 `(count,)`.

    Raises:
        ValueError: `bits` is out of range; or the stream has another length, or bits set after
            the last code, so that it was written for another number of codes or bits.
    """
    _check_bits(bits)
    if packed.shape != (packed_bytes(count, bits),):
        raise ValueError(
            f"{count} codes of {bits} bits are {packed_bytes(count, bits)} bytes; got an array of "
            f"shape {packed.shape}."
        )
    unused = 8 * packed.size - count * bits
    if unused and packed[-1] >> (8 - unused):
        raise ValueError(f"the last byte has bits set after the last of {count} codes.")
    codes = np.empty(count, np.int8)
    for first in range(0, count, _GROUP * _GROUPS_AT_ONCE):
        start = first * bits // 8
        some = _unpack_groups(packed[start : start + bits * _GROUPS_AT_ONCE], bits)
        codes[first : first + some.size] = some[: count - first]
    return codes


def _check_bits(bits: int) -> None:
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits}; packed codes have 2 to 8 bits.")


def _pack_groups(codes: NDArray[np.int8], bits: int) -> NDArray[np.uint8]:
    """Pack codes, padded with zeros to a whole number of groups."""
    groups = -(-codes.size // _GROUP)
    fields = np.zeros((groups, _GROUP), np.uint8)
    fields.reshape(-1)[: codes.size] = codes.view(np.uint8) & (2**bits - 1)
    words = np.zeros(groups, "<u8")
    for i in range(_GROUP):
        words |= fields[:, i].astype("<u8") << np.uint64(bits * i)
    return words.view(np.uint8).reshape(groups, 8)[:, :bits].reshape(-1)


def _unpack_groups(packed: NDArray[np.uint8], bits: int) -> NDArray[np.int8]:
    """Unpack bytes; codes beyond the last byte are zero."""
    groups = -(-packed.size // bits)
    padded = np.zeros(groups * bits, np.uint8)
    padded[: packed.size] = packed
    words = np.zeros((groups, 8), np.uint8)
    words[:, :bits] = padded.reshape(groups, bits)
    word = words.reshape(-1).view("<u8")
    fields = np.empty((groups, _GROUP), np.uint8)
    for i in range(_GROUP):
        fields[:, i] = (word >> np.uint64(bits * i)) & np.uint64(2**bits - 1)
    # A left shift and an arithmetic right shift extend the sign bit.
    codes: NDArray[np.int8] = (fields << (8 - bits)).view(np.int8).reshape(-1) >> (8 - bits)
    return codes
