"""Evenly spaced levels: symmetric about zero, or between the smallest and the largest weight."""

import torch
from torch import Tensor

from trainers.quantization.quantized import Levels, lowest_code, top_code

_SMALLEST_STEP = torch.finfo(torch.float32).tiny


def symmetric_levels(values: Tensor, bits: int) -> Levels:
    """Compute `2**bits - 1` levels symmetric about zero for each row of `values`.

    The step of a group is `max|w| / top_code(bits)`, so that its largest weight does not change,
    zero stays exactly zero, and no weight moves by more than half a step (up to float32
    rounding). One of the `2**bits` codes is unused: 8 bits give 255 levels, 4 bits 15, and 2 bits
    only the three levels -1, 0 and 1. A group that is zero, or so small that its step would be
    subnormal in float32, becomes zero with step 1.

    Args:
        values: float32 `(G, n)`, finite; one row per group.
        bits: 2 to 8.

    References:
        R. Krishnamoorthi. Quantizing deep convolutional networks for efficient inference:
        a whitepaper. 2018, section 2. https://arxiv.org/abs/1806.08342

    >>> symmetric_levels(torch.tensor([[-1.0, 0.5], [0.0, 0.0]]), bits=2).scale.tolist()
    [1.0, 1.0]
    """
    return Levels(bits, "symmetric", scale=_usable(_largest(values.abs()) / top_code(bits)))


def affine_levels(values: Tensor, bits: int) -> Levels:
    """Compute `2**bits` levels from the smallest to the largest weight of each row.

    The range always includes zero, and its code, the zero point, is an integer: zero stays
    exactly zero, and the range is shifted for that by at most half a step. No weight moves by
    more than half a step either (up to float32 rounding).

    Args:
        values: float32 `(G, n)`, finite; one row per group.
        bits: 2 to 8.

    References:
        B. Jacob et al. Quantization and training of neural networks for efficient
        integer-arithmetic-only inference. CVPR 2018, section 2.1 and equation 14.
        https://arxiv.org/abs/1712.05877

    >>> levels = affine_levels(torch.tensor([[0.0, 3.0]]), bits=2)
    >>> levels.scale.tolist(), levels.zero_point.tolist()
    ([1.0], [-2])
    """
    steps = top_code(bits) - lowest_code(bits)
    lowest, highest = _largest(-values).neg_(), _largest(values)
    # Divided one by one, because the width of the range may be infinite in float32.
    scale = _usable(highest / steps - lowest / steps)
    zero_point = (lowest_code(bits) - lowest / scale).round_()
    zero_point = zero_point.clamp_(lowest_code(bits), top_code(bits))
    return Levels(bits, "affine", scale=scale, zero_point=zero_point.to(torch.int8))


def uniform_codes(values: Tensor, levels: Levels) -> Tensor:
    """Return the code of the nearest level for each weight: int8 `(G, n)`.

    `round(w * (1 / scale))`, not `round(w / scale)`: torch.fake_quantize_per_channel_affine
    multiplies by the reciprocal, which may round a tie the other way, and the file has to hold,
    bit for bit, the weights that a network was trained with.

    Args:
        values: float32 `(G, n)`, finite; not modified.
        levels: Levels of G groups.

    Raises:
        ValueError: The levels are not evenly spaced.

    >>> weights = torch.tensor([[-1.0, 0.4, 0.0, 0.6]])
    >>> uniform_codes(weights, symmetric_levels(weights, bits=2)).tolist()
    [[-1, 0, 0, 1]]
    """
    if levels.scale is None:
        raise ValueError(f"levels of {levels.scheme!r} are not evenly spaced.")
    top = top_code(levels.bits)
    codes = values * (1 / levels.scale).unsqueeze(1)
    codes.round_()
    if levels.zero_point is not None:
        codes += levels.zero_point.to(torch.float32).unsqueeze(1)
    return codes.clamp_(levels.first_code, top).to(torch.int8)


def _largest(values: Tensor) -> Tensor:
    """Return the largest value of each row, at least 0: `(G,)`."""
    if values.numel() == 0:
        # `amax` raises on an empty group.
        return values.new_zeros(len(values))
    return values.amax(dim=1).clamp_(min=0)


def _usable(scale: Tensor) -> Tensor:
    """Replace steps that are zero or subnormal by 1."""
    return torch.where(scale >= _SMALLEST_STEP, scale, torch.ones_like(scale))
