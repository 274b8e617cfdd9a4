"""Exact k-means of scalars: the cells of least squared error, by dynamic programming.

An optimal cell of sorted numbers is an interval, and the best last cell of a longer prefix begins
no earlier than that of a shorter one: the squared error of an interval fulfils the quadrangle
inequality. So the middle prefix is solved first, which halves the search range of those on
either side of it. Many groups are solved at once, with NumPy operations on all of them.

`ckmeans`, `ckwrap` and `kmeans1d` solve one group per call, in about the same time. None can fix a
level at zero, and ckmeans has a limit of 255 levels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

# The start of the last cell of every prefix is stored for each level: eight bytes each.
_TABLE_AT_ONCE = 1 << 19


@dataclass(frozen=True, eq=False)
class Points:
    """The distinct numbers of some groups, one group after the other.

    Attributes:
        values: Ascending in each group.
        counts: How often each occurs, at least once.
        sizes: Number of distinct numbers of each group, at least one.
    """

    values: Floats
    counts: Floats
    sizes: Whole

    def chosen(self, groups: NDArray[np.bool_]) -> "Points":
        """Select some of the groups."""
        kept = np.repeat(groups, self.sizes)
        return Points(self.values[kept], self.counts[kept], self.sizes[groups])

    def parts(self, levels: int) -> Iterator[tuple[slice, "Points"]]:
        """Split into runs of groups that are solved at once, each with its slice of groups."""
        ends = np.concatenate([[0], np.cumsum(self.sizes)])
        first = 0
        while first < len(self.sizes):
            fits = np.searchsorted(ends, ends[first] + _TABLE_AT_ONCE // levels, side="right") - 1
            last = max(first + 1, int(fits))
            which = slice(ends[first], ends[last])
            groups = slice(first, last)
            yield groups, Points(self.values[which], self.counts[which], self.sizes[groups])
            first = last


def optimal_levels(points: Points, levels: int) -> Floats:
    """Find the levels of least squared error of each group: `(G, levels)`, ascending.

    A group with no more distinct numbers than levels gets these numbers, followed by infinity. If
    a number is exactly zero, one level is zero, and the error is least among all choices of
    levels with a zero.

    >>> points = Points(np.array([1.0, 2.0, 9.0]), np.ones(3), np.array([3]))
    >>> optimal_levels(points, 2).tolist()
    [[1.5, 9.0]]

    References:
        X. Wu. Optimal quantization by matrix searching. Journal of Algorithms 12(4), 1991.
        https://doi.org/10.1016/0196-6774(91)90039-2
    """
    found = np.full((len(points.sizes), levels), np.inf)
    few = points.sizes <= levels
    simple = points.chosen(few)
    rows = np.repeat(np.flatnonzero(few), simple.sizes)
    found[rows, _places(simple.sizes)] = simple.values
    many = np.flatnonzero(~few)
    for groups, part in points.chosen(~few).parts(levels):
        found[many[groups]] = _Table(part).solved(levels)
    return found


class _Table:
    """Prefixes of some groups, one after the other; each group begins with its empty prefix.

    Attributes:
        begins, ends: For each group, the empty prefix and the whole group.
        count, total, square: For each prefix, the number, the sum and the sum of squares of its
            numbers.
        zero: For each prefix, the longest prefix of its group that ends before the number zero;
            -1 if the group has no zero.
    """

    def __init__(self, points: Points) -> None:
        self.ends = np.cumsum(points.sizes + 1) - 1
        self.begins = self.ends - points.sizes
        group = np.repeat(np.arange(len(points.sizes)), points.sizes)
        has_zero = np.zeros(len(points.sizes), bool)
        has_zero[group[points.values == 0]] = True
        # Centred, because squares of numbers far from zero would cancel; but not in a group with a
        # zero, whose level is fixed at zero.
        centre = _summed(points.values * points.counts, points.sizes)[self.ends]
        centre /= _summed(points.counts, points.sizes)[self.ends]
        self._centre = np.where(has_zero, 0.0, centre)
        values = points.values - self._centre[group]
        self.count = _summed(points.counts, points.sizes)
        self.total = _summed(points.counts * values, points.sizes)
        self.square = _summed(points.counts * values**2, points.sizes)
        self.zero: Whole | None = None
        if has_zero.any():
            before = np.full(len(points.sizes), -1)
            is_zero = points.values == 0
            before[has_zero] = (np.arange(len(group)) + group)[is_zero]
            self.zero = np.repeat(before, points.sizes + 1)

    def solved(self, levels: int) -> Floats:
        """Find the best levels of each group, each with more numbers than there are levels."""
        firsts = np.repeat(self.begins, self.ends - self.begins + 1)
        whole = np.arange(len(firsts))
        with np.errstate(invalid="ignore"):
            # The empty prefixes have no mean, and are never used.
            error = self.square - self._gain(firsts, whole, whole)
        begin, taken = firsts, []
        for cells in range(2, levels + 1):
            # Each cell has at least one number, also the cells that are still to come.
            shortest, longest = self.begins + cells, self.ends - (levels - cells)
            if cells == levels:
                shortest = longest
            error, begin = self._longer(error, begin, shortest, longest, cells)
            taken.append(begin)
        edges = [self.ends]
        for begin in reversed(taken):
            edges.append(begin[edges[-1]])
        edges.append(self.begins)
        bounds = np.stack(edges[::-1])
        low, high = bounds[:-1], bounds[1:]
        means = (self.total[high] - self.total[low]) / (self.count[high] - self.count[low])
        if self.zero is not None:
            means[(low <= self.zero[high]) & (self.zero[high] < high)] = 0.0
        return (means + self._centre).T

    def _longer(
        self, error: Floats, begin: Whole, shortest: Whole, longest: Whole, cells: int
    ) -> tuple[Floats, Whole]:
        """Find the least error of the prefixes with one more cell, and the starts of last cells.

        Args:
            error: Least error of each prefix with one cell fewer.
            begin: Start of its last cell then: with one more cell it begins no earlier.
            shortest: For each group, the first prefix to solve.
            longest: For each group, the last prefix to solve.
            cells: Number of cells now.
        """
        left = error - self.square
        error, opt = np.full(len(left), np.inf), begin.copy()
        low, high = shortest, longest
        from_, to = self.begins + cells - 1, longest - 1
        while len(low):
            middle = (low + high) // 2
            first, last = np.maximum(from_, begin[middle]), np.minimum(to, middle - 1)
            least, best = self._least(left, middle, first, last)
            error[middle], opt[middle] = least + self.square[middle], best
            low, high = np.concatenate([low, middle + 1]), np.concatenate([middle - 1, high])
            from_, to = np.concatenate([from_, best]), np.concatenate([best, to])
            kept = low <= high
            low, high, from_, to = low[kept], high[kept], from_[kept], to[kept]
        return error, opt

    def _least(
        self, left: Floats, prefix: Whole, first: Whole, last: Whole
    ) -> tuple[Floats, Whole]:
        """Find for each prefix the best start of its last cell from `first` to `last`."""
        lengths = last - first + 1
        starts = np.cumsum(lengths) - lengths
        # Every prefix paired with every place at which its last cell may begin.
        row = np.repeat(np.arange(len(lengths)), lengths)
        places = np.arange(len(row)) + np.take(first - starts, row)
        errors = np.take(left, places)
        errors -= self._gain(places, prefix, row)
        least = np.minimum.reduceat(errors, starts)
        hits = np.flatnonzero(errors == np.take(least, row))
        return least, places[hits[np.searchsorted(hits, starts)]]

    def _gain(self, low: Whole, high: Whole, row: Whole) -> Floats:
        """Compute the reduction of a cell's sum of squares by its mean; zero if its level is zero.

        Args:
            low: Start of each cell.
            high: Prefixes.
            row: Index of the prefix with which each cell ends.
        """
        gain = np.take(self.total[high], row)
        gain -= np.take(self.total, low)
        np.square(gain, out=gain)
        counts = np.take(self.count[high], row)
        counts -= np.take(self.count, low)
        gain /= counts
        if self.zero is not None:
            zero = np.take(self.zero[high], row)
            gain[(low <= zero) & (zero < np.take(high, row))] = 0.0
        return gain


def _summed(of_numbers: Floats, sizes: Whole) -> Floats:
    """Compute the sum of each prefix of each group, including the empty ones.

    No sum continues into the next group, whose numbers may be a million times smaller.
    """
    inside = np.arange(sizes.max()) < sizes[:, None]
    each = np.zeros(inside.shape)
    each[inside] = of_numbers
    sums = np.concatenate([np.zeros((len(sizes), 1)), np.cumsum(each, axis=1)], axis=1)
    prefixes = np.concatenate([np.ones((len(sizes), 1), bool), inside], axis=1)
    result: Floats = sums[prefixes]
    return result


def _places(lengths: Whole) -> Whole:
    """Return 0, 1, ..., length - 1 for each length, concatenated."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
