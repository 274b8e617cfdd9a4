"""Trainings that the judge compares: some kernels are given, the rest is trained."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor, nn

from trainers.data.image_data import ImageData
from trainers.determinism import derive_seed
from trainers.networks.backbones import build_backbone
from trainers.networks.network import Network, assemble_network
from trainers.quantization.plan import CONVOLUTIONS
from trainers.recipes.config import RecipeConfig
from trainers.training.examples import batch_sizes, pixels
from trainers.training.loop import Recipe, correct_fraction, train_epoch
from trainers.training.optimizers import AdamW, Group
from trainers.training.schedules import learning_rates

_EVALUATION_BATCH = 256


class Trained(StrEnum):
    """What a training changes."""

    REST = "rest"
    """Norms and head; the convolutions stay as they are."""
    ALL = "all"
    """Everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Settings that all trainings of one judgement share.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images a step.
        learning_rate: Peak of the cosine schedule; the optimizer is AdamW.
        weight_decay: Decoupled.
        image_size: Side in pixels that the backbone sees; None is its own.
    """

    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    image_size: int | None = None

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: A value is out of range; the sentence names it.
        """
        if min(self.epochs, self.batch_size) < 1 or not 0 < self.learning_rate <= 10:
            raise ValueError(
                f"a judgement needs at least 1 epoch, 1 image a step and a learning rate in "
                f"(0, 10]; given are {self.epochs}, {self.batch_size} and {self.learning_rate:g}."
            )


def build_network(
    backbone: str, state: Mapping[str, Tensor], classes: int, *, budget: Budget, seed: int
) -> Network:
    """Build a network with the given backbone and a new linear head.

    >>> state = scratch_state("digitnet", seed=0)
    >>> network = build_network("digitnet", state, 10, budget=Budget(), seed=0)
    >>> network(torch.zeros(1, 1, 28, 28)).shape
    torch.Size([1, 10])
    """
    parts = build_backbone(backbone, "scratch", seed=0, image_size=budget.image_size)
    parts.features.load_state_dict(dict(state))
    return assemble_network(parts, (), classes, seed=derive_seed(seed, "weights"))


def scratch_state(backbone: str, seed: int) -> dict[str, Tensor]:
    """Return the state dict of a backbone drawn at random.

    >>> one, same, other = (scratch_state("digitnet", seed) for seed in (0, 0, 1))
    >>> name = next(iter(one))
    >>> torch.equal(one[name], same[name]), torch.equal(one[name], other[name])
    (True, False)
    """
    return build_backbone(backbone, "scratch", seed=seed).features.state_dict()


def train(
    network: Network,
    data: ImageData,
    trained: Trained,
    *,
    budget: Budget,
    seed: int,
    frozen: Sequence[str] = (),
) -> float:
    """Train a network in place; return its accuracy on the validation images.

    Two trainings with the same seed see the same images in the same order. The modules of the
    backbone that `frozen` names stay as they are, statistics of norms included.

    Raises:
        DivergedError: The loss became NaN or infinite.
    """
    parameters = _select(network, trained, frozen)
    device = torch.device("cpu")
    examples = pixels(*data.subset("train"), device)
    steps = len(batch_sizes(examples.count, budget.batch_size))
    rates = learning_rates(
        RecipeConfig(),
        budget.learning_rate,
        steps_per_epoch=steps,
        epochs=budget.epochs,
        from_epoch=0,
    )
    recipe = Recipe(AdamW([Group(parameters, budget.weight_decay)]), rates, 0.0, nullcontext)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "dropout"))
        network.train()
        for epoch in range(1, budget.epochs + 1):
            order = np.random.default_rng(derive_seed(seed, "order", epoch))
            batches = examples.training_batches(
                budget.batch_size, order.permutation(examples.count)
            )
            train_epoch(network, batches, recipe, epoch=epoch)
    network.eval()
    return accuracy(network, data)


def accuracy(network: Network, data: ImageData) -> float:
    """Return the accuracy of a network on the validation images."""
    examples = pixels(*data.subset("val"), torch.device("cpu"))
    return correct_fraction(network.eval(), examples.batches(_EVALUATION_BATCH))


def _select(network: Network, trained: Trained, frozen: Sequence[str]) -> list[nn.Parameter]:
    network.set_trainable("all", frozen=frozen)
    if trained is Trained.REST:
        for module in network.features.modules():
            if isinstance(module, CONVOLUTIONS):
                module.requires_grad_(requires_grad=False)
    return [each for each in network.parameters() if each.requires_grad]


def few_per_class(data: ImageData, count: int | None, *, seed: int) -> ImageData:
    """Keep at most `count` training images of each class, chosen by the seed.

    Raises:
        ValueError: `count` is below 1.

    >>> images, labels = np.zeros((4, 1, 8, 8), np.uint8), np.array([0, 0, 0, 1])
    >>> data = ImageData("few", ("a", "b"), images, labels, images, labels, images, labels)
    >>> few_per_class(data, 1, seed=0).train_labels.tolist()
    [0, 1]
    """
    if count is None:
        return data
    if count < 1:
        raise ValueError(f"at least 1 image of each class is needed to train on, not {count}.")
    rng = np.random.default_rng(derive_seed(seed, "few per class"))
    order = rng.permutation(len(data.train_labels))
    labels = data.train_labels[order]
    kept = np.sort(
        np.concatenate([order[labels == label][:count] for label in range(len(data.classes))])
    )
    images = np.ascontiguousarray(data.train_images[kept])
    return replace(data, train_images=images, train_labels=data.train_labels[kept])
