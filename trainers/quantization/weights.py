"""Weights to codes, by any quantizer and in any scope."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.quantization.config import SCOPES
from trainers.quantization.quantized import Levels, QuantizedWeight
from trainers.quantization.uniform import affine_levels, symmetric_levels, uniform_codes

_FITS = {"symmetric": symmetric_levels, "affine": affine_levels}
_SMALLEST_STEP = torch.finfo(torch.float32).tiny


def quantize_weight(
    weight: Tensor,
    bits: int,
    *,
    scheme: str = "symmetric",
    scope: str = "channel",
    step: Tensor | None = None,
) -> QuantizedWeight:
    """Quantize one weight.

    Args:
        weight: Floating point `(out, ...)`, at least two-dimensional: a convolution
            `(out, in, h, w)` or a linear layer `(out, in)`. Left as it is.
        bits: 2 to 8. Symmetric weights have one level less than `2**bits`.
        scheme: A name of `trainers.quantization.config.QUANTIZERS`.
        scope: ``channel``, one step or codebook for each output channel; otherwise one for all.
        step: For ``symmetric`` alone: the steps, one a group, in the place of those that follow
            from the weight.

    Raises:
        ValueError: A value is out of range or a word unknown; `weight` is a vector, or holds NaN
            or infinity; `step` is not one positive number a group.
    """
    if scope not in SCOPES:
        raise ValueError(f"scope is {scope!r}; known are {', '.join(SCOPES)}.")
    groups = weight_groups(weight, scope)
    levels = fit_levels(groups, bits, scheme)
    if step is not None:
        levels = _with_steps(levels, step)
    return encode(weight, levels)


def shared_levels(weights: Sequence[Tensor], bits: int, scheme: str) -> Levels:
    """The levels that several weights share: of a single group.

    Raises:
        ValueError: As `quantize_weight`.
    """
    groups = [weight_groups(weight, "global") for weight in weights]
    return fit_levels(torch.cat(groups, dim=1), bits, scheme)


def fit_levels(groups: Tensor, bits: int, scheme: str) -> Levels:
    """The levels that suit these weights.

    Args:
        groups: float32 `(G, n)`, finite; one row a group.
        bits: 2 to 8.
        scheme: A name of `trainers.quantization.config.QUANTIZERS`.

    Raises:
        ValueError: `bits` is out of range or `scheme` unknown.
    """
    if scheme not in _FITS:
        raise ValueError(f"the quantizer is {scheme!r}; known are {', '.join(_FITS)}.")
    return _FITS[scheme](groups, bits)


def encode(weight: Tensor, levels: Levels) -> QuantizedWeight:
    """Replace each weight by the code of its level.

    Raises:
        ValueError: As `weight_groups`; or there is neither one group nor one for each channel.
    """
    one = levels.groups == 1
    codes = uniform_codes(weight_groups(weight, "layer" if one else "channel"), levels)
    return QuantizedWeight(codes.reshape(weight.shape), levels)


def weight_groups(weight: Tensor, scope: str) -> Tensor:
    """The weight as finite float32 `(G, n)`, a row for each group, which may share its memory.

    Raises:
        ValueError: It is a vector, or holds NaN or infinity.
    """
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
    rows = weight.shape[0] if scope == "channel" else 1
    return values.reshape(rows, values.numel() // rows if rows else 0)


def _with_steps(levels: Levels, step: Tensor) -> Levels:
    steps = step.detach().to("cpu", torch.float32).reshape(-1)
    if levels.scheme != "symmetric" or levels.scale is None:
        raise ValueError(f"a learned step is of symmetric weights, and these are {levels.scheme}.")
    usable = (steps >= _SMALLEST_STEP) & torch.isfinite(steps)
    if steps.shape != levels.scale.shape or not usable.all():
        raise ValueError(
            f"{levels.scale.numel()} positive finite steps were needed, and {int(usable.sum())} "
            f"of {steps.numel()} given ones are."
        )
    return Levels(levels.bits, levels.scheme, scale=steps)
