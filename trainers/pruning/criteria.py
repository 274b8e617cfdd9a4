"""What a weight is worth to the network, by several criteria."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a criterion may judge a weight by; all tensors are of its shape.

    Attributes:
        weight: The weight now.
        initial: The weight before the training.
        gradient: Its gradient in the latest step; zero if there was none.
        noise: Random numbers in [0, 1) that stay the same through the training.
    """

    weight: Tensor
    initial: Tensor
    gradient: Tensor
    noise: Tensor


def _magnitude(of: Evidence) -> Tensor:
    return of.weight.abs()


def _movement(of: Evidence) -> Tensor:
    """Compute `|w - w0|`, as in the author's library; see `SCORES`."""
    return (of.weight - of.initial).abs()


def _gradient(of: Evidence) -> Tensor:
    """Compute `(w g)^2`: a first-order estimate of what the loss would change, squared.

    P. Molchanov et al. Importance estimation for neural network pruning. CVPR 2019, equation 8.
    https://arxiv.org/abs/1906.10771
    """
    return (of.weight * of.gradient).square()


def _random(of: Evidence) -> Tensor:
    return of.noise


SCORES: Mapping[str, Callable[[Evidence], Tensor]] = {
    "magnitude": _magnitude,
    "movement": _movement,
    "gradient": _gradient,
    "random": _random,
}
"""By the names of `trainers.pruning.config.CRITERIA`: the score of each weight; low ones go first.
The score of a kernel or a filter is the mean of those of its weights."""
