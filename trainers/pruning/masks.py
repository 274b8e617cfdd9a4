"""Masks: which weights are pruned, chosen step by step, and kept at zero through a training."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from trainers.determinism import derive_seed
from trainers.errors import TrainerError
from trainers.pruning.config import (
    BEFORE_TRAINING_CRITERIA,
    PruningConfig,
    check_groups,
    group_count,
    pruned_count,
    pruned_names,
)
from trainers.pruning.criteria import Evidence
from trainers.pruning.own import criterion_of
from trainers.pruning.schedules import sparsity_at
from trainers.quantization.plan import weight_kinds

# Masks are chosen anew at most this often: sorting all weights in every step would cost more.
_CHOICES = 100


class Masks:
    """The masks of a network in training.

    Weights that are frozen are pruned at once, to the final sparsity; trained ones as the
    schedule says, and each set by itself in the context ``global``. A pruned group never returns.

    Args:
        network: The network, before quantization-aware training; frozen parameters require no
            gradient. Its pruned weights are changed in place.
        config: The pruning.
        seed: Decides the criterion ``random``.

    Attributes:
        kept: By the name of each pruned weight in the network: bool, True where it is kept.
        accumulated: By the same name: what some criteria gather in every step.

    Raises:
        ValueError: A layer would be empty.
        TrainerError: A criterion of a user's own cannot be used.
    """

    def __init__(self, network: nn.Module, config: PruningConfig, *, seed: int) -> None:
        self._config = config
        self._seed = seed
        names = pruned_names(config, weight_kinds(network))
        # The parameters themselves: a parametrized layer has them under another name.
        self._weights = {name: network.get_parameter(name) for name in names}
        check_groups(config, {name: tuple(w.shape) for name, w in self._weights.items()})
        self.kept: dict[str, Tensor] = {
            name: torch.ones_like(weight, dtype=torch.bool, requires_grad=False)
            for name, weight in self._weights.items()
        }
        self._initial: dict[str, Tensor] = {}
        self._criterion = criterion_of(config.criterion)
        if self._criterion.keeps_initial:
            self._initial = {name: w.detach().clone() for name, w in self._weights.items()}
        frozen = [name for name, weight in self._weights.items() if not weight.requires_grad]
        self._trained = [name for name in names if name not in frozen]
        self._reached: float | None = None
        self.accumulated: dict[str, Tensor] = {}
        if frozen and self._criterion.needs_training:
            raise TrainerError(
                f"pruning.criterion {config.criterion} says that it needs_training, and "
                f"{frozen[0]} is frozen: tune: all, or use another criterion."
            )
        if self._criterion.gather is not None:
            of_trained = {name: self._weights[name] for name in self._trained}
            self.accumulated = {n: torch.zeros_like(w).detach() for n, w in of_trained.items()}
        self._prune(frozen, config.sparsity)

    def after_step(self, progress: float) -> None:
        """Prune as far as the schedule says, and set pruned weights to zero.

        Args:
            progress: Share of the training's steps that are done, in [0, 1].
        """
        if not self._trained:
            return
        if self.is_chosen_before:
            self.apply()
            return
        self._accumulate()
        rounded = math.floor(progress * _CHOICES) / _CHOICES
        sparsity = sparsity_at(self._config.schedule, self._config.sparsity, rounded)
        if sparsity == self._reached:
            # So many are pruned, and no step need wait for the device to count them.
            self.apply()
            return
        self._prune(self._trained, sparsity)
        self._reached = sparsity

    @property
    def is_chosen_before(self) -> bool:
        """Whether the masks of trained weights are chosen before the training."""
        return bool(self._trained) and self._config.criterion in BEFORE_TRAINING_CRITERIA

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        """The masked weights that are trained, by name."""
        return {name: self._weights[name] for name in self._trained}

    def choose(self, scores: Mapping[str, Tensor], sparsity: float, *, returns: bool) -> None:
        """Choose the masks of trained weights by scores from outside, and apply them.

        Args:
            scores: By the name of a trained weight, of its shape.
            sparsity: Share of the groups that are pruned then.
            returns: Whether a pruned group may be kept again.
        """
        if returns:
            for name in self._trained:
                self.kept[name].fill_(value=True)
        self._prune(self._trained, sparsity, scores)

    @torch.no_grad()
    def _accumulate(self) -> None:
        gather = self._criterion.gather
        for name, gathered in self.accumulated.items():
            weight = self._weights[name]
            if gather is not None and weight.grad is not None:
                gathered.copy_(gather(gathered, weight.detach(), weight.grad))

    @torch.no_grad()
    def apply(self) -> None:
        """Set pruned weights to zero."""
        for name, kept in self.kept.items():
            # Not a product, which makes -0 of negative weights.
            self._weights[name].masked_fill_(~kept, 0.0)

    def _prune(
        self, names: Sequence[str], sparsity: float, scores: Mapping[str, Tensor] | None = None
    ) -> None:
        if self._config.context == "layer":
            for name in names:
                self._prune_together([name], sparsity, scores)
        elif names:
            self._prune_together(names, sparsity, scores)
        self.apply()

    @torch.no_grad()
    def _prune_together(
        self, names: Sequence[str], sparsity: float, given: Mapping[str, Tensor] | None
    ) -> None:
        """Prune the groups with the lowest scores of some weights, if more than are pruned."""
        shapes = {name: tuple(self._weights[name].shape) for name in names}
        sizes = [group_count(self._config.granularity, shape) for shape in shapes.values()]
        # A set that is pruned by itself may have fewer groups to spare than the whole network has.
        wanted = min(pruned_count(sparsity, sum(sizes)), sum(sizes) - len(names))
        pruned = torch.cat([~self._groups(self.kept[name]).flatten() for name in names])
        if wanted <= int(pruned.sum()):
            return
        scores = []
        for name in names:
            own = self._scores(name) if given is None else given[name].float()
            own = self._groups(own).flatten()
            own.masked_fill_(~self._groups(self.kept[name]).flatten(), -torch.inf)
            # The best group stays in any context: no layer is ever empty.
            own[own.argmax()] = torch.inf
            scores.append(own)
        every = torch.cat(scores)
        chosen = torch.ones_like(every, dtype=torch.bool)
        # Stable, so that equal scores give the same mask everywhere.
        chosen[torch.sort(every, stable=True).indices[:wanted]] = False
        for name, own in zip(names, torch.split(chosen, sizes), strict=True):
            kept = self.kept[name]
            kept.copy_(own.reshape(self._groups(kept).shape).expand_as(kept))

    def _scores(self, name: str) -> Tensor:
        weight = self._weights[name]
        gradient = weight.grad
        generator = torch.Generator().manual_seed(derive_seed(self._seed, "pruning", name))
        evidence = Evidence(
            weight=weight.detach(),
            initial=self._initial.get(name, weight.detach()),
            gradient=torch.zeros_like(weight) if gradient is None else gradient,
            noise=torch.rand(weight.shape, generator=generator).to(weight.device),
            accumulated=self.accumulated.get(name, weight.detach().abs()),
            kept_share=float(self.kept[name].float().mean()),
        )
        return self._criterion.score(evidence).float()

    def _groups(self, values: Tensor) -> Tensor:
        """Average over each group; its other axes keep a length of 1."""
        first = {"weight": values.ndim, "kernel": 2, "filter": 1}[self._config.granularity]
        axes = tuple(range(first, values.ndim))
        if values.dtype == torch.bool:
            return values.all(dim=axes, keepdim=True) if axes else values.clone()
        return values.mean(dim=axes, keepdim=True) if axes else values.clone()


def zero_share(network: nn.Module) -> float:
    """Compute the share of exact zeros among the weights of convolutions and linear layers.

    >>> layer = nn.Linear(4, 1)
    >>> layer.weight = nn.Parameter(torch.tensor([[0.0, 1.0, 0.0, 2.0]]))
    >>> zero_share(layer)
    0.5
    """
    weights = [network.get_parameter(name) for name in weight_kinds(network)]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / max(1, sum(weight.numel() for weight in weights))
