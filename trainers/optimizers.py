"""AdamW and SGD by torch's own fused kernels, of a training alone and of many heads together.

The kernels are those that ``torch.optim.AdamW(..., fused=True)`` and ``SGD`` of the same kind
call, and do the same to the last bit. The classes around them import torch's compiler at their
first use, whether or not anything is compiled (2.8 s of a core in torch 2.14, in every worker that
starts), and take ten times as long as the step of a small head.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, _fused_adamw_, _fused_sgd_, nn

from trainers.checkpoints import copy_into, fit

State = dict[str, Tensor]
"""What an optimizer remembers of one parameter."""


@dataclass
class Group:
    """Parameters with a weight decay in common."""

    parameters: Sequence[nn.Parameter]
    weight_decay: float


class Optimizer(ABC):
    """Changes parameters by their gradients.

    Args:
        groups: None of them is empty; every parameter has a gradient when a step is taken.

    Attributes:
        groups: As given.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = list(groups)
        # By the place of a parameter in all groups, and by group; empty before the first step.
        self._states: list[State] = []
        self._taken: list[Tensor] = []
        self._own: list[Update] = []

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group in self.groups:
            for parameter in group.parameters:
                parameter.grad = None

    def step(self, rate: float) -> None:
        """Take a step at a learning rate, after the backward pass."""
        if not self._own:
            self._own = [self.update(i, group.parameters) for i, group in enumerate(self.groups)]
        with torch.no_grad():
            for group, update in zip(self.groups, self._own, strict=True):
                update.step([_gradient(parameter) for parameter in group.parameters], rate)

    def update(self, group: int, tensors: Sequence[Tensor]) -> "Update":
        """The update of a group, by its state, of other tensors of the same shapes.

        Args:
            group: Its number.
            tensors: What lies for the group's parameters, in their order; changed in place.
        """
        if not self._states:
            self._states, self._taken = self._all_begun()
        first = sum(len(of.parameters) for of in self.groups[:group])
        states = self._states[first : first + len(tensors)]
        remembered = {name: [state[name] for state in states] for name in states[0]}
        decay = self.groups[group].weight_decay
        return Update(self, list(tensors), remembered, [self._taken[group]], decay)

    def tensors(self) -> dict[str, Tensor]:
        """All that it remembers, by name; nothing before the first step.

        ``NUMBER.NAME`` belongs to a parameter, ``groupNUMBER.step`` to a group.
        """
        return _named(self._states, self._taken)

    def load(self, tensors: Mapping[str, Tensor]) -> bool:
        """Go on with what `tensors` gave.

        Returns:
            Whether it was given by an optimizer of this kind over parameters of these shapes; if
            not, nothing is changed.
        """
        states, taken = self._all_begun() if tensors else ([], [])
        targets = _named(states, taken)
        if not fit(tensors, targets):
            return False
        copy_into(tensors, targets)
        self._states, self._taken, self._own = states, taken, []
        return True

    def _all_begun(self) -> tuple[list[State], list[Tensor]]:
        states = [self._begun(each) for group in self.groups for each in group.parameters]
        device = self.groups[0].parameters[0].device
        return states, [torch.zeros((), device=device) for _ in self.groups]

    @abstractmethod
    def _begun(self, parameter: Tensor) -> State:
        """The state before the first step."""

    @abstractmethod
    def apply(self, update: "Update", gradients: list[Tensor], rate: float) -> None:
        """Take a step of an update that `update` gave; in place."""


@dataclass(frozen=True)
class Update:
    """How some tensors follow from their gradients.

    Attributes:
        optimizer: By whose rule.
        tensors: What is changed.
        remembered: What the optimizer remembers of each, by name; changed too.
        taken: How many steps they have taken, by optimizer; all of them as many.
        weight_decay: Theirs.
    """

    optimizer: Optimizer
    tensors: list[Tensor]
    remembered: Mapping[str, list[Tensor]]
    taken: list[Tensor]
    weight_decay: float

    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """Take a step at a learning rate; a gradient for each tensor, in their order."""
        # A number would be made a tensor anew for each of them.
        torch._foreach_add_(self.taken, torch.ones((), device=self.taken[0].device))
        self.optimizer.apply(self, list(gradients), rate)


def joined(updates: Sequence[Update]) -> Update:
    """One update for those of several optimizers of one kind.

    Args:
        updates: With the same weight decay, after the same number of steps.
    """
    first = updates[0]
    tensors = [tensor for update in updates for tensor in update.tensors]
    remembered = {
        name: [tensor for update in updates for tensor in update.remembered[name]]
        for name in first.remembered
    }
    taken = [tensor for update in updates for tensor in update.taken]
    return Update(first.optimizer, tensors, remembered, taken, first.weight_decay)


class AdamW(Optimizer):
    """I. Loshchilov, F. Hutter. Decoupled weight decay regularization. 2019, algorithm 2.

    https://arxiv.org/abs/1711.05101
    """

    def _begun(self, parameter: Tensor) -> State:
        return {
            "exp_avg": torch.zeros_like(parameter, requires_grad=False),
            "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
        }

    def apply(self, update: Update, gradients: list[Tensor], rate: float) -> None:
        """See `Optimizer.apply`."""
        of = update.remembered
        _fused_adamw_(
            update.tensors,
            gradients,
            of["exp_avg"],
            of["exp_avg_sq"],
            [],
            [update.taken[0]] * len(update.tensors),
            lr=rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=update.weight_decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


class SGD(Optimizer):
    """With Nesterov's momentum of 0.9, as I. Sutskever et al. 2013, section 2, write it.

    https://proceedings.mlr.press/v28/sutskever13.html
    """

    def _begun(self, parameter: Tensor) -> State:
        # The first step of torch's takes the gradient for its momentum: that of zeros.
        return {"momentum_buffer": torch.zeros_like(parameter, requires_grad=False)}

    def apply(self, update: Update, gradients: list[Tensor], rate: float) -> None:
        """See `Optimizer.apply`."""
        _fused_sgd_(
            update.tensors,
            gradients,
            update.remembered["momentum_buffer"],
            weight_decay=update.weight_decay,
            momentum=0.9,
            lr=rate,
            dampening=0.0,
            nesterov=True,
            maximize=False,
            is_first_step=False,
        )


def _named(states: Sequence[State], taken: Sequence[Tensor]) -> dict[str, Tensor]:
    named = {
        f"{number}.{name}": tensor
        for number, state in enumerate(states)
        for name, tensor in state.items()
    }
    return named | {f"group{number}.step": tensor for number, tensor in enumerate(taken)}


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        raise RuntimeError("step() was called, but a parameter has no gradient.")
    return parameter.grad
