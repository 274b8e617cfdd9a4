"""What evenly spaced levels lose of a histogram of weights, as a Kullback-Leibler divergence."""

import torch
from torch import Tensor

from trainers.quantization.quantized import Levels, top_code
from trainers.quantization.uniform import uniform_codes

# Weights whose bins are computed at once; an index takes eight bytes.
_VALUES_AT_ONCE = 1 << 22
# Weights that Q counts at least in a bin that P has: clipped ones may be alone there.
_LEAST = 1e-4


class Histogram:
    """Histograms of groups of weights, each from its smallest weight or zero to its largest.

    Weights of exactly zero do not count: they stay zero with any levels, and of a pruned layer
    most are.

    Args:
        values: float32 `(G, n)`, finite, n at least 1; one row per group.
        bins: The number of bins, B.

    Attributes:
        counts: float64 `(G, B)`, weights in each bin.
        centers: float32 `(G, B)`, the middle of each bin.

    >>> Histogram(torch.tensor([[0.0, 0.1, 0.2, 4.0]]), bins=2).counts.tolist()
    [[2.0, 1.0]]
    """

    def __init__(self, values: Tensor, bins: int) -> None:
        lowest, highest = (
            each.double().unsqueeze(1)
            for each in (values.amin(dim=1).clamp(max=0), values.amax(dim=1).clamp(min=0))
        )
        width = (highest - lowest) / bins
        self.counts = torch.zeros(len(values), bins, dtype=torch.float64)
        for part in torch.split(values, max(1, _VALUES_AT_ONCE // len(values)), dim=1):
            places = ((part - lowest) / width).nan_to_num().long().clamp(0, bins - 1)
            self.counts.scatter_add_(1, places, (part != 0).double())
        middles = torch.arange(bins, dtype=torch.float64) + 0.5
        self.centers = (lowest + middles * width).float()

    def divergence(self, levels: Levels) -> Tensor:
        """Compute how much of each histogram the levels lose.

        P is the histogram, in which weights that the levels clip, those more than half a step
        beyond the outermost level, are counted in the outermost bin that is not clipped. Q gives
        each bin of P that is not empty an equal share of the weights of its level, in which what
        is clipped does not count, but at least a ten-thousandth of a weight. The result is
        `KL(P || Q) = sum(P * log(P / Q))`: a coarse step blurs Q, and clipped weights are in P and
        not in Q. It is infinite if all weights are clipped.

        Args:
            levels: Evenly spaced levels of G groups.

        Returns:
            float64 `(G,)`, in nats, at least 0 up to rounding.

        References:
            S. Migacz. 8-bit inference with TensorRT. GPU Technology Conference 2017, pages 20 to
            38: there of activations, which are all positive, and without that least share, so
            that no range could end where weights are sparse.

        >>> from trainers.quantization.uniform import symmetric_levels
        >>> row = torch.tensor([[-1.0, 1.0, 1.0]])
        >>> Histogram(row, bins=8).divergence(symmetric_levels(row, bits=2)).tolist()
        [0.0]
        """
        steps, column = self._steps(levels), uniform_codes(self.centers, levels).long()
        column -= levels.first_code
        within = (steps >= levels.first_code - 0.5) & (steps <= top_code(levels.bits) + 0.5)
        inside = self.counts * within
        p = self._clipped(within)
        of_levels = torch.zeros(len(p), 1 << levels.bits, dtype=torch.float64)
        shares = [of_levels.scatter_add(1, column, each) for each in (inside, (p > 0).double())]
        q = (shares[0] / shares[1]).gather(1, column).clamp(min=_LEAST)
        q = torch.where(p > 0, q, 0.0)
        p, q = (each / each.sum(dim=1, keepdim=True) for each in (p, q))
        found = (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(dim=1).nan_to_num()
        return found.masked_fill((inside.sum(1) == 0) & (self.counts.sum(1) > 0), torch.inf)

    def _steps(self, levels: Levels) -> Tensor:
        """Return the centers as codes that are not rounded: float32 `(G, B)`."""
        assert levels.scale is not None  # noqa: S101 - evenly spaced levels have it
        steps = self.centers / levels.scale.unsqueeze(1)
        if levels.zero_point is not None:
            steps = steps + levels.zero_point.unsqueeze(1)
        return steps

    def _clipped(self, within: Tensor) -> Tensor:
        """Return the counts with those of clipped bins in the outermost bins within."""
        # Zero is always within, so that some bin is.
        first = within.int().argmax(dim=1, keepdim=True)
        last = within.shape[1] - 1 - within.flip(1).int().argmax(dim=1, keepdim=True)
        places = torch.arange(within.shape[1]).expand_as(within)
        return torch.zeros_like(self.counts).scatter_add_(
            1, places.clamp(first, last), self.counts
        )
