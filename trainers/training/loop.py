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
    """Settings of the training steps.

    Attributes:
        optimizer: Optimizer of the parameters to tune.
        learning_rates: One for each step.
        label_smoothing: In [0, 1).
        autocast: Returns the context manager in which the forward pass runs.
        after_step: Called with the gradients of each step, after it was taken.
    """

    optimizer: Optimizer
    learning_rates: Iterator[float]
    label_smoothing: float
    autocast: Callable[[], AbstractContextManager[None]]
    after_step: Callable[[], None] = lambda: None


def train_epoch(
    model: nn.Module, batches: Iterator[Batch], recipe: Recipe, *, epoch: int
) -> float:
    """Take one optimizer step per batch.

    Args:
        model: In training mode; maps inputs to logits (N, classes).
        batches: Inputs and int64 labels (N,), on the model's device.
        recipe: Settings of the steps.
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
        recipe.after_step()
        total += value * len(labels)
        count += len(labels)
    return total / count


@torch.inference_mode()
def correct_fraction(model: nn.Module, batches: Iterator[Batch]) -> float:
    """Compute the fraction of inputs whose largest logit is at the label, in evaluation mode."""
    correct, count = 0, 0
    for inputs, labels in batches:
        correct += int((model(inputs).argmax(1) == labels).sum())
        count += len(labels)
    return correct / count


def cosine_learning_rates(
    peak: float, *, steps_per_epoch: int, epochs: int, from_epoch: int
) -> Iterator[float]:
    """Yield the learning rates of the remaining steps: linear warm-up, then half a cosine to zero.

    Each rate depends only on the number of its step, so that a resumed training continues exactly
    where it stopped. The warm-up takes the first 5 % of all steps, at least one.

    >>> list(cosine_learning_rates(0.1, steps_per_epoch=1, epochs=3, from_epoch=0))
    [0.1, 0.1, 0.05]

    Args:
        peak: Largest learning rate.
        steps_per_epoch: Steps in an epoch.
        epochs: Number of epochs of the whole training.
        from_epoch: Number of epochs that are finished.

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
