"""How many images a sized head can fit: the largest sample on which training reaches 100 %."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.determinism import derive_seed
from trainers.stages.cache import StageCache
from trainers.stages.keys import training_parameters
from trainers.stages.measurements import Measurements
from trainers.stages.weights import weights_digest
from trainers.training.beginnings import backbone_of
from trainers.training.examples import batch_sizes
from trainers.training.finetune import FineTuning
from trainers.training.loop import correct_fraction

_BATCH = 256
# A capacity is known to a tenth, which is less than it varies over seeds.
_EXACT = 1.1
_FIRST = 16
_MOST_EPOCHS = 10_000


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many images a head fitted.

    Attributes:
        images: The largest sample that was fitted; 0 if not even the smallest was.
        is_bounded: Whether a larger sample was tried and not fitted; else there were no more.
        parameters: Weights and biases of the head.
        trainings: How many samples were tried.
    """

    images: int
    is_bounded: bool
    parameters: int
    trainings: int


def head_capacity(
    config: TrialConfig,
    data: ImageData,
    *,
    random_labels: bool = False,
    cache: StageCache | None = None,
    progress: Callable[[int, bool], None] = lambda images, fitted: None,
) -> Capacity:
    """Find the largest sample of the training images that a head fits without an error.

    Samples double until one is not fitted; then the interval is halved until it is no wider than a
    tenth. Every sample is trained on for as many steps as the epochs of the config are on all
    images, so that a small one is not given up early. A sample is the first images of one order,
    so that each holds the smaller ones. The effective model complexity of Shwartz-Ziv et al., by
    accuracy alone: their further test of the Hessian, that training came to a minimum, is left
    out.

    Args:
        config: With ``tune: head``; its seed draws the order, the weights and random labels.
        data: Where samples are taken from.
        random_labels: Whether every image gets a random label: nothing but memory helps then.
        cache: Where each training's result is kept, so that an interrupted search goes on.
        progress: Called after each training with the sample's size, and whether it was fitted.

    References:
        R. Shwartz-Ziv et al. Just how flexible are neural networks in practice? 2024, section 3.
        https://arxiv.org/abs/2406.11463
    """
    sample = _shuffled(data, config.seed, random_labels=random_labels)
    parameters, trainings = 0, 0
    facts = {**training_parameters(config), "weights": _digest(config), "labels": random_labels}
    kept = Measurements("capacity", cache, data=data.content(), facts=facts)

    def is_fitted(images: int) -> bool:
        nonlocal parameters, trainings
        fitted: bool
        fitted, parameters = kept.value(
            {"images": images}, lambda: _fitted(config, sample, images)
        )
        trainings += 1
        progress(images, fitted)
        return fitted

    images, is_bounded = largest_sample(len(sample.train_labels), is_fitted)
    return Capacity(images, is_bounded, parameters, trainings)


def largest_sample(total: int, is_fitted: Callable[[int], bool]) -> tuple[int, bool]:
    """Find, to a tenth, the largest size up to which something holds.

    >>> largest_sample(1000, lambda size: size <= 300)
    (288, True)
    >>> largest_sample(1000, lambda size: True)
    (1000, False)

    Args:
        total: The largest size there is.
        is_fitted: Holds for small sizes, and not beyond some size.

    Returns:
        A size for which it holds, or 0, and whether a larger one was tried in vain.
    """
    fits, size = 0, min(_FIRST, total)
    while is_fitted(size):
        fits = size
        if size == total:
            return total, False
        size = min(2 * size, total)
    fails = size
    while fits and fails > _EXACT * fits and fails - fits > 1:
        middle = (fits + fails) // 2
        if is_fitted(middle):
            fits = middle
        else:
            fails = middle
    return fits, True


def _digest(config: TrialConfig) -> str:
    return weights_digest(config, backbone_of(config).features)


def _fitted(config: TrialConfig, sample: ImageData, images: int) -> tuple[bool, int]:
    """Return whether the first images of a sample are fitted, and the parameters of the head."""
    total = len(sample.train_labels)
    some = replace(
        sample,
        train_images=sample.train_images[:images],
        train_labels=sample.train_labels[:images],
    )
    every, own = (len(batch_sizes(n, config.batch_size)) for n in (total, images))
    epochs = min(_MOST_EPOCHS, -(-config.epochs * every // own))
    training = FineTuning(replace(config, epochs=epochs), some, device=torch.device("cpu"))
    parameters = sum(each.numel() for each in training.network.head.parameters())
    while not training.finished:
        training.run_epoch()
        model = training.network.head if training.on_features else training.network
        if correct_fraction(model.eval(), training.train.batches(_BATCH)) == 1:
            return True, parameters
    return False, parameters


def _shuffled(data: ImageData, seed: int, *, random_labels: bool) -> ImageData:
    rng = np.random.default_rng(derive_seed(seed, "capacity"))
    order = rng.permutation(len(data.train_labels))
    labels = data.train_labels[order]
    if random_labels:
        labels = rng.integers(0, len(data.classes), len(labels))
    return replace(data, train_images=data.train_images[order], train_labels=labels)
