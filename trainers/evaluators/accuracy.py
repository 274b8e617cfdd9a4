"""Top-1 accuracy on images in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainers.errors import TrainerError
from trainers.inputs import to_unit

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Predictions = NDArray[np.int64]


def accuracy(
    network: nn.Module,
    images: Images,
    labels: Labels,
    *,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
) -> float:
    """The fraction of images whose largest logit is at their label, in [0, 1].

    Args:
        network: As for `predict`.
        images: As for `predict`; at least one.
        labels: int64 (N,).
        batch_size: As for `predict`.
        device: As for `predict`.

    Raises:
        ValueError: There are no images, or not as many labels.
        TrainerError: The network answers with NaN.
    """
    check_labelled(images, labels)
    predictions = predict(network, images, batch_size=batch_size, device=device)
    return float((predictions == labels).mean())


def predict(
    network: nn.Module,
    images: Images,
    *,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
) -> Predictions:
    """The class with the largest logit for each image; the first of several that tie.

    Args:
        network: Pixels in [0, 1] to logits. Run in eval mode; left in the mode and on the device
            on which it was.
        images: uint8 (N, C, H, W); may be read-only. N may be 0.
        batch_size: Images at once, at least 1; it bounds the memory.
        device: Where to compute.

    Returns:
        int64 (N,).

    Raises:
        ValueError: The images have another type or shape, or `batch_size` is below 1.
        TrainerError: The network answers with NaN.
    """
    check_images(images)
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; at least 1 is needed.")
    answers = np.empty(len(images), np.int64)
    with under_test(network, device), torch.inference_mode():
        for first in range(0, len(images), batch_size):
            batch = slice(first, first + batch_size)
            # Copied: arrays in shared memory are read-only, which torch.from_numpy warns about.
            pixels = to_unit(torch.tensor(images[batch], device=device))
            answers[batch] = classified(network, pixels).cpu().numpy()
    return answers


def classified(network: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Classes int64 (N,) of float pixels (N, C, H, W) in [0, 1].

    Raises:
        TrainerError: The network answers with NaN, of which no class is the largest.
    """
    logits: torch.Tensor = network(pixels)
    if torch.isnan(logits).any():
        raise TrainerError(
            f"the network answers {int(torch.isnan(logits).any(1).sum())} of {len(logits)} images "
            f"with NaN: its activations overflow. Lower the learning rate, or use more bits."
        )
    return logits.argmax(1)


@contextmanager
def under_test(network: nn.Module, device: torch.device | str) -> Iterator[None]:
    """Put a network on a device, in eval mode and without gradients; undo that afterwards."""
    modes = {module: module.training for module in network.modules()}
    gradients = {parameter: parameter.requires_grad for parameter in network.parameters()}
    before = next((parameter.device for parameter in gradients), None)
    try:
        network.to(device).eval().requires_grad_(requires_grad=False)
        yield
    finally:
        network.to(before)
        for module, training in modes.items():
            # Not by `train()`, which would tell the children too.
            module.training = training
        for parameter, requires_grad in gradients.items():
            parameter.requires_grad = requires_grad


def check_images(images: Images) -> None:
    """Refuse what is not a set of images."""
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(
            f"images are uint8 arrays of shape (N, C, H, W); got {images.dtype} {images.shape}."
        )


def check_labelled(images: Images, labels: Labels) -> None:
    """Refuse an empty set, of which there is no accuracy, and labels that do not match."""
    if len(images) == 0:
        raise ValueError("there are no images to measure an accuracy on; at least 1 is needed.")
    if labels.shape != (len(images),):
        raise ValueError(f"{len(images)} images have labels of shape {labels.shape}.")
