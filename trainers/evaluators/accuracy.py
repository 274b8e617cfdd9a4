"""Logits and top-1 accuracy on images in memory."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainers.errors import TrainerError
from trainers.networks.inputs import to_unit
from trainers.networks.network import Network

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Logits = NDArray[np.float32]
PredictedClasses = NDArray[np.int64]

# Images per batch. Larger batches are not faster on a CPU.
_BATCH = 256


def accuracy(
    network: nn.Module,
    images: Images,
    labels: Labels,
    *,
    batch_size: int = _BATCH,
    device: torch.device | str = "cpu",
) -> float:
    """Compute the fraction of images whose largest logit is at their label, in [0, 1].

    Args:
        network: As for `predict`.
        images: As for `predict`; at least one.
        labels: int64 (N,).
        batch_size: As for `predict`.
        device: As for `predict`.

    Raises:
        ValueError: There are no images, or the number of labels differs.
        TrainerError: A logit is NaN.

    >>> images, labels = np.zeros((2, 1, 1, 1), np.uint8), np.array([0, 1])
    >>> accuracy(nn.Sequential(nn.Flatten(), nn.Linear(1, 2)), images, labels)  # one answer
    0.5
    """
    check_labelled(images, labels)
    predictions = predict(network, images, batch_size=batch_size, device=device)
    return float((predictions == labels).mean())


def predict(
    network: nn.Module,
    images: Images,
    *,
    batch_size: int = _BATCH,
    device: torch.device | str = "cpu",
) -> PredictedClasses:
    """Predict the class with the largest logit for each image; the first one in a tie.

    Args:
        network: As for `compute_logits`.
        images: As for `compute_logits`.
        batch_size: As for `compute_logits`.
        device: Device to compute on.

    Returns:
        int64 (N,).

    Raises:
        ValueError: The images have another type or shape, or `batch_size` is below 1.
        TrainerError: A logit is NaN.

    >>> images = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    >>> predict(nn.Flatten(), images).tolist()  # a single logit is always the largest
    [0, 0]
    """
    check_images(images)
    if not len(images):
        return np.empty(0, np.int64)
    logits = compute_logits(network, images, batch_size=batch_size, device=device)
    return np.asarray(logits.argmax(1))


def compute_logits(
    network: nn.Module,
    images: Images,
    *,
    batch_size: int = _BATCH,
    device: torch.device | str = "cpu",
) -> Logits:
    """Compute the logits of images.

    Args:
        network: Maps pixels in [0, 1] to logits. It runs in eval mode; its mode and device are
            restored afterwards.
        images: uint8 (N, C, H, W); may be read-only. N is at least 1.
        batch_size: Images per batch, at least 1; it bounds the memory.
        device: Device to compute on.

    Returns:
        float32 (N, classes).

    Raises:
        ValueError: The images have another type or shape, or `batch_size` is below 1.
        TrainerError: A logit is NaN.

    >>> images = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    >>> compute_logits(nn.Flatten(), images).tolist()  # the network sees pixels in [0, 1]
    [[0.0], [1.0]]
    """
    check_images(images)
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; at least 1 is needed.")
    return logits_of(network, _pixels(images, batch_size, device), device)


def logits_of(
    network: nn.Module, batches: Iterable[torch.Tensor], device: torch.device | str
) -> Logits:
    """Compute the logits of inputs, as in `compute_logits`.

    Args:
        network: Maps inputs to logits: a whole network, or a head alone.
        batches: Float tensors on the device, at least one, processed one after the other.
        device: Device to compute on.

    Raises:
        TrainerError: A logit is NaN.

    >>> logits_of(nn.ReLU(), [torch.tensor([[-1.0, 2.0]]), torch.zeros(1, 2)], "cpu").tolist()
    [[0.0, 2.0], [0.0, 0.0]]
    """
    with under_test(network, device), torch.inference_mode():
        return np.concatenate([_answered(network, batch).cpu().numpy() for batch in batches])


def feature_vectors(
    network: Network, images: Images, *, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Compute the inputs of a network's head from images, in the batches of `predict`.

    Returns:
        float (N, n_features), on the device.

    >>> from trainers.networks.network import build_network
    >>> network = build_network("digitnet", weights="scratch", widths=(), classes=10)
    >>> tuple(feature_vectors(network, np.zeros((2, 1, 28, 28), np.uint8)).shape)
    (2, 576)
    """
    check_images(images)
    with under_test(network, device), torch.inference_mode():
        batches = _pixels(images, _BATCH, device)
        return torch.cat([network.feature_vectors(pixels) for pixels in batches])


def logits_from(
    head: nn.Module, vectors: torch.Tensor, *, device: torch.device | str = "cpu"
) -> Logits:
    """Compute logits from the results of `feature_vectors`, with the head alone.

    They equal those of `compute_logits`, because the batches are the same.

    Raises:
        TrainerError: A logit is NaN.

    >>> logits_from(nn.ReLU(), torch.tensor([[-1.0, 2.0], [3.0, -4.0]])).tolist()
    [[0.0, 2.0], [3.0, 0.0]]
    """
    batches = (vectors[which].to(device) for which in _slices(len(vectors), _BATCH))
    return logits_of(head, batches, device)


def _pixels(images: Images, batch_size: int, device: torch.device | str) -> Iterator[torch.Tensor]:
    """Yield batches of images as float pixels in [0, 1]."""
    for which in _slices(len(images), batch_size):
        # Copied: arrays in shared memory are read-only, which torch.from_numpy warns about.
        yield to_unit(torch.tensor(images[which], device=device))


def _slices(count: int, batch_size: int) -> Iterator[slice]:
    return (slice(first, first + batch_size) for first in range(0, count, batch_size))


def classified(network: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Classify float pixels (N, C, H, W) in [0, 1]: int64 (N,).

    Raises:
        TrainerError: A logit is NaN, so that no class has the largest one.

    >>> classified(nn.Identity(), torch.tensor([[0.1, float("nan")]]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.errors.TrainerError: the network answers 1 of 1 images with NaN: ...
    """
    return _answered(network, pixels).argmax(1)


def _answered(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = network(inputs)
    if torch.isnan(logits).any():
        raise TrainerError(
            f"the network answers {int(torch.isnan(logits).any(1).sum())} of {len(logits)} images "
            f"with NaN: its activations overflow. Lower the learning rate, or use more bits."
        )
    return logits


@contextmanager
def under_test(network: nn.Module, device: torch.device | str) -> Iterator[None]:
    """Put a network on a device, in eval mode and without gradients; undo that afterwards.

    >>> network = nn.Linear(1, 1)
    >>> with under_test(network, "cpu"):
    ...     network.training, network.weight.requires_grad
    (False, False)
    >>> network.training, network.weight.requires_grad
    (True, True)
    """
    modes = {module: module.training for module in network.modules()}
    gradients = {parameter: parameter.requires_grad for parameter in network.parameters()}
    before = next((parameter.device for parameter in gradients), None)
    try:
        network.to(device).eval().requires_grad_(requires_grad=False)
        yield
    finally:
        network.to(before)
        for module, training in modes.items():
            # Not by `train()`, which would change the children too.
            module.training = training
        for parameter, requires_grad in gradients.items():
            parameter.requires_grad = requires_grad


def check_images(images: Images) -> None:
    """Reject an array that is not a set of images.

    >>> check_images(np.zeros((2, 8, 8), np.uint8))
    Traceback (most recent call last):
    ValueError: images are uint8 arrays of shape (N, C, H, W); got uint8 (2, 8, 8).
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(
            f"images are uint8 arrays of shape (N, C, H, W); got {images.dtype} {images.shape}."
        )


def check_labelled(images: Images, labels: Labels) -> None:
    """Reject an empty set, which has no accuracy, and labels that do not match.

    >>> check_labelled(np.zeros((2, 1, 8, 8), np.uint8), np.array([0]))
    Traceback (most recent call last):
    ValueError: 2 images have labels of shape (1,).
    """
    if len(images) == 0:
        raise ValueError("there are no images to measure an accuracy on; at least 1 is needed.")
    if labels.shape != (len(images),):
        raise ValueError(f"{len(images)} images have labels of shape {labels.shape}.")
