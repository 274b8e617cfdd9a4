"""The step of each head's optimizer, by the kernels of torch's own AdamW and SGD.

They are what ``torch.optim.AdamW(..., fused=True)`` and ``SGD`` of the same kind call, and work
on the state of the head's own optimizer; the class around them takes ten times as long as the
step of a small head.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, _fused_adamw_, _fused_sgd_


class Update(Protocol):
    """How the weights of one head follow from their gradients."""

    def step(self, rate: float) -> None:
        """Take a step at a learning rate."""
        ...

    def finish(self) -> None:
        """Leave the optimizer as if it had taken the steps itself."""
        ...


def update_of(
    optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor], gradients: Sequence[Tensor]
) -> Update:
    """The update by an optimizer's own rule and state.

    Args:
        optimizer: `torch.optim.AdamW`, or `torch.optim.SGD` with momentum, over one group.
        parameters: What lies for the optimizer's parameters, in their order; changed in place.
        gradients: Of each, in place.
    """
    of_kind = _AdamW if isinstance(optimizer, torch.optim.AdamW) else _SGD
    return of_kind(optimizer, list(parameters), list(gradients))


class _AdamW:
    """I. Loshchilov, F. Hutter. Decoupled weight decay regularization. 2019, algorithm 2.

    https://arxiv.org/abs/1711.05101
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, parameters: list[Tensor], gradients: list[Tensor]
    ) -> None:
        self._group = optimizer.param_groups[0]
        self._states = [optimizer.state[of] for of in self._group["params"]]
        for state, parameter in zip(self._states, parameters, strict=True):
            if not state:
                state["step"] = torch.tensor(0.0)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
        self._parameters, self._gradients = parameters, gradients
        self._means = [state["exp_avg"] for state in self._states]
        self._squares = [state["exp_avg_sq"] for state in self._states]
        self._count = self._states[0]["step"].to(parameters[0].device, copy=True)
        self._counts = [self._count] * len(parameters)

    def step(self, rate: float) -> None:
        self._count.add_(1)
        beta1, beta2 = self._group["betas"]
        _fused_adamw_(
            self._parameters,
            self._gradients,
            self._means,
            self._squares,
            [],
            self._counts,
            lr=rate,
            beta1=beta1,
            beta2=beta2,
            weight_decay=self._group["weight_decay"],
            eps=self._group["eps"],
            amsgrad=False,
            maximize=False,
        )

    def finish(self) -> None:
        for state in self._states:
            state["step"].copy_(self._count)


class _SGD:
    """Nesterov's momentum, as I. Sutskever et al. 2013, section 2, write it.

    https://proceedings.mlr.press/v28/sutskever13.html
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, parameters: list[Tensor], gradients: list[Tensor]
    ) -> None:
        self._group = optimizer.param_groups[0]
        states = [optimizer.state[of] for of in self._group["params"]]
        for state, parameter in zip(states, parameters, strict=True):
            # The first step of torch's takes the gradient for its momentum: that of zeros.
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)
        self._parameters, self._gradients = parameters, gradients
        self._momenta = [state["momentum_buffer"] for state in states]

    def step(self, rate: float) -> None:
        _fused_sgd_(
            self._parameters,
            self._gradients,
            self._momenta,
            weight_decay=self._group["weight_decay"],
            momentum=self._group["momentum"],
            lr=rate,
            dampening=self._group["dampening"],
            nesterov=self._group["nesterov"],
            maximize=False,
            is_first_step=False,
        )

    def finish(self) -> None:
        """Nothing: its momentum is all its state."""
