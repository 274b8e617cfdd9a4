"""The memory that a network needs while it classifies one image, from its tensors' shapes."""

import copy
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trainers.evaluators.accuracy import under_test
from trainers.quantization.activations import activation_levels, float_activations


def peak_activation_bytes(network: nn.Module, image_shape: Sequence[int]) -> int:
    """Compute the largest total size of the tensors that a network makes of one image.

    Counted is every tensor, the image included, in float32 or with the bits that the network's
    activations have, from when it is made until nothing
    refers to it any more: a shortcut of a residual block is held while the block is computed, and
    what is changed in place is counted once. What an operation needs within itself is not counted;
    a runtime that fuses operations needs less.

    The network runs once. It would not have to on the meta device, but that imports torch's
    compiler, for seconds in each new process.

    >>> peak_activation_bytes(nn.Conv2d(1, 2, 3, padding=1), (1, 10, 10))  # 100 and 200 pixels
    1200

    Args:
        network: As for `trainers.evaluators.accuracy.predict`, on the CPU.
        image_shape: (C, H, W).
    """
    bits = 32
    if levels := activation_levels(network):
        bits = next(iter(levels.values())).bits
        # What rounding makes is not there in a runtime that computes with codes.
        network = copy.deepcopy(network)
        float_activations(network)
    live = _LiveBytes()
    with under_test(network, "cpu"), torch.inference_mode(), live:
        network(torch.zeros(1, *image_shape))
    return -(-live.peak * bits // 32)


class _LiveBytes(TorchFunctionMode):
    """Counts the bytes of the tensors that are made while it is active, and are still there."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._seen: set[int] = set()

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else (made,):
            if isinstance(each, Tensor):
                self._count(each.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        # A view shares the storage of what it views, and so does what is changed in place.
        key = storage._cdata  # noqa: SLF001 - torch has no other name for the identity of a storage
        if key in self._seen:
            return
        size = storage.nbytes()
        self._seen.add(key)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self._now -= size
