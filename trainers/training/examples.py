"""What a model is trained and measured on, batch by batch: pixels, or features of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainers.networks.inputs import to_unit
from trainers.training.loop import Batch

# Features of a frozen backbone are kept up to this size, and computed anew each time beyond it.
FEATURE_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Examples:
    """Inputs and labels with the way from a stored input to what the model takes.

    Attributes:
        inputs: uint8 pixels, or float features on the device, along the first axis.
        labels: int64 (N,), on the device.
        device: Where the model is.
        to_model: From a batch of inputs on the device to what the model takes.
    """

    inputs: np.ndarray | Tensor
    labels: Tensor
    device: torch.device
    to_model: Callable[[Tensor], Tensor]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.labels)

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[Batch]:
        """Batches in the given order; the last one may be smaller."""
        indices = np.arange(self.count) if order is None else order
        yield from self._taken(
            indices[first : first + size] for first in range(0, self.count, size)
        )

    def training_batches(self, size: int, order: np.ndarray) -> Iterator[Batch]:
        """Batches in the given order, as many and as large as `batch_sizes` says."""
        ends = np.cumsum(batch_sizes(self.count, size))
        yield from self._taken(np.split(order, ends[:-1]))

    def _taken(self, batches: Iterable[np.ndarray]) -> Iterator[Batch]:
        for chosen in batches:
            # Indexing with an array copies, so that shared read-only images stay untouched.
            taken = self.inputs[chosen]
            batch = torch.from_numpy(taken) if isinstance(taken, np.ndarray) else taken
            batch = self.to_model(batch.to(self.device, non_blocking=True))
            yield batch, self.labels[torch.from_numpy(chosen)]

    @torch.inference_mode()
    def mapped(self, function: Callable[[Tensor], Tensor], size: int, which: slice) -> Tensor:
        """What `function` makes of each of some neighbouring inputs."""
        order = np.arange(self.count)[which]
        return torch.cat([function(batch) for batch, _ in self.batches(size, order)])

    def replaced(self, inputs: Tensor) -> "Examples":
        """The same examples with what the model takes in the place of their inputs."""
        return Examples(inputs.to(self.device), self.labels, self.device, lambda batch: batch)


def batch_sizes(count: int, size: int) -> list[int]:
    """How many images each step of an epoch sees.

    `size`, and what remains in the end. A single image that remains goes with the batch before:
    of one image a batch norm has no variance where a map is one pixel, and refuses it.

    Args:
        count: Images, at least 1.
        size: Images a step, at least 1.
    """
    full, rest = divmod(count, size)
    sizes = [size] * full
    if rest == 1 and full:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


def pixels(images: np.ndarray, labels: np.ndarray, device: torch.device) -> Examples:
    """Images as they lie there; a batch of them becomes float pixels in [0, 1] on the device.

    Args:
        images: uint8 (N, C, H, W); stays untouched.
        labels: int64 (N,).
        device: Where the model is.
    """
    return Examples(images, torch.tensor(labels, device=device), device, to_unit)
