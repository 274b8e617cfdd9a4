"""Symmetric uniform quantization of a weight, one step size for each output channel."""

from dataclasses import dataclass

import torch
from torch import Tensor

_SMALLEST_STEP = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """A weight as integers and the step that each integer stands for.

    Attributes:
        codes: int8, in the shape of the weight, in [-top, top] with `top = top_code(bits)`.
        scale: float32 `(out, 1, ...)`: weight units per code, above zero.
        bits: Bits that one code needs, 2 to 8.
    """

    codes: Tensor
    scale: Tensor
    bits: int


def top_code(bits: int) -> int:
    """The largest code, `2**(bits - 1) - 1`; the smallest is its negative.

    A range symmetric about zero leaves one of the `2**bits` codes unused and keeps zero exact:
    8 bits give 255 levels, 4 bits 15, and 2 bits no more than the three levels -1, 0 and 1.

    Raises:
        ValueError: `bits` is outside 2 to 8.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits}; a code is stored as int8 and has 2 to 8 bits.")
    return (1 << (bits - 1)) - 1


def quantize_weight(weight: Tensor, bits: int) -> QuantizedWeight:
    """Round every output channel of a weight to `2**bits - 1` levels about zero.

    The step of a channel is `max|w| / top_code(bits)`, so that its largest weight keeps its
    place, zero stays exactly zero, and no weight moves by more than half a step (up to float32
    rounding). A channel that is zero, or so small that its step would be subnormal in float32,
    becomes zero with step 1.

    Args:
        weight: Floating point `(out, ...)`, at least two-dimensional: a convolution
            `(out, in, h, w)` or a linear layer `(out, in)`. Left as it is.
        bits: 2 to 8. With 2 bits a weight has three levels, not four.

    Raises:
        ValueError: `bits` is out of range; or `weight` is a vector, or holds NaN or infinity.

    References:
        R. Krishnamoorthi. Quantizing deep convolutional networks for efficient inference:
        a whitepaper. 2018, section 2. https://arxiv.org/abs/1806.08342
    """
    top = top_code(bits)
    values = _checked(weight)
    scale = _channel_maxima(values) / top
    scale = torch.where(scale >= _SMALLEST_STEP, scale, torch.ones_like(scale))
    codes = (values / scale).round_().clamp_(-top, top).to(torch.int8)
    return QuantizedWeight(codes, scale, bits)


def dequantize(quantized: QuantizedWeight) -> Tensor:
    """The weight that the codes stand for: `codes * scale`, float32, in the weight's shape.

    Every network that is measured takes its weights from here, also one that is loaded from a
    packed file: what was evaluated is what was stored, bit for bit.
    """
    return quantized.codes.to(torch.float32) * quantized.scale


def _checked(weight: Tensor) -> Tensor:
    """The weight as detached float32."""
    if weight.ndim < 2:
        raise ValueError(
            f"a weight to quantize has the shape (out, ...) with at least two dimensions; got "
            f"{tuple(weight.shape)}. Biases and normalization vectors stay in float32."
        )
    values = weight.detach().to(torch.float32)
    bad = values.numel() - int(torch.isfinite(values).sum())
    if bad:
        raise ValueError(
            f"{bad} of {values.numel()} weights are NaN or infinite, so training has probably "
            f"diverged; nothing was quantized."
        )
    return values


def _channel_maxima(values: Tensor) -> Tensor:
    """The largest magnitude of each output channel, `(out, 1, ...)`; 0 for an empty one."""
    if values.numel() == 0:
        # `amax` has no answer for an empty channel.
        return values.new_zeros((values.shape[0], *[1] * (values.ndim - 1)))
    return values.abs().amax(dim=tuple(range(1, values.ndim)), keepdim=True)
