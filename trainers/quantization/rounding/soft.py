"""Weights between two levels, as AdaRound and BRECQ learn them: Nagel et al., 2020."""

import torch
from torch import Tensor

STEPS = 400
"""Steps of gradient descent."""

RATE = 0.05
"""Its rate, of Adam."""

REGULARIZED = 1.0
"""Weight of the term that drives each weight to a level, per unit of the starting error."""

STRETCH = 0.1
"""The rectified sigmoid reaches beyond 0 and 1 by as much."""

# The exponent of that term, at first and at last, and the share of the steps before it counts.
_SOFT, _HARD = 20.0, 2.0
_WARM_UP = 0.2


def stretched(sigmoid: Tensor) -> Tensor:
    """Return h(V), from 0 at one level to 1 at the other, for the sigmoid of the numbers V.

    >>> stretched(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return (sigmoid * (1 + 2 * STRETCH) - STRETCH).clamp(0, 1)


def numbers_at(share: Tensor) -> Tensor:
    """Return the numbers V whose h(V) are these, which lie between 0 and 1.

    >>> numbers_at(torch.tensor([0.5])).tolist()
    [0.0]
    """
    inner = (share + STRETCH) / (1 + 2 * STRETCH)
    return torch.log(inner / (1 - inner))


def exponent_at(done: float) -> float | None:
    """Return the exponent of the term after a share of the steps; None before it counts.

    >>> exponent_at(0.0), exponent_at(1.0)
    (None, 2.0)
    """
    progress = (done - _WARM_UP) / (1 - _WARM_UP)
    return _HARD + (_SOFT - _HARD) * (1 - progress) if progress > 0 else None
