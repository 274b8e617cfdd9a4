"""Ranges of evenly spaced levels: by the largest weight, errors, a percentile or a histogram.

With few bits a range that holds every weight is too wide for most of them: a few large weights
that are clipped cost less than a coarse step does.
"""

import torch
from torch import Tensor

from trainers.quantization.config import STEPS
from trainers.quantization.histogram import Histogram
from trainers.quantization.quantized import Levels, lowest_code, top_code
from trainers.quantization.uniform import affine_levels, symmetric_levels, uniform_codes

PERCENTILE = 99.0
"""Share of the weights other than zero, in percent, that the range of ``percentile`` holds."""

POWER = 3.0
"""The power of an error in ``lp``."""

BINS_A_LEVEL = 16
"""Bins of the histograms of ``kl`` for each of `2**bits` levels: 2048 for 128, as in the paper."""

# Ranges that are tried, as shares of that of the largest weight. At 2 bits the best range of a
# normal distribution has its end at about a third of the largest of some hundred weights.
_SHARES = torch.linspace(0.15, 1.0, 35)
# Rounds of least squares after the best share is found. Most groups converge in fewer.
_ROUNDS = 10
# The range, the codes and the errors of a weight take some forty bytes.
_VALUES_AT_ONCE = 1 << 22


def uniform_levels(values: Tensor, bits: int, scheme: str, step: str) -> Levels:
    """Place evenly spaced levels for each row of `values`.

    ``absmax`` gives `symmetric_levels` and `affine_levels`. The others use all `2**bits` codes of
    ``symmetric`` too. ``mse`` searches for the step, and for the code of zero of ``affine``, of
    least squared error: it tries 35 ranges, and improves the best one by least squares for as long
    as that helps; its error is never above that of ``absmax``. ``percentile`` clips the 1 % of the
    weights that are farthest from zero; with ``affine``, half a percent at either end. It does not
    count zeros, of which a pruned layer may have any number. ``lp`` is ``mse`` with the sum of
    abs(error)^3 in the place of the squared error, so that it clips less; Nahshan et al. 2019
    (https://arxiv.org/abs/1911.07190) choose steps by Lp norms too. The power was chosen on one
    network, ResNet-20; see docs/guides/quantize.md.

    ``kl`` takes, of the same 35 ranges, the one that loses least of the histogram of the weights
    by the Kullback-Leibler divergence (`Histogram.divergence`; Migacz 2017). The histograms have
    16 bins for each level.

    Zero stays exactly zero with each of them.

    >>> row = torch.tensor([[-0.3, -0.1, 0.0, 0.1, 0.2, 4.0]])
    >>> wide, narrow = (uniform_levels(row, 4, "symmetric", s).scale for s in ("absmax", "mse"))
    >>> bool((narrow <= wide).all())
    True

    Args:
        values: float32 `(G, n)`, finite; one row per group.
        bits: 2 to 8.
        scheme: ``symmetric`` or ``affine``.
        step: A name of `trainers.quantization.config.STEPS`.

    Raises:
        ValueError: A word is unknown.
    """
    if step not in STEPS:
        raise ValueError(f"step is {step!r}; known are {', '.join(STEPS)}.")
    place = symmetric_levels if scheme == "symmetric" else affine_levels
    if step == "absmax" or values.numel() == 0:
        return place(values, bits)
    if step == "percentile":
        levels = place(torch.stack([_clipped(row, scheme) for row in values]), bits)
        return Levels(
            bits, scheme, levels.scale, levels.zero_point, full_range=scheme == "symmetric"
        )
    rows = max(1, _VALUES_AT_ONCE // max(values.shape[1], BINS_A_LEVEL << bits))
    power = POWER if step == "lp" else 2.0
    parts = [
        _least_divergence(part, bits, scheme)
        if step == "kl"
        else _least_error(part, bits, scheme, power)
        for part in torch.split(values, rows)
    ]
    scale = torch.cat([scale for scale, _ in parts])
    if scheme == "symmetric":
        return Levels(bits, scheme, scale, full_range=True)
    return Levels(bits, scheme, scale, torch.cat([zero for _, zero in parts]).to(torch.int8))


def _clipped(row: Tensor, scheme: str) -> Tensor:
    """Return the values of a group `(n,)`, clipped to the range of the percentile."""
    kept = row[row != 0]
    count = len(kept)
    if not count:
        return row
    if scheme == "symmetric":
        rank = max(1, round(PERCENTILE / 100 * count))
        largest = kept.abs().kthvalue(rank).values
        return row.clamp(-largest, largest)
    outside = round((1 - PERCENTILE / 100) / 2 * count)
    lowest = kept.kthvalue(outside + 1).values
    highest = kept.kthvalue(count - outside).values
    return row.clamp(lowest, highest).masked_fill(row == 0, 0.0)


def _least_error(values: Tensor, bits: int, scheme: str, power: float) -> tuple[Tensor, Tensor]:
    """Search for the step and the code of zero: float32 `(G,)` each."""
    largest, zero = _plain(values, bits, scheme)
    # The step and zero of `absmax` are among those that are tried.
    best = largest, zero, _error(values, _levels(bits, scheme, largest, zero), power)
    for share in _SHARES:
        for shift in (0,) if scheme == "symmetric" else (-1, 0, 1):
            moved = (zero + shift).clamp(lowest_code(bits), top_code(bits))
            best = _better(values, bits, scheme, best, (largest * share, moved), power)
    for _ in range(_ROUNDS):
        before = best[2].clone()
        fitted = _fitted(values, bits, scheme, best[:2])
        best = _better(values, bits, scheme, best, fitted, power)
        if torch.equal(best[2], before):
            break
    return best[:2]


def _least_divergence(values: Tensor, bits: int, scheme: str) -> tuple[Tensor, Tensor]:
    """Search for the step, and return it with the code of zero: float32 `(G,)` each."""
    largest, zero = _plain(values, bits, scheme)
    histogram = Histogram(values, BINS_A_LEVEL << bits)
    best = largest, histogram.divergence(_levels(bits, scheme, largest, zero))
    # From the widest range to the narrowest, so that of equal ones nothing is clipped.
    for share in _SHARES.flip(0)[1:]:
        scale = largest * share
        scale = torch.where(scale >= torch.finfo(torch.float32).tiny, scale, best[0])
        found = histogram.divergence(_levels(bits, scheme, scale, zero))
        is_better = found < best[1]
        best = torch.where(is_better, scale, best[0]), torch.where(is_better, found, best[1])
    return best[0], zero


def _plain(values: Tensor, bits: int, scheme: str) -> tuple[Tensor, Tensor]:
    """Return the step of ``absmax`` and the code of zero: float32 `(G,)` each."""
    levels = (symmetric_levels if scheme == "symmetric" else affine_levels)(values, bits)
    assert levels.scale is not None  # noqa: S101 - evenly spaced levels have it
    if levels.zero_point is None:
        return levels.scale, torch.zeros_like(levels.scale)
    return levels.scale, levels.zero_point.to(torch.float32)


def _better(
    values: Tensor,
    bits: int,
    scheme: str,
    best: tuple[Tensor, Tensor, Tensor],
    tried: tuple[Tensor, Tensor],
    power: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the better step, code of zero and error of each group."""
    usable = tried[0] >= torch.finfo(torch.float32).tiny
    scale = torch.where(usable, tried[0], best[0])
    error = _error(values, _levels(bits, scheme, scale, tried[1]), power)
    is_better = error < best[2]
    new = (scale, tried[1], error)
    scale, zero, error = (torch.where(is_better, a, b) for a, b in zip(new, best, strict=True))
    return scale, zero, error


def _levels(bits: int, scheme: str, scale: Tensor, zero: Tensor) -> Levels:
    if scheme == "symmetric":
        return Levels(bits, scheme, scale, full_range=True)
    return Levels(bits, scheme, scale, zero.to(torch.int8))


def _error(values: Tensor, levels: Levels, power: float) -> Tensor:
    """Compute the sum of errors to a power, of each group: float32 `(G,)`."""
    assert levels.scale is not None  # noqa: S101 - evenly spaced levels have it
    codes = uniform_codes(values, levels).to(torch.float32)
    if levels.zero_point is not None:
        codes -= levels.zero_point.to(torch.float32).unsqueeze(1)
    errors = codes.mul_(levels.scale.unsqueeze(1)).sub_(values)
    powers = errors.square_() if power == 2 else errors.abs_().pow_(power)
    return powers.sum(dim=1)


def _fitted(
    values: Tensor, bits: int, scheme: str, found: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Fit the step to the codes of the present step by least squares."""
    scale, zero = found
    steps = uniform_codes(values, _levels(bits, scheme, scale, zero)).to(torch.float32)
    steps -= zero.unsqueeze(1)
    power = steps.square().sum(dim=1)
    fitted = (steps * values).sum(dim=1) / power
    return torch.where(power > 0, fitted, scale), zero
