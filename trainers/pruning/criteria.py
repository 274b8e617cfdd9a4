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
        accumulated: What the criterion gathered in every step (`ACCUMULATED`); else the weight.
        kept_share: Share of the tensor's weights that is not pruned yet, in (0, 1].
    """

    weight: Tensor
    initial: Tensor
    gradient: Tensor
    noise: Tensor
    accumulated: Tensor
    kept_share: float = 1.0


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


def _gathered(of: Evidence) -> Tensor:
    """Return what was gathered over the steps."""
    return of.accumulated


def _weight_momentum(of: Evidence) -> Tensor:
    """Compute `m / d`: the momentum of a weight's magnitude, by the density of its layer.

    WeightMom prunes gradually by the momentum of weights over past iterations, with an importance
    of each layer from its relative sparsity; its formulas were not available, and these are ours:
    `m <- 0.9 m + 0.1 |w|` in every step, and a layer of which more is pruned already (a smaller
    share `d` is kept) gives up less. It matters in the context ``global`` alone.

    E. Johnson et al. WeightMom: learning sparse networks using iterative momentum-based pruning.
    2022. https://arxiv.org/abs/2208.05970
    """
    return of.accumulated / of.kept_share


def _momentum_of_magnitude(gathered: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    del gradient
    return _MOMENTUM * gathered + (1 - _MOMENTUM) * weight.abs()


def _movement_away(gathered: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    """Add `-g w`: positive in a step that moves a weight away from zero.

    V. Sanh, T. Wolf, A. M. Rush. Movement pruning: adaptive sparsity by fine-tuning. NeurIPS 2020,
    equation 2. https://arxiv.org/abs/2005.07683
    """
    return gathered - gradient * weight


_MOMENTUM = 0.9
ACCUMULATED: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "weight_momentum": _momentum_of_magnitude,
    "accumulated_movement": _movement_away,
}
"""By the name of a criterion that looks at more than one step: what it gathers, from what it had,
the weight after the step and its gradient in it. Zero before the first step."""

SCORES: Mapping[str, Callable[[Evidence], Tensor]] = {
    "magnitude": _magnitude,
    "movement": _movement,
    "gradient": _gradient,
    "random": _random,
    "weight_momentum": _weight_momentum,
    "accumulated_movement": _gathered,
}
"""By the names of `trainers.pruning.config.CRITERIA`, but for those that are judged before the
training (`trainers.pruning.before_training`): the score of each weight; low ones go first.
The score of a kernel or a filter is the mean of those of its weights."""
