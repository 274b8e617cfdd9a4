"""Batches that a model is trained and evaluated on: pixels, or features computed from them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainers.networks.inputs import to_unit
from trainers.training.loop import Batch

# Features of a frozen backbone are kept up to this size; larger ones are recomputed every epoch.
FEATURE_BYTES = 2 * 2**30

Draw = tuple[int, ...]
"""What an image is drawn from besides the seed: the number of the view or the epoch, its own
number among the training images, and how often it was in this epoch before, unless that is 0."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Inputs and labels, and the conversion of stored inputs to what the model takes.

    Attributes:
        inputs: uint8 pixels, or float features on the device, along the first axis.
        labels: int64 (N,), on the device.
        device: Device of the model.
        to_model: Converts a batch of inputs on the device to what the model takes.
    """

    inputs: np.ndarray | Tensor
    labels: Tensor
    device: torch.device
    to_model: Callable[[Tensor], Tensor]

    @property
    def count(self) -> int:
        """The number of examples."""
        return len(self.labels)

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[Batch]:
        """Yield batches in the given order; the last one may be smaller."""
        indices = np.arange(self.count) if order is None else order
        for first in range(0, len(indices), size):
            yield self.at(indices[first : first + size])

    def training_batches(self, size: int, order: np.ndarray) -> Iterator[Batch]:
        """Yield batches in the given order, of the sizes that `batch_sizes` gives."""
        yield from map(self.at, steps_of(order, size))

    def at(
        self, chosen: np.ndarray, change: Callable[[Tensor], Tensor] = lambda inputs: inputs
    ) -> Batch:
        """Return a batch.

        Args:
            chosen: Numbers of the examples, int (N,).
            change: What is done to the inputs as they are stored, before they are converted.
        """
        # Indexing with an array copies, so that shared read-only images stay untouched.
        taken = self.inputs[chosen]
        batch = torch.from_numpy(taken) if isinstance(taken, np.ndarray) else taken
        return self.to_model(self._sent(change(batch))), self.labels[
            self._sent(torch.from_numpy(chosen))
        ]

    def _sent(self, batch: Tensor) -> Tensor:
        """Send a batch to the device without waiting for its arrival."""
        if self.device.type == "cuda" and batch.device.type == "cpu":
            batch = batch.pin_memory()
        return batch.to(self.device, non_blocking=True)

    @torch.inference_mode()
    def mapped(self, function: Callable[[Tensor], Tensor], size: int, which: slice) -> Tensor:
        """Apply `function` to a slice of the inputs, in batches, and concatenate the results."""
        order = np.arange(self.count)[which]
        return torch.cat([function(batch) for batch, _ in self.batches(size, order)])

    def replaced(self, inputs: Tensor) -> "Examples":
        """Return the same examples with other inputs, which the model takes as they are."""
        return Examples(inputs.to(self.device), self.labels, self.device, lambda batch: batch)


def batch_sizes(count: int, size: int) -> list[int]:
    """Return the number of images in each step of an epoch.

    Every batch has `size` images; the last one has the remainder. A remainder of one image is
    added to the batch before it: a batch norm raises on a single image whose maps are one pixel,
    because they have no variance.

    >>> batch_sizes(10, 4), batch_sizes(9, 4)
    ([4, 4, 2], [4, 5])

    Args:
        count: Images, at least 1.
        size: Images per step, at least 1.
    """
    full, rest = divmod(count, size)
    sizes = [size] * full
    if rest == 1 and full:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


def steps_of(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Split an epoch's order into batches of the sizes that `batch_sizes` gives."""
    return np.split(order, np.cumsum(batch_sizes(len(order), size))[:-1])


def pixels(images: np.ndarray, labels: np.ndarray, device: torch.device) -> Examples:
    """Wrap images as examples; each batch becomes float pixels in [0, 1] on the device.

    Args:
        images: uint8 (N, C, H, W); not modified.
        labels: int64 (N,).
        device: Device of the model.

    >>> examples = pixels(np.array([[[[255]]]], np.uint8), np.array([3]), torch.device("cpu"))
    >>> [(inputs.tolist(), labels.tolist()) for inputs, labels in examples.batches(1)]
    [([[[[1.0]]]], [3])]
    """
    return Examples(images, torch.tensor(labels, device=device), device, to_unit)
