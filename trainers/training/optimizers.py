"""AdamW and SGD on torch's fused kernels, for a single training and for many heads together.

The kernels are those that ``torch.optim.AdamW(..., fused=True)`` and ``SGD`` with ``fused=True``
call, so that results are equal bit for bit. torch's classes around them import its
compiler at their first use, whether or not anything is compiled (2.8 s of a core in torch 2.14, in
every worker that starts), and their overhead is ten times the step of a small head.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, _fused_adamw_, _fused_sgd_, nn

from trainers.files.checkpoints import copy_into, fit
from trainers.training.loss_scale import LossScale

MOMENTUM = 0.9
"""The momentum of SGD where none is given."""

State = dict[str, Tensor]
"""State of an optimizer for one parameter, or for a whole group."""


@dataclass
class Group:
    """Parameters with the same weight decay and learning rate.

    Attributes:
        parameters: At least one.
        weight_decay: As the optimizer takes it.
        rate_factor: Their learning rate, of the one that a step is taken with.
    """

    parameters: Sequence[nn.Parameter]
    weight_decay: float
    rate_factor: float = 1.0


class Optimizer(ABC):
    """Updates parameters by their gradients.

    Args:
        groups: Groups of parameters, none empty. Every parameter needs a gradient when a step is
            taken.

    Attributes:
        groups: As given.
        scaling: Scales losses, and says which steps are not taken; None if they are not scaled.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = list(groups)
        self.scaling: LossScale | None = None
        # By the index of a parameter over all groups, and by group; empty before the first step.
        self._states: list[State] = []
        self._common: list[State] = []
        self._own: list[Update] = []

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters of all groups."""
        return [parameter for group in self.groups for parameter in group.parameters]

    def zero_grad(self) -> None:
        """Clear the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, rate: float) -> None:
        """Take a step with a learning rate, after the backward pass."""
        if not self._own:
            self._own = [self.update(i, group.parameters) for i, group in enumerate(self.groups)]
        with torch.no_grad():
            for group, update in zip(self.groups, self._own, strict=True):
                gradients = [_gradient(parameter) for parameter in group.parameters]
                update.step(gradients, rate * group.rate_factor)

    def update(self, group: int, tensors: Sequence[Tensor]) -> "Update":
        """Build an update with the state of a group, for other tensors of the same shapes.

        Args:
            group: Index of the group.
            tensors: Tensors to update instead of the parameters of the group, in the same order;
                changed in place.
        """
        if not self._states:
            self._states, self._common = self._all_begun()
        first = sum(len(of.parameters) for of in self.groups[:group])
        states = self._states[first : first + len(tensors)]
        remembered = {name: [state[name] for state in states] for name in states[0]}
        decay = self.groups[group].weight_decay
        return Update(self, list(tensors), remembered, [self._common[group]], decay)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state of the optimizer by name; empty before the first step.

        ``NUMBER.NAME`` belongs to a parameter, ``groupNUMBER.NAME`` to a group.
        """
        return self._named(self._states, self._common)

    def load(self, tensors: Mapping[str, Tensor]) -> bool:
        """Restore the state that `tensors` returned.

        Returns:
            Whether it is the state of an optimizer of this kind for parameters of these shapes; if
            not, nothing is changed.
        """
        states, common = self._all_begun() if tensors else ([], [])
        targets = self._named(states, common)
        if not fit(tensors, targets):
            return False
        copy_into(tensors, targets)
        self._states, self._common, self._own = states, common, []
        return True

    def _named(self, states: Sequence[State], common: Sequence[State]) -> dict[str, Tensor]:
        scaling = self.scaling.tensors() if self.scaling is not None and states else {}
        return _named(states, common) | scaling

    def _all_begun(self) -> tuple[list[State], list[State]]:
        states = [self._begun(each) for group in self.groups for each in group.parameters]
        return states, [self._begun_group(group) for group in self.groups]

    @abstractmethod
    def _begun(self, parameter: Tensor) -> State:
        """Return the state of a parameter before the first step."""

    def _begun_group(self, group: Group) -> State:
        """Return the state of a group before the first step."""
        del group
        return {}

    @abstractmethod
    def apply(self, update: "Update", gradients: list[Tensor], rate: float) -> None:
        """Take a step of an update that `update` returned, in place."""


@dataclass(frozen=True)
class Update:
    """An update of some tensors by their gradients.

    Attributes:
        optimizer: The optimizer that defines the rule.
        tensors: The tensors to update.
        remembered: State of each tensor, by name; changed too.
        common: State that each joined optimizer keeps for all its tensors; changed too.
        weight_decay: Weight decay of the tensors.
    """

    optimizer: Optimizer
    tensors: list[Tensor]
    remembered: Mapping[str, list[Tensor]]
    common: list[State]
    weight_decay: float

    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """Take a step with a learning rate and a gradient for each tensor, in their order."""
        self.optimizer.apply(self, list(gradients), rate)


def joined(updates: Sequence[Update]) -> Update:
    """Join the updates of several optimizers of one kind into one.

    Args:
        updates: Updates with the same weight decay, after the same number of steps.
    """
    first = updates[0]
    tensors = [tensor for update in updates for tensor in update.tensors]
    remembered = {
        name: [tensor for update in updates for tensor in update.remembered[name]]
        for name in first.remembered
    }
    common = [state for update in updates for state in update.common]
    return Update(first.optimizer, tensors, remembered, common, first.weight_decay)


class AdamW(Optimizer):
    """AdamW, with torch's default betas and epsilon.

    References:
        I. Loshchilov, F. Hutter. Decoupled weight decay regularization. 2019, algorithm 2.
        https://arxiv.org/abs/1711.05101
    """

    def _begun(self, parameter: Tensor) -> State:
        return {
            "exp_avg": torch.zeros_like(parameter, requires_grad=False),
            "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
        }

    def _begun_group(self, group: Group) -> State:
        return {"step": torch.zeros((), device=group.parameters[0].device)}

    def apply(self, update: Update, gradients: list[Tensor], rate: float) -> None:
        """Take a step in place; see `Optimizer.apply`."""
        of, steps = update.remembered, [state["step"] for state in update.common]
        torch._foreach_add_(steps, 1)
        skipped = None if self.scaling is None else self.scaling.found
        if skipped is not None:
            torch._foreach_sub_(steps, [skipped] * len(steps))
        _fused_adamw_(
            update.tensors,
            gradients,
            of["exp_avg"],
            of["exp_avg_sq"],
            [],
            [steps[0]] * len(update.tensors),
            lr=rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=update.weight_decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
            found_inf=skipped,
        )


class SGD(Optimizer):
    """SGD with Nesterov momentum.

    Args:
        groups: As `Optimizer` takes them.
        momentum: In [0, 1); 0 is plain gradient descent.

    References:
        I. Sutskever et al. On the importance of initialization and momentum in deep learning.
        2013, section 2. https://proceedings.mlr.press/v28/sutskever13.html
    """

    def __init__(self, groups: Sequence[Group], momentum: float = MOMENTUM) -> None:
        super().__init__(groups)
        self._momentum = momentum

    def _begun(self, parameter: Tensor) -> State:
        # The kernel takes no buffer without a momentum.
        if not self._momentum:
            return {}
        # torch sets the momentum to the gradient in the first step; zeros give the same.
        return {"momentum_buffer": torch.zeros_like(parameter, requires_grad=False)}

    def apply(self, update: Update, gradients: list[Tensor], rate: float) -> None:
        """Take a step in place; see `Optimizer.apply`."""
        _fused_sgd_(
            update.tensors,
            gradients,
            update.remembered.get("momentum_buffer", []),
            weight_decay=update.weight_decay,
            momentum=self._momentum,
            lr=rate,
            dampening=0.0,
            nesterov=self._momentum > 0,
            maximize=False,
            is_first_step=False,
            found_inf=None if self.scaling is None else self.scaling.found,
        )


def _named(states: Sequence[State], common: Sequence[State]) -> dict[str, Tensor]:
    return {
        f"{prefix}{number}.{name}": tensor
        for prefix, of in (("", states), ("group", common))
        for number, state in enumerate(of)
        for name, tensor in state.items()
    }


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        raise RuntimeError("step() was called, but a parameter has no gradient.")
    return parameter.grad
