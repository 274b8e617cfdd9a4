"""The factor by which losses are scaled where gradients are float16, kept on the device."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Lower than GradScaler's 2**16, which loses the first steps: small trainings have few.
FIRST = 2.0**10
_GROWTH, _BACKOFF, _INTERVAL = 2.0, 0.5, 2000


class LossScale:
    """Scales losses, so that small gradients are not rounded to zero in float16.

    A step whose gradients overflow is not taken, and halves the factor; 2,000 steps in a row that
    do not overflow double it: the rule and the kernels of `torch.amp.GradScaler`, which waits for
    the device in each step to learn whether it is to be taken. Here the kernel of the optimizer
    is told, and nothing waits.

    Args:
        device: Where gradients are.

    Attributes:
        factor: float32 (), the factor.
        found: float32 (), 1 if gradients of the latest step overflowed, else 0.

    References:
        P. Micikevicius et al. Mixed precision training. ICLR 2018, section 3.2.
        https://arxiv.org/abs/1710.03740

    >>> scale, weight = LossScale(torch.device("cpu")), torch.tensor(1.0, requires_grad=True)
    >>> scale.scaled(weight * torch.inf).backward()
    >>> scale.unscale([weight])
    >>> scale.update()
    >>> float(weight.grad), float(scale.found), float(scale.factor)
    (0.0, 1.0, 512.0)
    """

    def __init__(self, device: torch.device) -> None:
        self.factor = torch.full((), FIRST, device=device)
        self.found = torch.zeros((), device=device)
        self._good_steps = torch.zeros((), dtype=torch.int32, device=device)

    def scaled(self, loss: Tensor) -> Tensor:
        """Return a loss whose gradients are those of the given one, times the factor."""
        return loss * self.factor

    @torch.no_grad()
    def unscale(self, parameters: Sequence[Tensor]) -> None:
        """Divide gradients by the factor; if one overflowed, all become zero."""
        gradients = [each.grad for each in parameters if each.grad is not None]
        self.found.zero_()
        torch._amp_foreach_non_finite_check_and_unscale_(
            gradients, self.found, self.factor.reciprocal()
        )
        for gradient in gradients:
            gradient.masked_fill_(self.found > 0, 0.0)

    def update(self) -> None:
        """Change the factor after a step."""
        torch._amp_update_scale_(
            self.factor, self._good_steps, self.found, _GROWTH, _BACKOFF, _INTERVAL
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps, by name."""
        return {"scale.factor": self.factor, "scale.good_steps": self._good_steps}
