"""Make pre-trained weights of a backbone: plain supervised training on one data set."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from trainers.data.image_data import ImageData, Images
from trainers.determinism import derive_seed
from trainers.networks.backbones.building import build_backbone
from trainers.networks.backbones.digitnet import digitnet_features, folded
from trainers.networks.inputs import to_unit
from trainers.networks.network import Network, assemble_network
from trainers.recipes.config import RecipeConfig
from trainers.training.examples import batch_sizes, pixels
from trainers.training.loop import (
    Batch,
    Recipe,
    correct_fraction,
    train_epoch,
)
from trainers.training.optimizers import AdamW, Group
from trainers.training.schedules import learning_rates

logger = logging.getLogger(__name__)

_BATCH_SIZE = 128
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 0.05
_DROPOUT = 0.3
_LABEL_SMOOTHING = 0.05
_MAX_SHIFT = 2
_EVALUATION_BATCH = 500


@dataclass(frozen=True)
class PretrainResult:
    """Result of pre-training a backbone.

    Attributes:
        path: The safetensors file with the backbone's weights.
        val_accuracy: Accuracy, as a fraction, of the written backbone with the head that it was
            trained with.
        test_accuracy: As `val_accuracy`, on the test images; measured once, at the end.
        train_losses: Mean loss of each epoch.
        seconds: Wall-clock time.
    """

    path: Path
    val_accuracy: float
    test_accuracy: float
    train_losses: tuple[float, ...]
    seconds: float


def pretrain(
    backbone: str, data: ImageData, *, epochs: int, seed: int, to: Path, flip: bool = True
) -> PretrainResult:
    """Train a backbone with its reference head from scratch, and write the backbone.

    The recipe: AdamW with weight decay 0.05 and batches of 128, a learning rate that warms up to
    0.003 and falls to zero along half a cosine, dropout 0.3 in the head, labels smoothed by 0.05,
    images shifted by up to two pixels and mirrored at random. digitnet is trained with a batch
    norm after each convolution, which is folded into it at the end; the accuracies are those of
    the folded network. Each epoch is logged.

    Args:
        backbone: One of `backbone_names()`.
        data: Data set to train on.
        epochs: Passes over the training images, at least 1.
        seed: Decides weights, order, augmentation and dropout.
        to: The `.safetensors` file to write; its metadata record how it was made.
        flip: Whether to mirror half of the images; wrong for digits and letters.

    Raises:
        ValueError: There is no such backbone, `epochs` is below 1, or `to` has another extension.
        DivergedError: The loss became NaN or infinite.
    """
    if epochs < 1:
        raise ValueError(f"pre-training needs at least one epoch; {epochs} were asked for.")
    if to.suffix != ".safetensors":
        raise ValueError(f"weights are written as safetensors; {to} has another extension.")
    began = time.perf_counter()
    network = _network_to_train(backbone, len(data.classes), seed)
    losses = _train(network, data, epochs=epochs, seed=seed, flip=flip)
    if network.spec.backbone == "digitnet":
        network.features = folded(network.features)
    result = PretrainResult(
        path=to,
        val_accuracy=_accuracy(network, data, "val"),
        test_accuracy=_accuracy(network, data, "test"),
        train_losses=losses,
        seconds=time.perf_counter() - began,
    )
    origin = {
        "backbone": network.spec.backbone,
        "data": data.name,
        "data_fingerprint": data.fingerprint(),
        "epochs": epochs,
        "seed": seed,
        "flip": flip,
        "recipe": "trainers/training/pretrain.py",
        "test_accuracy": round(result.test_accuracy, 4),
    }
    _write(network.features, to, origin)
    return result


def _network_to_train(name: str, classes: int, seed: int) -> Network:
    backbone = build_backbone(name, "scratch", seed=seed)
    if backbone.name == "digitnet":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "backbone", backbone.name))
            backbone = replace(backbone, features=digitnet_features(batch_norm=True))
    widths = backbone.reference_widths
    return assemble_network(backbone, widths, classes, dropout=_DROPOUT, seed=seed)


def _train(
    network: Network, data: ImageData, *, epochs: int, seed: int, flip: bool
) -> tuple[float, ...]:
    recipe = Recipe(
        optimizer=AdamW([Group(list(network.parameters()), _WEIGHT_DECAY)]),
        learning_rates=learning_rates(
            RecipeConfig(),
            _LEARNING_RATE,
            steps_per_epoch=len(batch_sizes(len(data.train_labels), _BATCH_SIZE)),
            epochs=epochs,
            from_epoch=0,
        ),
        label_smoothing=_LABEL_SMOOTHING,
        autocast=nullcontext,
    )
    losses = []
    # Dropout draws from the global generator, which is left as it was found.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "dropout"))
        for epoch in range(1, epochs + 1):
            rng = np.random.default_rng(derive_seed(seed, "order", epoch))
            network.train()
            batches = _augmented_batches(data, rng, flip=flip)
            loss = train_epoch(network, batches, recipe, epoch=epoch)
            losses.append(loss)
            accuracy = _accuracy(network, data, "val")
            logger.info(
                "epoch %d of %d: loss %.4f, validation accuracy %.4f",
                epoch,
                epochs,
                loss,
                accuracy,
            )
    return tuple(losses)


def _augmented_batches(
    data: ImageData, rng: np.random.Generator, *, flip: bool
) -> Iterator[Batch]:
    order = rng.permutation(len(data.train_labels))
    for chosen in np.split(order, np.cumsum(batch_sizes(len(order), _BATCH_SIZE))[:-1]):
        images = _shifted(data.train_images[chosen], rng)
        if flip:
            mirrored = rng.random(len(images)) < 0.5
            images[mirrored] = images[mirrored, :, :, ::-1]
        yield to_unit(torch.from_numpy(images)), torch.from_numpy(data.train_labels[chosen])


def _shifted(images: Images, rng: np.random.Generator) -> Images:
    """Shift each image by up to two pixels along both axes; uncovered pixels are black."""
    count, _, height, width = images.shape
    margin = (_MAX_SHIFT, _MAX_SHIFT)
    padded = np.pad(images, ((0, 0), (0, 0), margin, margin))
    offsets = rng.integers(0, 2 * _MAX_SHIFT + 1, size=(2, count, 1))
    rows = offsets[0] + np.arange(height)
    columns = offsets[1] + np.arange(width)
    image = np.arange(count)[:, None, None]
    # Index arrays on both sides of the channels' slice put the channels last.
    moved = padded[image, :, rows[:, :, None], columns[:, None, :]]
    return np.ascontiguousarray(moved.transpose(0, 3, 1, 2))


def _accuracy(network: Network, data: ImageData, subset: str) -> float:
    examples = pixels(*data.subset(subset), torch.device("cpu"))
    network.eval()
    return correct_fraction(network, examples.batches(_EVALUATION_BATCH))


def _write(features: nn.Module, path: Path, origin: dict[str, object]) -> None:
    tensors = {key: tensor.contiguous() for key, tensor in features.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata={"origin": json.dumps(origin)})
    partial.replace(path)
