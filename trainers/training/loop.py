"""One epoch of training and one of evaluation; nothing else."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.errors import DivergedError
from trainers.training.optimizers import Optimizer

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a step is taken.

    Attributes:
        optimizer: Over the parameters to tune.
        learning_rates: One for each step.
        label_smoothing: In [0, 1).
        autocast: Makes the context in which the forward pass runs.
    """

    optimizer: Optimizer
    learning_rates: Iterator[float]
    label_smoothing: float
    autocast: Callable[[], AbstractContextManager[None]]


def train_epoch(
    model: nn.Module, batches: Iterator[Batch], recipe: Recipe, *, epoch: int
) -> float:
    """Take one optimiser step a batch.

    Args:
        model: In training mode; maps inputs to logits (N, classes).
        batches: Inputs and int64 labels (N,), on the model's device.
        recipe: How a step is taken.
        epoch: Number of this epoch, from 1; named in errors.

    Returns:
        Mean training loss over the images.

    Raises:
        DivergedError: A loss is NaN or infinite; the step is not taken.
    """
    total, count = 0.0, 0
    for inputs, labels in batches:
        rate = next(recipe.learning_rates)
        with recipe.autocast():
            logits = model(inputs)
            loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        value = loss.item()
        if not math.isfinite(value):
            raise DivergedError(epoch, value)
        recipe.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        recipe.optimizer.step(rate)
        total += value * len(labels)
        count += len(labels)
    return total / count


@torch.inference_mode()
def correct_fraction(model: nn.Module, batches: Iterator[Batch]) -> float:
    """Fraction of inputs whose largest logit is at the label; `model` is in evaluation mode."""
    correct, count = 0, 0
    for inputs, labels in batches:
        correct += int((model(inputs).argmax(1) == labels).sum())
        count += len(labels)
    return correct / count


def cosine_learning_rates(
    peak: float, *, steps_per_epoch: int, epochs: int, from_epoch: int
) -> Iterator[float]:
    """Learning rates of the remaining steps: linear warm-up, then half a cosine to zero.

    A closed form of the step's number, so that a resumed training goes on exactly where it was.
    The warm-up takes the first 5 % of all steps, at least one.

    Args:
        peak: Largest learning rate.
        steps_per_epoch: Steps in an epoch.
        epochs: Epochs of the whole training.
        from_epoch: Epochs that are done already.

    References:
        I. Loshchilov, F. Hutter. SGDR: stochastic gradient descent with warm restarts. 2017,
        equation 5 (without restarts). https://arxiv.org/abs/1608.03983
    """
    total = steps_per_epoch * epochs
    warm_up = max(1, total // 20)
    for step in range(steps_per_epoch * from_epoch, total):
        if step < warm_up:
            yield peak * (step + 1) / warm_up
        else:
            progress = (step - warm_up) / max(1, total - warm_up)
            yield peak * (1 + math.cos(math.pi * progress)) / 2
