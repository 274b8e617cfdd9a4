"""Penalties that are added to the loss of each step."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from trainers.methods.config import MethodsConfig
from trainers.quantization.plan import CONVOLUTIONS


class Penalty(Protocol):
    """A term of the loss that depends on the weights alone.

    What it learns itself, its `parameters`, is trained with the weights and not decayed.
    """

    @property
    def parameters(self) -> Sequence[nn.Parameter]:
        """What it learns itself."""

    def __call__(self) -> Tensor:
        """Compute the term: a scalar."""


class L2SP:
    """Penalty on the distance from the pre-trained weights, the *starting point* (L2-SP).

    `alpha / 2 ||w_S - w0_S||^2 + beta / 2 ||w_N||^2`, with `w_S` the trained parameters of the
    backbone, `w0_S` their values before the training, and `w_N` those of the new head.

    Args:
        backbone: `w_S`, before the first step.
        head: `w_N`.
        alpha: At least 0.
        beta: At least 0.

    References:
        X. Li, Y. Grandvalet, F. Davoine. Explicit inductive bias for transfer learning with
        convolutional networks. ICML 2018, equation 3. https://arxiv.org/abs/1802.01483

    >>> weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> penalty = L2SP([weight], [nn.Parameter(torch.tensor([3.0]))], alpha=2.0, beta=4.0)
    >>> with torch.no_grad():
    ...     _ = weight.add_(1.0)
    >>> penalty().item()  # 2 / 2 (1 + 1) + 4 / 2 9
    20.0
    """

    def __init__(
        self,
        backbone: Sequence[nn.Parameter],
        head: Sequence[nn.Parameter],
        *,
        alpha: float,
        beta: float,
    ) -> None:
        self.parameters: Sequence[nn.Parameter] = ()
        self._backbone, self._head = list(backbone), list(head)
        self._start = [each.detach().clone() for each in self._backbone]
        self._alpha, self._beta = alpha, beta

    def __call__(self) -> Tensor:
        """Compute the term: a scalar."""
        pairs = zip(self._backbone, self._start, strict=True)
        moved = [(each - start).square().sum() for each, start in pairs]
        sizes = [each.square().sum() for each in self._head]
        return (
            self._alpha / 2 * torch.stack(moved).sum() + self._beta / 2 * torch.stack(sizes).sum()
        )


class Halo:
    """HALO: a lasso whose strength for each weight is learned with it.

    `xi sum_j |w_j| / lambda_j^2 + psi |sum_j |lambda_j| - p|`, with a coefficient `lambda_j`,
    1 before the training, for each of the `p` weights `w_j` of convolutions. It drives weights
    towards zero, not to it: a pruning by magnitude, late in the training, removes them.

    The form is that of its authors' code (skyler120/sparsity-halo), whose coefficients have an
    optimizer of their own; here they share that of the weights. Its example has
    `xi = psi = 1e-8`, with a weight decay of 1e-4.

    Args:
        weights: Trained weights of convolutions.
        xi: At least 0.
        psi: At least 0.

    Attributes:
        parameters: The coefficients, of the shapes of `weights`.

    References:
        S. Seto, M. T. Wells, W. Zhang. HALO: learning to prune neural networks with shrinkage.
        SDM 2021. https://arxiv.org/abs/2008.10183

    >>> penalty = Halo([nn.Parameter(torch.tensor([3.0, -4.0]))], xi=0.5, psi=0.25)
    >>> penalty().item()
    3.5
    >>> with torch.no_grad():
    ...     _ = penalty.parameters[0].copy_(torch.tensor([2.0, -1.0]))
    >>> penalty().item()  # 0.5 (3 / 4 + 4) + 0.25 |3 - 2|
    2.625
    """

    def __init__(self, weights: Sequence[nn.Parameter], *, xi: float, psi: float) -> None:
        self._weights = list(weights)
        self._xi, self._psi = xi, psi
        self.parameters: list[nn.Parameter] = [
            nn.Parameter(torch.ones_like(weight)) for weight in self._weights
        ]

    def __call__(self) -> Tensor:
        """Compute the term: a scalar."""
        pairs = list(zip(self._weights, self.parameters, strict=True))
        sizes = torch.stack([(weight.abs() / of.square()).sum() for weight, of in pairs]).sum()
        total = torch.stack([of.abs().sum() for _, of in pairs]).sum()
        count = sum(weight.numel() for weight in self._weights)
        return self._xi * sizes + self._psi * (total - count).abs()


def _l2sp(methods: MethodsConfig, features: nn.Module, head: nn.Module) -> Penalty | None:
    if not methods.l2sp:
        return None
    return L2SP(_trained(features), _trained(head), alpha=methods.l2sp, beta=methods.l2sp_head)


def _halo(methods: MethodsConfig, features: nn.Module, head: nn.Module) -> Penalty | None:
    del head
    if not methods.halo:
        return None
    layers = (each for each in features.modules() if isinstance(each, CONVOLUTIONS))
    every = [layer.get_parameter("weight") for layer in layers]
    weights = [weight for weight in every if weight.requires_grad]
    return Halo(weights, xi=methods.halo, psi=methods.halo_shrinkage)


PENALTIES: Mapping[str, Callable[[MethodsConfig, nn.Module, nn.Module], Penalty | None]] = {
    "l2sp": _l2sp,
    "halo": _halo,
}
"""By the option that switches it on: builds the penalty on a backbone and a head; None if off."""


def penalties(methods: MethodsConfig, features: nn.Module, head: nn.Module) -> list[Penalty]:
    """Build the penalties that are switched on, before weights are rounded or trained.

    >>> layer = nn.Conv2d(1, 1, 1)
    >>> len(penalties(MethodsConfig(halo=0.1), layer, nn.Identity()))
    1

    Args:
        methods: The methods of the training.
        features: The backbone; what is not trained requires no gradient.
        head: The head.
    """
    made = (make(methods, features, head) for make in PENALTIES.values())
    return [penalty for penalty in made if penalty is not None]


def _trained(part: nn.Module) -> list[nn.Parameter]:
    return [each for each in part.parameters() if each.requires_grad]
