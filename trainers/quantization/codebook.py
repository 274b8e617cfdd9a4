"""Listed levels, not evenly spaced ones: of least squared error, or traded against the rate.

The weights of a group are scalars, so that the levels of least squared error can be found
exactly, which is done if the number of levels times distinct weights is small. Otherwise Lloyd's
algorithm is used: a cell is an interval, so that, with sorted weights and their prefix sums, a
round costs one binary search per level, for all groups at once: 100 million weights in one group
take seconds.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from trainers.quantization.exact_kmeans import Points, optimal_levels
from trainers.quantization.quantized import Levels, lowest_code
from trainers.quantization.uniform import affine_levels, symmetric_levels

EXACT_UP_TO = 1 << 16
"""Bound of exact solutions, on levels times the number of distinct weights beyond the levels."""
# An upper limit; most groups of some thousand weights converge after 20 to 60 rounds.
_ROUNDS = 100
# Sorted values, their sums and the exact solution take some forty bytes per weight; a single group
# may be larger.
_VALUES_AT_ONCE = 1 << 22
# Number of intervals per level into which a large group is cut for the start.
_BINS_A_LEVEL = 16


@dataclass(frozen=True, eq=False)
class Codebook:
    """Levels, and the thresholds between them.

    Attributes:
        levels: `codebook` of shape `(G, K)`, `K = 2**bits`.
        thresholds: float32 `(G, K - 1)`, ascending: the column of the level of a weight is the
            number of thresholds that the weight reaches.
    """

    levels: Levels
    thresholds: Tensor


def kmeans_codebook(values: Tensor, bits: int) -> Codebook:
    """Find the `2**bits` levels of least squared error for each row.

    They are exact, up to float32 rounding, if the number of levels times that of the distinct
    weights in excess of the levels is at most `EXACT_UP_TO`, as in the channels of nearly every
    convolution. If there are no more distinct weights than levels, the weights are the levels,
    and no weight changes.

    For a larger group they are the result of Lloyd's algorithm. It starts from the exact levels
    of some hundred intervals of the weights; if the symmetric or the affine levels of as many
    bits are better than its result, it starts again from them. No round increases the error, so
    that it is never above that of those two quantizers (up to float32 rounding). A level without
    weights moves to the weight that is farthest from its own level.

    A weight of exactly zero stays zero: if there is one, one level is zero, and the error is
    least among all such levels.

    Args:
        values: float32 `(G, n)`, finite; one row per group.
        bits: 2 to 8.

    References:
        S. P. Lloyd. Least squares quantization in PCM. IEEE Transactions on Information Theory
        28(2), 1982, method I. https://doi.org/10.1109/TIT.1982.1056489

    >>> weights = torch.tensor([[-1.0, -0.75, 0.0, 1.0, 1.125]])
    >>> kmeans_codebook(weights, bits=2).levels.codebook.tolist()
    [[-1.0, -0.75, 0.0, 1.0625]]
    """
    return _codebook(values, bits, "kmeans", rate_weight=0.0)


def entropy_codebook(values: Tensor, bits: int, rate_weight: float) -> Codebook:
    """Find at most `2**bits` levels for each row that trade squared error for code entropy.

    Minimizes `mean((w - level)**2) + lambda * mean(-log2(p))`, where p is the share of the
    weights with the same code, starting from the result of `kmeans_codebook`; lambda is
    `rate_weight * variance / 4**bits`. The error of any good quantizer of b bits falls as
    `variance / 4**b`, so that one `rate_weight` means about the same at all bit-widths. Levels
    that are not worth their rate are dropped; the rest of the codebook repeats the largest.

    Args:
        values: float32 `(G, n)`, finite; one row per group.
        bits: 2 to 8.
        rate_weight: At least 0; 0 gives the levels of `kmeans_codebook`.

    References:
        P. A. Chou, T. Lookabaugh, R. M. Gray. Entropy-constrained vector quantization. IEEE
        Transactions on Acoustics, Speech, and Signal Processing 37(1), 1989, section III.
        https://doi.org/10.1109/29.17498

    >>> weights = torch.tensor([[-1.0, -0.75, 0.0, 1.0, 1.125]])
    >>> len(entropy_codebook(weights, 2, rate_weight=50.0).levels.codebook.unique())
    1
    """
    return _codebook(values, bits, "entropy", rate_weight=rate_weight)


def codebook_codes(values: Tensor, codebook: Codebook) -> Tensor:
    """Return the code of each weight: int8 `(G, n)`.

    >>> weights = torch.tensor([[0.0, 1.0, 2.0, 3.0, 3.0]])
    >>> codebook_codes(weights, kmeans_codebook(weights, bits=2)).tolist()
    [[-2, -1, 0, 1, 1]]
    """
    columns = torch.searchsorted(codebook.thresholds, values, right=True, out_int32=True)
    return columns.add_(lowest_code(codebook.levels.bits)).to(torch.int8)


def _codebook(values: Tensor, bits: int, scheme: str, *, rate_weight: float) -> Codebook:
    rows = max(1, _VALUES_AT_ONCE // max(1, values.shape[1]))
    parts = [_fitted(part, bits, rate_weight) for part in torch.split(values, rows)]
    levels, thresholds = (torch.cat(each) for each in zip(*parts, strict=True))
    return Codebook(Levels(bits, scheme, codebook=levels), thresholds)


def _fitted(values: Tensor, bits: int, rate_weight: float) -> tuple[Tensor, Tensor]:
    """Compute levels and thresholds of some groups."""
    if values.shape[1] == 0:
        levels = values.new_zeros((len(values), 1 << bits))
        return levels, torch.full_like(levels[:, 1:], torch.inf)
    groups = SortedGroups(values)
    levels = _least_error(groups, values, bits)
    rates, penalty = torch.zeros_like(levels), None
    if rate_weight > 0:
        penalty = rate_weight * groups.variance() / levels.shape[1] ** 2
        levels, rates = _lloyd(groups, levels, penalty)
    # Unused entries repeat the largest level, because a file must hold finite numbers.
    largest = torch.where(levels.isinf(), -torch.inf, levels).amax(dim=1, keepdim=True)
    stored = torch.where(levels.isinf(), largest.nan_to_num(neginf=0), levels)
    return stored.to(torch.float32), _thresholds(levels, rates, penalty)


class SortedGroups:
    """Sorted weights with prefix sums, so that the sum over an interval takes two look-ups.

    Attributes:
        ordered: float32 `(G, n)`, ascending.
        sums: float64 `(G, n)`, prefix sums of the weights.
        has_zero: bool `(G, 1)`, whether a weight is exactly zero.
    """

    def __init__(self, values: Tensor) -> None:
        # NumPy's sort gives no indices, which would take another eight bytes per weight.
        self.ordered = torch.from_numpy(np.sort(values.numpy(), axis=1))
        self.sums = torch.cumsum(self.ordered, 1, dtype=torch.float64)
        self.has_zero = (values == 0).any(dim=1, keepdim=True)

    def variance(self) -> Tensor:
        """Compute the variance of each group: float64 `(G, 1)`."""
        count = self.ordered.shape[1]
        norm = torch.linalg.vector_norm(self.ordered, dim=1, keepdim=True, dtype=torch.float64)
        mean: Tensor = self.sums[:, -1:] / count
        return torch.clamp(norm.square() / count - mean.square(), min=0)

    def cells(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """Count and sum the weights between thresholds `(G, K - 1)`: `(G, K)` each."""
        return self.between(self.ends(thresholds))

    def ends(self, thresholds: Tensor) -> Tensor:
        """Find the first index of each cell, and the end of the last: int64 `(G, K + 1)`."""
        inner = torch.searchsorted(self.ordered, thresholds)
        return functional.pad(functional.pad(inner, (1, 0)), (0, 1), value=self.ordered.shape[1])

    def farthest(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Find each group's weight farthest from its level, and the distance: `(G,)` each."""
        ends = self.ends(midpoints(levels))
        held = ends.diff(dim=1) > 0
        # In a cell it is the first weight or the last one.
        outermost = torch.cat([ends[:, :-1], ends[:, 1:] - 1], dim=1)
        outermost = outermost.clamp_(0, self.ordered.shape[1] - 1)
        weights = self.ordered.gather(1, outermost).double()
        away = torch.where(held.repeat(1, 2), (weights - levels.repeat(1, 2)).abs(), 0.0)
        distance, place = away.max(dim=1, keepdim=True)
        return weights.gather(1, place).squeeze(1), distance.squeeze(1)

    def between(self, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Count and sum the weights between ascending indices `(G, K + 1)`: `(G, K)` each."""
        below = torch.where(edges > 0, self.sums.gather(1, (edges - 1).clamp_(min=0)), 0.0)
        return edges.diff(dim=1), below.diff(dim=1)


def _least_error(groups: SortedGroups, values: Tensor, bits: int) -> Tensor:
    """Compute the levels of `kmeans_codebook`: float64 `(G, 2**bits)`, unused ones infinite."""
    count = 1 << bits
    different = (groups.ordered.diff(dim=1) != 0).sum(dim=1) + 1
    exact = (different - count) * count <= EXACT_UP_TO
    levels = values.new_empty((len(values), count), dtype=torch.float64)
    if exact.any():
        points = _points(groups.ordered[exact].numpy())
        levels[exact] = torch.from_numpy(optimal_levels(points, count))
    if not exact.all():
        large = values[~exact]
        levels[~exact] = _nearly_least_error(SortedGroups(large), large, bits)
    return levels


def _points(ordered: NDArray[np.float32]) -> Points:
    """Return the distinct numbers of each row with their counts."""
    is_first = np.ones(ordered.shape, bool)
    is_first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    begins = np.flatnonzero(is_first)
    counts = np.diff(begins, append=ordered.size)
    return Points(
        ordered.reshape(-1)[begins].astype(np.float64),
        counts.astype(np.float64),
        is_first.sum(axis=1),
    )


def _nearly_least_error(groups: SortedGroups, values: Tensor, bits: int) -> Tensor:
    """Run Lloyd's algorithm from the best of three starts."""
    even, shifted = _evenly_spaced(values, bits)
    start = _start(groups, bits)
    tried = torch.stack([_settled(groups, start), even, shifted])
    errors = torch.stack([_error(groups, levels) for levels in tried])
    return _settled(groups, tried[errors.argmin(dim=0), torch.arange(len(values))])


def _settled(groups: SortedGroups, levels: Tensor) -> Tensor:
    """Iterate Lloyd's rounds until no level is unused, if possible: float64 `(G, K)`."""
    for _ in range(levels.shape[1]):
        levels, _ = _lloyd(groups, levels, None)
        farthest, distance = groups.farthest(levels)
        lost = levels[:, -1].isinf() & (distance > 0)
        if not lost.any():
            break
        levels[lost, -1] = farthest[lost]
        levels = levels.sort(dim=1).values
    return levels


def _evenly_spaced(values: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return symmetric and affine levels: float64 `(G, 2**bits)`, ascending, each with a zero."""
    codes = torch.arange(1 << bits, dtype=torch.float64) + lowest_code(bits)
    symmetric, affine = symmetric_levels(values, bits), affine_levels(values, bits)
    shifted = (codes - _column(affine.zero_point)) * _column(affine.scale)
    return codes * _column(symmetric.scale), shifted


def _start(groups: SortedGroups, bits: int) -> Tensor:
    """Compute the start of Lloyd's algorithm: float64 `(G, 2**bits)`, ascending.

    It is the exact solution for intervals of the weights: half of them have equal width, half
    hold equally many weights. With too many levels for that, the density of the levels is
    proportional to the cube root of the density of the weights, which is optimal for many levels.

    References:
        P. F. Panter, W. Dite. Quantization distortion in pulse-count modulation with nonuniform
        spacing of levels. Proceedings of the IRE 39(1), 1951.
        https://doi.org/10.1109/JRPROC.1951.230419
    """
    levels, count = 1 << bits, groups.ordered.shape[1]
    bins = min(_BINS_A_LEVEL * levels, EXACT_UP_TO // levels)
    if bins < 4 * levels:
        return _by_density(groups.ordered, levels)
    lowest, highest = groups.ordered[:, :1].double(), groups.ordered[:, -1:].double()
    shares = torch.linspace(0, 1, bins // 2 + 1, dtype=torch.float64)[1:-1]
    wide = torch.searchsorted(groups.ordered, (lowest + shares * (highest - lowest)).float())
    equal = (shares * count).to(torch.int64).expand(len(wide), -1)
    zero = torch.zeros((len(wide), 1))
    places = [torch.searchsorted(groups.ordered, zero, right=right) for right in (False, True)]
    # Most weights of a pruned layer are zero, and no interval may divide these.
    equal = torch.where((equal > places[0]) & (equal < places[1]), places[1], equal)
    places += [wide, equal, torch.zeros_like(places[0]), torch.full_like(places[0], count)]
    counts, sums = groups.between(torch.cat(places, dim=1).sort(dim=1).values)
    held = counts > 0
    points = Points(
        (sums[held] / counts[held]).numpy(), counts[held].double().numpy(), held.sum(1).numpy()
    )
    return torch.from_numpy(optimal_levels(points, levels))


def _by_density(ordered: Tensor, levels: int) -> Tensor:
    """Place levels with the cube root of the density of the weights."""
    # Between neighboring ranks, equally far apart, the density is one over the distance.
    shares = torch.linspace(0, 1, 1 + min(_BINS_A_LEVEL * levels, ordered.shape[1] - 1))
    ranked = ordered[:, (shares * (ordered.shape[1] - 1)).long()].double()
    passed = ranked.diff(dim=1).pow(2 / 3).cumsum(dim=1)
    wanted = (torch.arange(levels, dtype=torch.float64) + 0.5) / levels * passed[:, -1:]
    place = torch.searchsorted(passed, wanted).clamp_(max=passed.shape[1] - 1)
    between = (ranked[:, :-1] + ranked[:, 1:]) / 2
    found = between.gather(1, place)
    return found.scatter_(1, found.abs().argmin(dim=1, keepdim=True), 0.0).sort(dim=1).values


def _column(of_groups: Tensor | None) -> Tensor:
    assert of_groups is not None  # noqa: S101 - evenly spaced levels have it
    return of_groups.to(torch.float64).unsqueeze(1)


def _lloyd(groups: SortedGroups, levels: Tensor, penalty: Tensor | None) -> tuple[Tensor, Tensor]:
    """Run Lloyd's rounds; return levels and the bits of their codes, float64 `(G, K)`.

    Unused levels are infinite and come last. The penalty of a bit is float64 `(G, 1)`, or None if
    rates do not count.
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


def midpoints(levels: Tensor) -> Tensor:
    """Return the thresholds with which each weight gets its nearest level: float32 `(G, K - 1)`.

    >>> midpoints(torch.tensor([[-1.0, 0.0, 4.0]])).tolist()
    [[-0.5, 2.0]]

    Args:
        levels: `(G, K)`, ascending; infinite ones get no weight.
    """
    return _thresholds(levels.double(), torch.zeros_like(levels), None)


def _thresholds(levels: Tensor, rates: Tensor, penalty: Tensor | None) -> Tensor:
    """Find where two neighbors cost the same: float32 `(G, K - 1)`; infinite for unused levels."""
    lower, upper = levels[:, :-1], levels[:, 1:]
    middle = (lower + upper) / 2
    if penalty is not None:
        middle = middle + penalty * rates.diff(dim=1) / (2 * (upper - lower))
    rounded = torch.where(upper.isinf(), torch.inf, middle).to(torch.float32)
    # Upwards, so that of two neighbors in float32 the lower one stays below.
    above = torch.nextafter(rounded, torch.full_like(rounded, torch.inf))
    return torch.where(rounded < middle, above, rounded)


def _worth_their_rate(levels: Tensor, rates: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """Drop each level for which, at every weight, one of its two neighbors costs less.

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


def _error(groups: SortedGroups, levels: Tensor) -> Tensor:
    """Compute the squared error of each group minus the sum of its squared weights: `(G,)`."""
    counts, sums = groups.cells(midpoints(levels))
    finite = levels.nan_to_num(posinf=0)
    return (finite.square() * counts - 2 * finite * sums).sum(dim=1)
