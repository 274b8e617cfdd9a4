"""How a pruned tensor is stored: densely, or as its kept values and their places.

The places are a bitmap (a bit for each weight, as `numpy.packbits` writes them), or the gaps
between kept weights: the number of pruned weights before each one, in `gap_bits` bits, as
`trainers.quantization.packing` packs them. The largest number means that as many are pruned and
the gap goes on.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.quantization.packing import pack_codes, packed_bytes, unpack_codes

Kept = NDArray[np.bool_]

_GAP_BITS = range(2, 9)
# About what the header holds more for a sparse tensor.
_DESCRIPTION_BYTES = 150


@dataclass(frozen=True, slots=True)
class Places:
    """How the places of the kept values of a tensor are stored.

    Attributes:
        count: Values of the tensor, kept or not.
        kept: How many are kept.
        gap_bits: Bits of a gap, 2 to 8; 0 for a bitmap.
        gaps: Number of stored gaps; 0 for a bitmap.
    """

    count: int
    kept: int
    gap_bits: int = 0
    gaps: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of the stored places."""
        return packed_bytes(self.gaps, self.gap_bits) if self.gap_bits else -(-self.count // 8)

    def as_mapping(self) -> dict[str, Any]:
        """Return the places' entry in the header, without what the shape says."""
        entry = {"kept": self.kept}
        return entry | {"gap_bits": self.gap_bits, "gaps": self.gaps} if self.gap_bits else entry


def places_from(entry: dict[str, Any], count: int) -> Places:
    """Build places from their entry in a header, and the number of values of the tensor.

    Raises:
        ValueError: They cannot be places of so many values.

    >>> places_from({"kept": 2}, 8)
    Places(count=8, kept=2, gap_bits=0, gaps=0)
    """
    given = [entry["kept"], entry.get("gap_bits", 0), entry.get("gaps", 0)]
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in given)
    places = Places(count, *given)
    bits_are_known = places.gap_bits == 0 or places.gap_bits in _GAP_BITS
    # A gap holds a place or skips three values at least.
    if not (whole and 0 <= places.kept <= count and bits_are_known and 0 <= places.gaps <= count):
        raise ValueError(f"{entry!r} cannot be the places of {count} values")
    return places


def smallest_places(kept: Kept, value_bits: int) -> Places | None:
    """Choose how a tensor takes the fewest bytes; None if that is densely.

    >>> smallest_places(np.ones(8, np.bool_), 4) is None
    True

    Args:
        kept: Which values are kept, flat.
        value_bits: Bits of a stored value.
    """
    count, number = kept.size, int(kept.sum())
    pruned_before = np.diff(np.flatnonzero(kept), prepend=-1) - 1
    choices = [Places(count, number)]
    for bits in _GAP_BITS:
        gaps = number + int((pruned_before // (2**bits - 1)).sum())
        choices.append(Places(count, number, bits, gaps))
    best = min(choices, key=lambda places: places.bytes)
    sparse = best.bytes + packed_bytes(number, value_bits) + _DESCRIPTION_BYTES
    return best if sparse < packed_bytes(count, value_bits) else None


def stored_places(kept: Kept, places: Places) -> NDArray[np.uint8]:
    """Return the bytes of the places of kept values.

    >>> stored_places(np.array([True, False, False, True]), Places(4, 2)).tolist()  # 0b10010000
    [144]
    """
    if not places.gap_bits:
        return np.packbits(kept)
    return pack_codes(
        _signed(gap_stream(kept, 2**places.gap_bits - 1), places.gap_bits), places.gap_bits
    )


def read_places(stored: NDArray[np.uint8], places: Places) -> Kept:
    """Invert `stored_places`.

    Raises:
        ValueError: The bytes are not those of so many places.

    >>> kept, places = np.array([True, False, False, True]), Places(4, 2)
    >>> read_places(stored_places(kept, places), places).tolist()
    [True, False, False, True]
    """
    if places.gap_bits:
        codes = unpack_codes(stored, places.gap_bits, places.gaps)
        skip = 2**places.gap_bits - 1
        kept = from_gap_stream(codes.view(np.uint8) & np.uint8(skip), skip, places.count)
    else:
        kept = np.unpackbits(stored, count=places.count).astype(np.bool_)
    if int(kept.sum()) != places.kept:
        raise ValueError(f"{int(kept.sum())} places are stored, and {places.kept} values are kept")
    return kept


def _signed(numbers: NDArray[np.uint8], bits: int) -> NDArray[np.int8]:
    """Return the codes with the same lowest bits, in two's complement."""
    codes: NDArray[np.int8] = (numbers << (8 - bits)).view(np.int8) >> (8 - bits)
    return codes


def gap_stream(kept: Kept, skip: int) -> NDArray[np.uint8]:
    """Return the gaps before kept values; `skip` means that many and more to come.

    >>> gap_stream(np.array([False, True, True, False, False, False, True]), 3).tolist()
    [1, 0, 3, 0]
    """
    gaps = np.diff(np.flatnonzero(kept), prepend=-1) - 1
    ends = np.cumsum(gaps // skip + 1) - 1
    stream = np.full(int(ends[-1]) + 1 if ends.size else 0, skip, np.uint8)
    stream[ends] = gaps % skip
    return stream


def from_gap_stream(stream: NDArray[np.uint8], skip: int, count: int) -> Kept:
    """Invert `gap_stream` for `count` values.

    Raises:
        ValueError: A gap leads beyond the last value.

    >>> from_gap_stream(np.array([1, 0, 3, 0], np.uint8), 3, 7).tolist()
    [False, True, True, False, False, False, True]
    """
    ends = np.flatnonzero(stream < skip)
    found = np.cumsum(stream, dtype=np.int64)[ends] + np.arange(ends.size)
    if found.size and found[-1] >= count:
        raise ValueError(f"a stored gap leads beyond the last of {count} values")
    kept = np.zeros(count, np.bool_)
    kept[found] = True
    return kept
