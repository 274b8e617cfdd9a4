"""One epoch of training and one of evaluation; nothing else."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.errors import DivergedError
from trainers.training.optimizers import Optimizer

Batch = tuple[Tensor, Tensor]
"""Inputs, and labels: int64 (N,), or the share of each class, float (N, classes)."""


Criterion = Callable[[Tensor, Tensor], Tensor]
"""Computes the mean loss of logits (N, classes) and labels."""
LossOf = Callable[[nn.Module, Tensor, Tensor, Criterion], Tensor]
"""Computes the loss of a batch from the model, inputs, labels and the loss on labels."""


def _nothing() -> None:
    """Do nothing after a step."""


def _on_labels(model: nn.Module, inputs: Tensor, labels: Tensor, criterion: Criterion) -> Tensor:
    """Compute the loss on labels alone."""
    return criterion(model(inputs), labels)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of the training steps.

    Attributes:
        optimizer: Optimizer of the parameters to tune.
        learning_rates: One for each step.
        label_smoothing: In [0, 1).
        autocast: Returns the context manager in which the forward pass runs.
        class_weights: Weight of each class in the loss, float (classes,); None weighs all alike.
        clip: Largest norm of the gradients of all parameters together; 0 is no limit.
        after_step: Called with the gradients of each step, after it was taken.
        loss: Computes the loss of a batch.
    """

    optimizer: Optimizer
    learning_rates: Iterator[float]
    label_smoothing: float
    autocast: Callable[[], AbstractContextManager[None]]
    class_weights: Tensor | None = None
    clip: float = 0.0
    after_step: Callable[[], None] = _nothing
    loss: LossOf = _on_labels


def train_epoch(
    model: nn.Module, batches: Iterator[Batch], recipe: Recipe, *, epoch: int
) -> float:
    """Take one optimizer step per batch.

    Args:
        model: In training mode; maps inputs to logits (N, classes).
        batches: Inputs and labels, on the model's device.
        recipe: Settings of the steps.
        epoch: Number of this epoch, from 1; named in errors.

    Returns:
        Mean training loss over the images.

    Raises:
        DivergedError: A loss is NaN or infinite; the step is not taken.
    """
    criterion = partial(
        functional.cross_entropy,
        weight=recipe.class_weights,
        label_smoothing=recipe.label_smoothing,
    )
    total, count = 0.0, 0
    for inputs, labels in batches:
        rate = next(recipe.learning_rates)
        with recipe.autocast():
            loss = recipe.loss(model, inputs, labels, criterion)
        value = loss.item()
        if not math.isfinite(value):
            raise DivergedError(epoch, value)
        recipe.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.clip:
            nn.utils.clip_grad_norm_(recipe.optimizer.parameters, recipe.clip)
        recipe.optimizer.step(rate)
        recipe.after_step()
        total += value * len(labels)
        count += len(labels)
    return total / count


@torch.inference_mode()
def correct_fraction(model: nn.Module, batches: Iterator[Batch]) -> float:
    """Compute the fraction of inputs whose largest logit is at the label."""
    correct, count = 0, 0
    for inputs, labels in batches:
        correct += int((model(inputs).argmax(1) == labels).sum())
        count += len(labels)
    return correct / count
