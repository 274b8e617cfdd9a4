"""K-means of numbers on a line, exactly: the cells of least squared error, by dynamic programming.

An optimal cell of sorted numbers is an interval, and the best last cell of a longer prefix begins
no earlier than that of a shorter one: the squared error of an interval fulfils the quadrangle
inequality. So the prefix in the middle is solved first, and halves what is left to search for
those on either side of it. Many groups are solved at once, which is what NumPy is fast at.

`ckmeans`, `ckwrap` and `kmeans1d` solve one group a call, in about the same time. None can hold a
level at zero, and ckmeans ends at 255 levels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

# Where the last cell of every prefix begins is kept for each level: eight bytes each.
_TABLE_AT_ONCE = 1 << 19


@dataclass(frozen=True, eq=False)
class Points:
    """The different numbers of some groups, one group after the other.

    Attributes:
        values: Ascending in each group.
        counts: How often each stands there, at least once.
        sizes: How many different numbers each group has, at least one.
    """

    values: Floats
    counts: Floats
    sizes: Whole

    def chosen(self, groups: NDArray[np.bool_]) -> "Points":
        """Some of the groups."""
        kept = np.repeat(groups, self.sizes)
        return Points(self.values[kept], self.counts[kept], self.sizes[groups])

    def parts(self, levels: int) -> Iterator[tuple[slice, "Points"]]:
        """Neighbouring groups, as many as are solved at once, and which they are."""
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
    """The levels of least squared error of each group: `(G, levels)`, ascending.

    A group with no more different numbers than levels has those numbers, and infinity in the
    place of the rest. A number that is exactly zero keeps the level zero: least is the error
    then among all choices of levels that have a zero.

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
        begins, ends: Of each group, the empty prefix and the whole.
        count, total, square: Of each prefix: how many numbers, their sum, and that of their
            squares.
        zero: Of each prefix, the longest of its group that ends before the number zero; -1
            where the group has none.
    """

    def __init__(self, points: Points) -> None:
        self.ends = np.cumsum(points.sizes + 1) - 1
        self.begins = self.ends - points.sizes
        group = np.repeat(np.arange(len(points.sizes)), points.sizes)
        has_zero = np.zeros(len(points.sizes), bool)
        has_zero[group[points.values == 0]] = True
        # Squares of numbers far from zero would cancel; but a level that is held is held at zero.
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
        """The best levels of each group; each has more numbers than there are levels."""
        firsts = np.repeat(self.begins, self.ends - self.begins + 1)
        whole = np.arange(len(firsts))
        with np.errstate(invalid="ignore"):
            # The empty prefixes have no mean, and are never looked at.
            error = self.square - self._gain(firsts, whole, whole)
        begin, taken = firsts, []
        for cells in range(2, levels + 1):
            # Each cell holds a number at least, those that are still to come too.
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
        """Least error of the prefixes with one cell more, and where their last cells begin.

        Args:
            error: Of each prefix with a cell less.
            begin: Where its last cell begins then: with a cell more it begins no earlier.
            shortest: Of each group, the first prefix that is wanted.
            longest: Of each group, the last one.
            cells: How many there are now.
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
        """Of each prefix the best place from `first` to `last` for its last cell to begin."""
        lengths = last - first + 1
        starts = np.cumsum(lengths) - lengths
        # Every prefix beside every place at which its last cell may begin.
        row = np.repeat(np.arange(len(lengths)), lengths)
        places = np.arange(len(row)) + np.take(first - starts, row)
        errors = np.take(left, places)
        errors -= self._gain(places, prefix, row)
        least = np.minimum.reduceat(errors, starts)
        hits = np.flatnonzero(errors == np.take(least, row))
        return least, places[hits[np.searchsorted(hits, starts)]]

    def _gain(self, low: Whole, high: Whole, row: Whole) -> Floats:
        """What the mean takes off a cell's sum of squares; nothing, where the level is zero.

        Args:
            low: Where each cell begins.
            high: Prefixes.
            row: In which of them each cell ends.
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
    """Sums of each prefix of each group, the empty ones too.

    No sum runs on into the next group, whose numbers may be a million times smaller.
    """
    inside = np.arange(sizes.max()) < sizes[:, None]
    each = np.zeros(inside.shape)
    each[inside] = of_numbers
    sums = np.concatenate([np.zeros((len(sizes), 1)), np.cumsum(each, axis=1)], axis=1)
    prefixes = np.concatenate([np.ones((len(sizes), 1), bool), inside], axis=1)
    result: Floats = sums[prefixes]
    return result


def _places(lengths: Whole) -> Whole:
    """0, 1, ... for each length."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
