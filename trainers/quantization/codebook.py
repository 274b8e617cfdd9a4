"""Levels that are listed, not spaced evenly: of least squared error, or of a low rate as well.

Weights of a group lie on a line, so that a cell of Lloyd's algorithm is an interval. With the
weights sorted once and summed up, a round costs no more than a binary search a level, and all
groups take it together: 100 million weights in one group are a matter of seconds.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainers.quantization.quantized import Levels, lowest_code
from trainers.quantization.uniform import affine_levels, symmetric_levels

# A limit; most groups of some thousand weights stand still after 20 to 60 rounds.
_ROUNDS = 100
# Sorted values and their sums take twelve bytes a weight; a single group may be larger.
_VALUES_AT_ONCE = 1 << 24


@dataclass(frozen=True, eq=False)
class Codebook:
    """Levels, and which weights get which.

    Attributes:
        levels: `codebook` of shape `(G, K)`, `K = 2**bits`.
        thresholds: float32 `(G, K - 1)`, ascending: a weight gets the level in the column of as
            many thresholds as it reaches.
    """

    levels: Levels
    thresholds: Tensor


def kmeans_codebook(values: Tensor, bits: int) -> Codebook:
    """The `2**bits` levels of least squared error that Lloyd's algorithm finds for each row.

    It starts halfway between evenly spaced levels and quantiles; where the symmetric or the
    affine levels of as many bits are better than what it finds, it starts again from them. No
    round increases the error, so that it is never above that of those two quantizers (up to
    float32 rounding). A weight of exactly zero stays zero: where there is one, the level zero
    does not move.

    Args:
        values: float32 `(G, n)`, finite; one row a group.
        bits: 2 to 8.

    References:
        S. P. Lloyd. Least squares quantization in PCM. IEEE Transactions on Information Theory
        28(2), 1982, method I. https://doi.org/10.1109/TIT.1982.1056489
    """
    return _codebook(values, bits, "kmeans", rate_weight=0.0)


def entropy_codebook(values: Tensor, bits: int, rate_weight: float) -> Codebook:
    """At most `2**bits` levels for each row that trade squared error for entropy of the codes.

    Minimizes `mean((w - level)**2) + lambda * mean(-log2(p))`, where p is the share of the
    weights that have the same code, beginning at the result of `kmeans_codebook`; lambda is
    `rate_weight * variance / 4**bits`. The error of any good quantizer of b bits falls as
    `variance / 4**b`, so that one `rate_weight` means about the same at all bit-widths. Levels
    that are not worth their rate are dropped; the rest of the codebook repeats the largest.

    Args:
        values: float32 `(G, n)`, finite; one row a group.
        bits: 2 to 8.
        rate_weight: At least 0; 0 gives the levels of `kmeans_codebook`.

    References:
        P. A. Chou, T. Lookabaugh, R. M. Gray. Entropy-constrained vector quantization. IEEE
        Transactions on Acoustics, Speech, and Signal Processing 37(1), 1989, section III.
        https://doi.org/10.1109/29.17498
    """
    return _codebook(values, bits, "entropy", rate_weight=rate_weight)


def codebook_codes(values: Tensor, codebook: Codebook) -> Tensor:
    """The code of each weight: int8 `(G, n)`."""
    columns = torch.searchsorted(codebook.thresholds, values, right=True, out_int32=True)
    return columns.add_(lowest_code(codebook.levels.bits)).to(torch.int8)


def _codebook(values: Tensor, bits: int, scheme: str, *, rate_weight: float) -> Codebook:
    rows = max(1, _VALUES_AT_ONCE // max(1, values.shape[1]))
    parts = [_fitted(part, bits, rate_weight) for part in torch.split(values, rows)]
    levels, thresholds = (torch.cat(each) for each in zip(*parts, strict=True))
    return Codebook(Levels(bits, scheme, codebook=levels), thresholds)


def _fitted(values: Tensor, bits: int, rate_weight: float) -> tuple[Tensor, Tensor]:
    """Levels and thresholds of some groups."""
    if values.shape[1] == 0:
        levels = values.new_zeros((len(values), 1 << bits))
        return levels, torch.full_like(levels[:, 1:], torch.inf)
    groups = _Groups(values)
    even, shifted, between = _starts(groups, values, bits)
    tried = torch.stack([_lloyd(groups, between, None)[0], even, shifted])
    errors = torch.stack([_error(groups, levels) for levels in tried])
    levels, _ = _lloyd(groups, tried[errors.argmin(dim=0), torch.arange(len(values))], None)
    rates, penalty = torch.zeros_like(levels), None
    if rate_weight > 0:
        penalty = rate_weight * groups.variance() / levels.shape[1] ** 2
        levels, rates = _lloyd(groups, levels, penalty)
    # What no weight is given repeats the largest level: a file holds finite numbers.
    largest = torch.where(levels.isinf(), -torch.inf, levels).amax(dim=1, keepdim=True)
    stored = torch.where(levels.isinf(), largest.nan_to_num(neginf=0), levels)
    return stored.to(torch.float32), _thresholds(levels, rates, penalty)


class _Groups:
    """Weights in the form in which the sum over an interval is two look-ups.

    Attributes:
        ordered: float32 `(G, n)`, ascending.
        sums: float64 `(G, n)`: of all weights up to this one.
        has_zero: bool `(G, 1)`: whether a weight is exactly zero.
    """

    def __init__(self, values: Tensor) -> None:
        # NumPy's sort gives no indices, which would take another eight bytes a weight.
        self.ordered = torch.from_numpy(np.sort(values.numpy(), axis=1))
        self.sums = torch.cumsum(self.ordered, 1, dtype=torch.float64)
        self.has_zero = (values == 0).any(dim=1, keepdim=True)

    def variance(self) -> Tensor:
        """Of each group: float64 `(G, 1)`."""
        count = self.ordered.shape[1]
        norm = torch.linalg.vector_norm(self.ordered, dim=1, keepdim=True, dtype=torch.float64)
        mean: Tensor = self.sums[:, -1:] / count
        return torch.clamp(norm.square() / count - mean.square(), min=0)

    def cells(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """Number and sum of the weights between the thresholds `(G, K - 1)`: `(G, K)` each."""
        inner = torch.searchsorted(self.ordered, thresholds)
        ends = inner.new_tensor([0, self.ordered.shape[1]]).expand(len(inner), 2)
        edges = torch.cat([ends[:, :1], inner, ends[:, 1:]], dim=1)
        below = torch.where(edges > 0, self.sums.gather(1, (edges - 1).clamp_(min=0)), 0.0)
        return edges.diff(dim=1), below.diff(dim=1)


def _starts(groups: _Groups, values: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """Symmetric and affine levels, and some in between: float64 `(G, 2**bits)`, ascending.

    Each row has a level that is exactly zero.
    """
    codes = torch.arange(1 << bits, dtype=torch.float64) + lowest_code(bits)
    symmetric, affine = symmetric_levels(values, bits), affine_levels(values, bits)
    even = codes * _column(symmetric.scale)
    shifted = (codes - _column(affine.zero_point)) * _column(affine.scale)
    ranks = (torch.arange(1 << bits) + 0.5) / (1 << bits) * values.shape[1]
    quantiles = groups.ordered[:, ranks.to(torch.int64)]
    # Dense where weights are, and yet some levels for the tails, which weigh most in the error.
    between = (shifted + quantiles) / 2
    between.scatter_(1, between.abs().argmin(dim=1, keepdim=True), 0.0)
    return even, shifted, between


def _column(of_groups: Tensor | None) -> Tensor:
    assert of_groups is not None  # noqa: S101 - evenly spaced levels have it
    return of_groups.to(torch.float64).unsqueeze(1)


def _lloyd(groups: _Groups, levels: Tensor, penalty: Tensor | None) -> tuple[Tensor, Tensor]:
    """Levels after Lloyd's rounds and the bits of their codes, float64 `(G, K)`.

    Levels that no weight is given are infinite and come last. The penalty of a bit, float64
    `(G, 1)`, is None where rates do not count.
    """
    rates, before = torch.zeros_like(levels), None
    for _ in range(_ROUNDS):
        counts, sums = groups.cells(_thresholds(levels, rates, penalty))
        if before is not None and torch.equal(counts, before):
            break
        before = counts
        stay = groups.has_zero & (levels == 0)
        means = torch.where(stay, 0.0, sums / counts)
        levels, order = torch.where(counts > 0, means, torch.inf).sort(dim=1)
        if penalty is not None:
            shares = counts.gather(1, order) / groups.ordered.shape[1]
            rates = torch.where(shares > 0, -shares.log2(), 0.0)
            levels, rates = _worth_their_rate(levels, rates, penalty)
    return levels, rates


def _thresholds(levels: Tensor, rates: Tensor, penalty: Tensor | None) -> Tensor:
    """Where two neighbors cost the same: float32 `(G, K - 1)`; infinite before an infinite one."""
    lower, upper = levels[:, :-1], levels[:, 1:]
    middle = (lower + upper) / 2
    if penalty is not None:
        middle = middle + penalty * rates.diff(dim=1) / (2 * (upper - lower))
    return torch.where(upper.isinf(), torch.inf, middle).to(torch.float32)


def _worth_their_rate(levels: Tensor, rates: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """Drop the levels beside which one of the two neighbors costs less at every weight.

    `(w - c)**2 + penalty * rate` less `w**2` is linear in w: a line that does not reach below
    its neighbors where they cross is nowhere the lowest of all lines.
    """
    while True:
        thresholds = _thresholds(levels, rates, penalty)
        bad = torch.zeros_like(levels, dtype=torch.bool)
        bad[:, 1:-1] = (thresholds[:, :-1] >= thresholds[:, 1:]) & levels[:, 1:-1].isfinite()
        if not bad.any():
            return levels, rates
        levels, order = torch.where(bad, torch.inf, levels).sort(dim=1)
        rates = rates.gather(1, order)


def _error(groups: _Groups, levels: Tensor) -> Tensor:
    """Squared error of each group, less the sum of its squared weights: `(G,)`."""
    counts, sums = groups.cells(_thresholds(levels, torch.zeros_like(levels), None))
    finite = levels.nan_to_num(posinf=0)
    return (finite.square() * counts - 2 * finite * sums).sum(dim=1)
