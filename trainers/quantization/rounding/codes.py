"""Codes that keep the outputs of a layer: error compensation (GPTQ) or learned (AdaRound).

Both make the mean squared error of a layer's outputs small. For weights w of one output, codes of
the values q, and second moments H of the inputs, it is `(w - q)^T H (w - q)`: the images are
needed for H alone.
"""

import torch
from torch import Tensor

from trainers.quantization.rounding.grid import Grid
from trainers.quantization.rounding.soft import (
    RATE,
    REGULARIZED,
    STEPS,
    STRETCH,
    exponent_at,
    numbers_at,
    stretched,
)

SWEEPS = 3
"""Rounds of coordinate descent after ``gptq``."""

# Adam's averages, and what keeps it from dividing by zero.
_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8


def damped(second: Tensor, damping: float) -> Tensor:
    """Add a share of the mean diagonal to the diagonal, so that the matrix can be inverted."""
    diagonal = second.diagonal(dim1=-2, dim2=-1)
    added = (damping * diagonal.mean(-1)).clamp(min=torch.finfo(torch.float32).tiny)
    return second + torch.diag_embed(added.unsqueeze(-1).expand_as(diagonal))


def target_weights(weight: Tensor, second: Tensor, cross: Tensor) -> Tensor:
    """Return the weights that give the float network's outputs best from the changed inputs.

    By least squares, `w + w E[(x - z) z^T] H^-1`: what earlier layers lost is made good for.

    Args:
        weight: float64 `(g, r, d)`: r outputs of each of g groups.
        second: Damped second moments H of the inputs z, `(g, d, d)`.
        cross: Moments of x - z with z, `(g, d, d)`.
    """
    added: Tensor = torch.linalg.solve(second, (weight @ cross).mT).mT
    return weight + added


def compensated(target: Tensor, second: Tensor, grid: Grid, is_zero: Tensor) -> Tensor:
    """Round one column of a weight after the other, and make good for the error with the rest.

    Columns come in the order of their inputs' power, the largest first. Coordinate descent
    follows, from these codes and from the nearest ones: each weight in turn gets the code that is
    best given all others. So no output has more error than with the nearest codes.

    Args:
        target: float64 `(g, r, d)`: the weights to be rounded, of r outputs of each of g groups.
        second: Damped second moments of the inputs, `(g, d, d)`.
        grid: Values of the g * r outputs.
        is_zero: bool `(g, r, d)`: weights that stay zero.

    Returns:
        The column of `grid` of each weight, int64 `(g * r, d)`.

    References:
        E. Frantar et al. GPTQ: accurate post-training quantization for generative pre-trained
        transformers. ICLR 2023, section 3. https://arxiv.org/abs/2210.17323
        K. Behdin et al. QuantEase: optimization-based quantization for language models. 2023,
        section 3 (coordinate descent). https://arxiv.org/abs/2309.01885
    """
    groups, rows, inputs = target.shape
    order = second.diagonal(dim1=1, dim2=2).argsort(dim=1, descending=True)
    by_row = order.repeat_interleave(rows, 0)
    moments = second.gather(1, order.unsqueeze(2).expand_as(second))
    moments = moments.gather(2, order.unsqueeze(1).expand_as(second))
    inverse = torch.linalg.inv(moments)
    upper = torch.linalg.cholesky((inverse + inverse.mT) / 2, upper=True).float()
    weights = target.reshape(-1, inputs).gather(1, by_row).float().view(groups, rows, inputs)
    zeros = is_zero.reshape(-1, inputs).gather(1, by_row)
    zero = grid.nearest(weights.new_zeros(groups * rows, 1))
    columns = torch.empty_like(by_row)
    for index in range(inputs):
        column = weights[:, :, index].reshape(-1, 1)
        chosen = torch.where(zeros[:, index : index + 1], zero, grid.nearest(column))
        columns[:, index : index + 1] = chosen
        error = (column - grid.at(chosen)).view(groups, rows, 1)
        along = upper[:, index, index:].unsqueeze(1)
        weights[:, :, index + 1 :] -= error / along[:, :, :1] * along[:, :, 1:]
    columns, nearest = (
        _swept(start, target, second, grid, is_zero)
        for start in (columns.gather(1, by_row.argsort(dim=1)), _nearest(target, grid, is_zero))
    )
    return _better(columns, nearest, target, second, grid)


def _swept(columns: Tensor, target: Tensor, second: Tensor, grid: Grid, is_zero: Tensor) -> Tensor:
    """Give each weight in turn the code that is best given all others."""
    moments = second.float()
    values = grid.at(columns).view_as(target)
    # The gradient of half the error.
    slope = torch.bmm(values - target.float(), moments)
    columns, zeros = columns.clone(), is_zero.reshape(columns.shape)
    for index in [*range(target.shape[2])] * SWEEPS:
        now = values[:, :, index]
        best = now - slope[:, :, index] / moments[:, index, index].unsqueeze(1)
        chosen = grid.nearest(best.reshape(-1, 1))
        chosen = torch.where(zeros[:, index : index + 1], columns[:, index : index + 1], chosen)
        columns[:, index : index + 1] = chosen
        change = grid.at(chosen).view_as(now) - now
        values[:, :, index] += change
        slope += change.unsqueeze(2) * moments[:, index].unsqueeze(1)
    return columns


def _nearest(target: Tensor, grid: Grid, is_zero: Tensor) -> Tensor:
    """Return the columns of the nearest values: int64 `(g * r, d)`."""
    rows = target.float().masked_fill(is_zero, 0.0)
    return grid.nearest(rows.reshape(-1, target.shape[2]))


def _better(one: Tensor, other: Tensor, target: Tensor, second: Tensor, grid: Grid) -> Tensor:
    """Return for each output the columns of less error."""
    errors = []
    for columns in (one, other):
        away = grid.at(columns).view_as(target).double() - target
        errors.append((torch.bmm(away, second) * away).sum(2).reshape(-1, 1))
    return torch.where(errors[0] <= errors[1], one, other)


def learned(target: Tensor, second: Tensor, grid: Grid, is_zero: Tensor) -> Tensor:
    """Learn for each weight whether it is rounded up or down.

    A rectified sigmoid of a learned number interpolates between the two levels around a weight;
    gradient descent makes the error of the outputs small, and a term that grows more rigid drives
    every weight to one of the levels. As the error depends on the images through H alone, it is
    exact in each step, where the paper draws images. Its activation function is left out.

    Args:
        target: As for `compensated`.
        second: As for `compensated`.
        grid: As for `compensated`.
        is_zero: As for `compensated`.

    Returns:
        As `compensated`.

    References:
        M. Nagel et al. Up or down? Adaptive rounding for post-training quantization. ICML 2020,
        section 3.3. https://arxiv.org/abs/2004.10568
    """
    nearest = _nearest(target, grid, is_zero)
    columns = _descended(target.float(), second.float(), grid)
    columns = torch.where(is_zero.reshape(columns.shape), nearest, columns)
    return _better(columns, nearest, target, second, grid)


def _descended(target: Tensor, moments: Tensor, grid: Grid) -> Tensor:
    """Return the columns that gradient descent decides on, by Adam."""
    low = grid.below(target.reshape(-1, target.shape[2]))
    floor = grid.at(low).view_as(target)
    width = grid.at(low + 1).view_as(target) - floor
    width.clamp_(min=torch.finfo(torch.float32).tiny)
    share = (target - floor) / width
    rounded = floor + width * (share > 0.5) - target
    scale = (torch.bmm(rounded, moments) * rounded).sum().clamp(min=1e-30)
    number = numbers_at(share.clamp(0.01, 0.99))
    first, second = torch.zeros_like(number), torch.zeros_like(number)
    for step in range(STEPS):
        sigmoid = number.sigmoid()
        up = stretched(sigmoid)
        gradient = 2 * torch.bmm(floor + width * up - target, moments) * width / scale
        if (exponent := exponent_at(step / STEPS)) is not None:
            side = 2 * up - 1
            pull = 2 * exponent * side.abs().pow(exponent - 1) * side.sign()
            gradient -= REGULARIZED * pull / number.numel()
        gradient *= (1 + 2 * STRETCH) * sigmoid * (1 - sigmoid)
        first += (1 - _FIRST) * (gradient - first)
        second += (1 - _SECOND) * (gradient.square() - second)
        unbiased = (second / (1 - _SECOND ** (step + 1))).sqrt()
        number -= RATE * first / (1 - _FIRST ** (step + 1)) / (unbiased + _TINY)
    return low + number.reshape(low.shape).gt(0)
