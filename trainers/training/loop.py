"""One epoch of training and one of evaluation; nothing else.

No step waits for the device: losses stay there until the end of the epoch, and are looked at every
`CHECKED_STEPS` steps, so that a training that diverges ends soon.
"""

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

CHECKED_STEPS = 50
"""A loss that is NaN or infinite ends a training after at most so many further steps."""

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
        parts: A batch is computed in so many parts, whose gradients are added up.
    """

    optimizer: Optimizer
    learning_rates: Iterator[float]
    label_smoothing: float
    autocast: Callable[[], AbstractContextManager[None]]
    class_weights: Tensor | None = None
    clip: float = 0.0
    after_step: Callable[[], None] = _nothing
    loss: LossOf = _on_labels
    parts: int = 1


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
        DivergedError: A loss is NaN or infinite; at most `CHECKED_STEPS` steps were taken since.
    """
    criterion = partial(
        functional.cross_entropy,
        weight=recipe.class_weights,
        label_smoothing=recipe.label_smoothing,
    )
    losses: list[Tensor] = []
    sizes: list[int] = []
    for inputs, labels in batches:
        rate = next(recipe.learning_rates)
        recipe.optimizer.zero_grad()
        losses.append(_backward(model, inputs, labels, recipe, criterion))
        if (scaling := recipe.optimizer.scaling) is not None:
            scaling.unscale(recipe.optimizer.parameters)
        sizes.append(len(labels))
        if len(losses) % CHECKED_STEPS == 0:
            _check(losses[-CHECKED_STEPS:], epoch)
        if recipe.clip:
            nn.utils.clip_grad_norm_(recipe.optimizer.parameters, recipe.clip)
        recipe.optimizer.step(rate)
        if scaling is not None:
            scaling.update()
        recipe.after_step()
    values = _check(losses, epoch)
    return sum(value * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)


def _backward(
    model: nn.Module, inputs: Tensor, labels: Tensor, recipe: Recipe, criterion: Criterion
) -> Tensor:
    """Add the gradients of the mean loss of a batch; returns that loss."""
    # A batch norm needs two images, so that no part has one alone.
    parts = max(1, min(recipe.parts, len(labels) // 2))
    total: Tensor | None = None
    scaling = recipe.optimizer.scaling
    each = zip(inputs.tensor_split(parts), labels.tensor_split(parts), strict=True)
    for part, its in each:
        with recipe.autocast():
            loss = recipe.loss(model, part, its, criterion)
        if parts > 1:
            loss = loss * _share(its, labels, recipe.class_weights)
        scaled = loss if scaling is None else scaling.scaled(loss)
        scaled.backward()  # type: ignore[no-untyped-call]
        total = loss.detach() if total is None else total + loss.detach()
    assert total is not None  # noqa: S101 - there is at least one part
    return total


def _share(part: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor | float:
    """Return what the mean of a part counts in the mean of its batch."""
    if weights is None or labels.is_floating_point():
        return len(part) / len(labels)
    return weights[part].sum() / weights[labels].sum()


def _check(losses: list[Tensor], epoch: int) -> list[float]:
    """Return losses as numbers.

    Raises:
        DivergedError: One is none.
    """
    values: list[float] = torch.stack(losses).tolist()
    for value in values:
        if not math.isfinite(value):
            raise DivergedError(epoch, value)
    return values


@torch.inference_mode()
def correct_fraction(model: nn.Module, batches: Iterator[Batch]) -> float:
    """Compute the fraction of inputs whose largest logit is at the label."""
    correct: list[Tensor] = []
    count = 0
    for inputs, labels in batches:
        correct.append((model(inputs).argmax(1) == labels).sum())
        count += len(labels)
    return int(torch.stack(correct).sum()) / count
