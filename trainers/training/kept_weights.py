"""Which weights of a training are kept: the last, their moving average, or the best epoch's."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainers.files.checkpoints import copy_into, fit
from trainers.recipes.config import RecipeConfig

# Prefixes of names in a checkpoint: of the trained weights where the network holds their average,
# and of the weights of the best epoch.
_TRAINED, _BEST = "trained.", "best."


class KeptWeights:
    """Keeps the average and the best of the tensors that a training changes.

    With `ema` the network's own tensors hold the average between epochs, so that a caller that
    measures or writes the network gets it; within an epoch they hold what is trained.

    After `t` steps the decay of the average is at most `(1 + t) / (10 + t)`, so that a short
    training forgets its random start: as TensorFlow's ``ExponentialMovingAverage`` with
    ``num_updates``. Integers, such as the counter of a batch norm, are not averaged.

    Args:
        tensors: What training changes, by name; changed by these methods.
        recipe: Its `ema`, `best` and `patience`.
    """

    def __init__(self, tensors: Mapping[str, Tensor], recipe: RecipeConfig) -> None:
        self._recipe = recipe
        self._tensors = {name: tensor.detach() for name, tensor in tensors.items()}
        averaged = {n: each for n, each in self._tensors.items() if each.is_floating_point()}
        self._averaged = averaged if recipe.ema else {}
        # What the tensors themselves do not hold now: the average, or what is trained.
        self._others = {name: tensor.clone() for name, tensor in self._averaged.items()}
        self._best: dict[str, Tensor] = {}

    def begin_epoch(self) -> None:
        """Bring back the trained weights, to go on from them."""
        self._swap()

    def after_step(self, step: int) -> None:
        """Take the weights after a step into the average.

        Args:
            step: Number of the step in the whole training, from 1.
        """
        if not self._averaged:
            return
        decay = min(self._recipe.ema, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._others.values()), list(self._averaged.values()), 1 - decay)

    def end_epoch(self) -> None:
        """Put the average in the place of the trained weights, to be measured."""
        self._swap()

    def judge(self, accuracies: Sequence[float], *, is_over: bool) -> None:
        """Remember the weights of the best epoch, and restore them after the last.

        Args:
            accuracies: Validation accuracy of each finished epoch.
            is_over: Whether the training ends with this epoch.
        """
        if not self._recipe.best:
            return
        if best_epoch(accuracies) == len(accuracies):
            self._best = {name: tensor.clone() for name, tensor in self._tensors.items()}
        if is_over:
            copy_into(self._best, self._tensors)

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint needs beyond the network's own tensors, by name."""
        trained = {f"{_TRAINED}{name}": tensor for name, tensor in self._others.items()}
        return trained | {f"{_BEST}{name}": tensor for name, tensor in self._best.items()}

    def load(self, tensors: Mapping[str, Tensor], epochs: int) -> bool:
        """Restore what `tensors` returned after so many epochs.

        Returns:
            Whether it fits this training; if not, nothing is changed.
        """
        is_kept = self._recipe.best and epochs > 0
        best = {n: torch.empty_like(each) for n, each in self._tensors.items()} if is_kept else {}
        targets = {f"{_TRAINED}{name}": tensor for name, tensor in self._others.items()}
        targets |= {f"{_BEST}{name}": tensor for name, tensor in best.items()}
        if not fit(tensors, targets):
            return False
        copy_into(tensors, targets)
        self._best = best
        return True

    def _swap(self) -> None:
        for name, tensor in self._averaged.items():
            held = tensor.clone()
            tensor.copy_(self._others[name])
            self._others[name].copy_(held)


def best_epoch(accuracies: Sequence[float]) -> int:
    """Return the number of the epoch of best accuracy, from 1; the first one in a tie.

    >>> best_epoch([0.5, 0.8, 0.8])
    2
    """
    return accuracies.index(max(accuracies)) + 1


def is_out_of_patience(accuracies: Sequence[float], patience: int) -> bool:
    """Return whether so many epochs have passed since the best one; never if `patience` is 0.

    >>> is_out_of_patience([0.5, 0.8, 0.7, 0.8], 2), is_out_of_patience([0.5, 0.8, 0.9], 2)
    (True, False)
    """
    if not patience or not accuracies:
        return False
    return len(accuracies) - best_epoch(accuracies) >= patience
