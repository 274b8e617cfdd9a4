"""The values that the weights of a layer may take, as a table, whatever the quantizer."""

import torch
from torch import Tensor

from trainers.quantization.quantized import (
    Levels,
    groups_of_channels,
    lowest_code,
    top_code,
)


class Grid:
    """The values of the codes of each output channel.

    Args:
        values: float32 `(rows, K)`, ascending.
        first_code: The code of the first column.
    """

    def __init__(self, values: Tensor, first_code: int) -> None:
        self._values = values.contiguous()
        self._between = ((values[:, 1:] + values[:, :-1]) / 2).contiguous()
        self._first_code = first_code

    @property
    def levels(self) -> int:
        """The number of columns, K."""
        return self._values.shape[1]

    def nearest(self, weights: Tensor) -> Tensor:
        """Return the column of the nearest value of each weight: int64 `(rows, n)`."""
        return torch.searchsorted(self._between, weights.contiguous())

    def below(self, weights: Tensor) -> Tensor:
        """Return the column of the largest value that is not above each weight, but not the last.

        Weights outside the range have the column at its end.
        """
        columns = torch.searchsorted(self._values, weights.contiguous(), right=True) - 1
        return columns.clamp_(0, self._values.shape[1] - 2)

    def at(self, columns: Tensor) -> Tensor:
        """Return the values of columns: float32 `(rows, n)`."""
        return self._values.gather(1, columns)

    def codes(self, columns: Tensor) -> Tensor:
        """Return the codes of columns: int8, on the CPU."""
        return (columns + self._first_code).to("cpu", torch.int8)


def grid_of(levels: Levels, rows: int, device: torch.device | str = "cpu") -> Grid:
    """Return the grid of a weight.

    Args:
        levels: Levels of at most `rows` groups.
        rows: The number of output channels.
        device: Where to compute.
    """
    first = levels.first_code
    if levels.codebook is not None:
        values = levels.codebook[:, first - lowest_code(levels.bits) :]
    else:
        assert levels.scale is not None  # noqa: S101 - levels have one or the other
        codes = torch.arange(first, top_code(levels.bits) + 1, dtype=torch.float32)
        steps = codes.expand(levels.groups, -1)
        if levels.zero_point is not None:
            steps = steps - levels.zero_point.to(torch.float32).unsqueeze(1)
        values = steps * levels.scale.unsqueeze(1)
    return Grid(values[groups_of_channels(len(values), rows)].to(device), first)
