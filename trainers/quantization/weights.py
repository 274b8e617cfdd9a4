"""Quantization of weights to codes, by any quantizer and in any scope."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trainers.doors import is_part, part_name
from trainers.quantization.codebook import (
    Codebook,
    codebook_codes,
    entropy_codebook,
    kmeans_codebook,
)
from trainers.quantization.config import (
    FLOAT_BITS,
    QUANTIZERS,
    RATE_WEIGHT,
    SCOPES,
    group_count,
    is_scope,
)
from trainers.quantization.entries import with_integer_levels
from trainers.quantization.own import own_codebook
from trainers.quantization.quantized import Levels, QuantizedWeight, groups_of_channels
from trainers.quantization.steps import uniform_levels
from trainers.quantization.uniform import uniform_codes

_SMALLEST_STEP = torch.finfo(torch.float32).tiny

_Fit = Callable[[Tensor], Levels | Codebook]


def quantize_weight(  # noqa: PLR0913 - all that decides levels
    weight: Tensor,
    bits: int,
    *,
    scheme: str = "symmetric",
    scope: str = "channel",
    rate_weight: float = RATE_WEIGHT,
    step: Tensor | str = "absmax",
    codebook_bits: int = FLOAT_BITS,
) -> QuantizedWeight:
    """Quantize one weight.

    Args:
        weight: Floating point `(out, ...)`, at least two-dimensional: a convolution
            `(out, in, h, w)` or a linear layer `(out, in)`. Not modified.
        bits: 2 to 8. Symmetric weights have one level fewer than `2**bits`.
        scheme: A name of `trainers.quantization.config.QUANTIZERS`, or code of a user's own.
        scope: ``channel``, one step or codebook for each output channel; ``channels:N``, one for
            up to N neighboring ones; otherwise one for all.
        rate_weight: Only for ``entropy``: as `entropy_codebook` takes it.
        step: Only for ``symmetric`` and ``affine``: a name of
            `trainers.quantization.config.STEPS`; or, only for ``symmetric``, the steps themselves,
            one per group.
        codebook_bits: Only for quantizers that list levels: 32, or 8 for `with_integer_levels`.

    Raises:
        ValueError: A value is out of range or a word unknown; `weight` is a vector, or holds NaN
            or infinity; `step` is not one positive number per group.

    >>> weight = torch.tensor([[-1.0, 0.4], [0.0, 8.0]])
    >>> quantize_weight(weight, bits=4).codes.tolist()  # each row has a step of its own
    [[-7, 3], [0, 7]]
    >>> quantize_weight(weight, bits=4, scope="layer").codes.tolist()
    [[-1, 0], [0, 7]]
    """
    if not is_scope(scope):
        raise ValueError(f"scope is {scope!r}; known are {', '.join(SCOPES)} and channels:N.")
    fit = partial(
        _fitted,
        bits=bits,
        scheme=scheme,
        rate_weight=rate_weight,
        step=step if isinstance(step, str) else "absmax",
        codebook_bits=codebook_bits,
    )
    levels = _of_weight(weight, scope, fit)
    if not isinstance(step, str):
        levels = _with_steps(levels, step)
    return encode(weight, levels)


def shared_levels(
    weights: Sequence[Tensor],
    bits: int,
    scheme: str,
    *,
    rate_weight: float = RATE_WEIGHT,
    step: str = "absmax",
    codebook_bits: int = FLOAT_BITS,
) -> Levels | Codebook:
    """Find the levels that several weights share, as a single group, for `encode`.

    Raises:
        ValueError: As `quantize_weight`.

    >>> small, large = torch.tensor([[0.1, 0.2]]), torch.tensor([[7.0]])
    >>> shared_levels([small, large], 4, "symmetric").scale.tolist()
    [1.0]
    """
    groups = [weight_groups(weight, "global") for weight in weights]
    return _fitted(
        torch.cat(groups, dim=1),
        bits=bits,
        scheme=scheme,
        rate_weight=rate_weight,
        step=step,
        codebook_bits=codebook_bits,
    )


def encode(weight: Tensor, levels: Levels | Codebook) -> QuantizedWeight:
    """Replace each weight by the code of its level.

    Raises:
        ValueError: As `weight_groups`.

    >>> levels = shared_levels([torch.tensor([[7.0]])], 4, "symmetric")
    >>> encode(torch.tensor([[3.2, -9.0]]), levels).codes.tolist()  # -9 is cut to the range
    [[3, -7]]
    """
    plain = levels.levels if isinstance(levels, Codebook) else levels
    groups = weight_groups(weight, "layer" if plain.groups == 1 else "channel")
    if len(groups) != plain.groups:
        levels = _selected(levels, groups_of_channels(plain.groups, len(groups)))
    if isinstance(levels, Codebook):
        codes = codebook_codes(groups, levels)
    else:
        codes = uniform_codes(groups, levels)
    return QuantizedWeight(codes.reshape(weight.shape), plain)


def _of_weight(weight: Tensor, scope: str, fit: _Fit) -> Levels | Codebook:
    """Fit levels to each group of a weight."""
    channels = weight_groups(weight, "channel")
    groups = group_count(scope, len(channels))
    if groups in (1, len(channels)):
        return fit(weight_groups(weight, "channel" if groups == len(channels) else "layer"))
    sizes = groups_of_channels(groups, len(channels)).bincount().tolist()
    if len(set(sizes)) == 1:
        return fit(channels.reshape(groups, -1))
    return _joined([fit(part.reshape(1, -1)) for part in torch.split(channels, sizes)])


def _fitted(
    groups: Tensor, *, bits: int, scheme: str, rate_weight: float, step: str, codebook_bits: int
) -> Levels | Codebook:
    """Fit levels to these weights, one row per group."""
    if scheme in ("symmetric", "affine"):
        return uniform_levels(groups, bits, scheme, step)
    if scheme == "kmeans":
        codebook = kmeans_codebook(groups, bits)
    elif scheme == "entropy":
        codebook = entropy_codebook(groups, bits, rate_weight)
    elif is_part("quantizers", scheme):
        codebook = own_codebook(groups, bits, part_name("quantizers", scheme))
    else:
        raise ValueError(f"the quantizer is {scheme!r}; known are {', '.join(QUANTIZERS)}.")
    return codebook if codebook_bits == FLOAT_BITS else with_integer_levels(groups, codebook)


_OF_GROUPS = ("scale", "zero_point", "codebook", "entry_step")


def _joined(parts: Sequence[Levels | Codebook]) -> Levels | Codebook:
    """Put the groups of several levels, which are of one kind, one after the other."""
    plain = [part.levels if isinstance(part, Codebook) else part for part in parts]
    given = {name: [getattr(each, name) for each in plain] for name in _OF_GROUPS}
    found: dict[str, Any] = {
        name: torch.cat(each) for name, each in given.items() if each[0] is not None
    }
    levels = replace(plain[0], **found)
    thresholds = [part.thresholds for part in parts if isinstance(part, Codebook)]
    return Codebook(levels, torch.cat(thresholds)) if thresholds else levels


def _selected(levels: Levels | Codebook, groups: Tensor) -> Levels | Codebook:
    """Return the levels of these groups, as often as they are named."""
    if isinstance(levels, Codebook):
        return Codebook(levels.levels, levels.thresholds[groups])
    given = {name: getattr(levels, name) for name in _OF_GROUPS}
    found: dict[str, Any] = {
        name: each[groups] for name, each in given.items() if each is not None
    }
    return replace(levels, **found)


def weight_groups(weight: Tensor, scope: str) -> Tensor:
    """Return the weight as finite float32 `(G, n)`, one row per group, possibly a view.

    Raises:
        ValueError: It is a vector, or holds NaN or infinity.

    >>> kernel = torch.zeros(8, 3, 5, 5)
    >>> tuple(weight_groups(kernel, "channel").shape), tuple(weight_groups(kernel, "layer").shape)
    ((8, 75), (1, 600))
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


def _with_steps(levels: Levels | Codebook, step: Tensor) -> Levels:
    if isinstance(levels, Codebook) or levels.scheme != "symmetric" or levels.scale is None:
        raise ValueError("learned steps were given, and only symmetric weights have any.")
    steps = step.detach().to("cpu", torch.float32).reshape(-1)
    usable = (steps >= _SMALLEST_STEP) & torch.isfinite(steps)
    if steps.shape != levels.scale.shape or not usable.all():
        raise ValueError(
            f"{levels.scale.numel()} positive finite steps were needed, and {int(usable.sum())} "
            f"of {steps.numel()} given ones are."
        )
    return Levels(levels.bits, levels.scheme, scale=steps)
