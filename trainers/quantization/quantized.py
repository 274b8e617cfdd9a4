"""A weight as integer codes, and the only conversion back to floating point."""

from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.quantization.config import lists_levels


@dataclass(frozen=True, eq=False)
class Levels:
    """The value of each code of a weight.

    A *group* is a set of weights that share a step or a codebook. There are G groups: one for
    each output channel, or for neighboring ones (`groups_of_channels`), or a single one for a
    whole weight or for several weights.

    Attributes:
        bits: Bits that one code needs, 2 to 8.
        scheme: A name of `trainers.quantization.config.QUANTIZERS`.
        scale: float32 `(G,)`, weight units per code, above zero; None with a codebook.
        zero_point: int8 `(G,)`, the code of the weight 0; only for ``affine``, else None.
        codebook: float32 `(G, 2**bits)`, ascending: the value of the code c is in the column
            `c - lowest_code(bits)`; None without one.
        entry_step: float32 `(G,)`, above zero: each level of the codebook is an integer from -127
            to 127 times this, and stored as that; None where levels are floats.
        full_range: For ``symmetric`` alone: whether weights may have the lowest code too, so that
            there are `2**bits` levels.
    """

    bits: int
    scheme: str
    scale: Tensor | None = None
    zero_point: Tensor | None = None
    codebook: Tensor | None = None
    entry_step: Tensor | None = None
    full_range: bool = False

    def __post_init__(self) -> None:
        """Check that the fields needed to decode the scheme are set, and no others.

        Raises:
            ValueError: They are not.
        """
        by_codebook = lists_levels(self.scheme)
        given = (self.scale is None, self.zero_point is None, self.codebook is None)
        is_odd = self.entry_step is not None and not by_codebook
        if is_odd or given != (by_codebook, self.scheme != "affine", not by_codebook):
            raise ValueError(f"weights quantized by {self.scheme!r} lack what decodes them.")

    @property
    def first_code(self) -> int:
        """The lowest code that a weight may have."""
        is_short = self.scheme == "symmetric" and not self.full_range
        return lowest_code(self.bits) + is_short

    @property
    def groups(self) -> int:
        """The number of groups, G."""
        return len(next(t for t in (self.scale, self.codebook) if t is not None))

    @property
    def entries(self) -> Tensor | None:
        """The levels of the codebook in units of `entry_step`: int8 `(G, 2**bits)`, if so."""
        if self.codebook is None or self.entry_step is None:
            return None
        return (self.codebook / self.entry_step.unsqueeze(1)).round().to(torch.int8)


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """A weight as integer codes, with the levels that give their values.

    Attributes:
        codes: int8, in the shape of the weight `(out, ...)`, in
            `[lowest_code(bits), top_code(bits)]`.
        levels: Levels of at most `out` groups.
    """

    codes: Tensor
    levels: Levels

    @property
    def bits(self) -> int:
        """Bits that one code needs, 2 to 8."""
        return self.levels.bits

    @property
    def scheme(self) -> str:
        """A name of `trainers.quantization.config.QUANTIZERS`."""
        return self.levels.scheme

    @property
    def scale(self) -> Tensor | None:
        """float32 `(out, 1, ...)` or `(1, 1, ...)`, weight units per code, if it has any."""
        return self._beside_codes(self.levels.scale)

    @property
    def zero_point(self) -> Tensor | None:
        """int8 in the shape of `scale`, the code of the weight 0; only for ``affine``."""
        return self._beside_codes(self.levels.zero_point)

    @property
    def codebook(self) -> Tensor | None:
        """float32 `(G, 2**bits)`; None without one."""
        return self.levels.codebook

    def _beside_codes(self, of_groups: Tensor | None) -> Tensor | None:
        if of_groups is None:
            return None
        if len(of_groups) > 1:
            of_groups = of_groups[groups_of_channels(len(of_groups), len(self.codes))]
        return of_groups.reshape(-1, *[1] * (self.codes.ndim - 1))


def groups_of_channels(groups: int, channels: int) -> Tensor:
    """Return the number of the group of each output channel: int64 `(channels,)`.

    Groups are of neighboring channels, and their sizes differ by at most one.

    >>> groups_of_channels(2, 5).tolist(), groups_of_channels(1, 3).tolist()
    ([0, 0, 0, 1, 1], [0, 0, 0])
    """
    return torch.arange(channels) * groups // max(1, channels)


def top_code(bits: int) -> int:
    """Return the largest code, `2**(bits - 1) - 1`.

    >>> top_code(4)
    7

    Raises:
        ValueError: `bits` is outside 2 to 8.
    """
    if isinstance(bits, bool) or not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits}; a code is stored as int8 and has 2 to 8 bits.")
    return (1 << (bits - 1)) - 1


def lowest_code(bits: int) -> int:
    """Return the smallest code of this many bits, `-2**(bits - 1)`.

    >>> lowest_code(4)
    -8
    """
    return -top_code(bits) - 1


def dequantize(quantized: QuantizedWeight) -> Tensor:
    """Decode a quantized weight to float32, in the weight's shape.

    Symmetric `codes * scale`, affine `(codes - zero_point) * scale`, otherwise the entry of the
    codebook. Every network that is measured takes its weights from here, also one loaded from a
    packed file, so that the evaluated weights equal the stored ones, bit for bit.

    >>> from trainers.quantization.weights import quantize_weight
    >>> dequantize(quantize_weight(torch.tensor([[-1.0, 0.4, 0.0]]), bits=2)).tolist()
    [[-1.0, 0.0, 0.0]]
    """
    scale, zero_point = quantized.scale, quantized.zero_point
    if scale is None:
        return _looked_up(quantized)
    values = quantized.codes.to(torch.float32)
    if zero_point is not None:
        # Both are small integers, so that the difference is exact.
        values -= zero_point.to(torch.float32)
    return values.mul_(scale)


def _looked_up(quantized: QuantizedWeight) -> Tensor:
    codebook, codes = quantized.codebook, quantized.codes
    values = torch.zeros(codes.shape, dtype=torch.float32)
    if codebook is None or codes.numel() == 0:
        return values
    lowest = lowest_code(quantized.bits)
    rows, columns = values.view(len(codes), -1), codes.reshape(len(codes), -1)
    groups = groups_of_channels(len(codebook), len(codes)).tolist()
    # Channel by channel, because the indices take four bytes per weight.
    for row, column, group in zip(rows, columns, groups, strict=True):
        torch.index_select(codebook[group], 0, column.to(torch.int32) - lowest, out=row)
    return values
