"""Networks on the meta device, to be sized or to be filled with weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextmanager
def without_memory() -> Iterator[None]:
    """Build modules in this context on the meta device, without memory for their weights.

    >>> with without_memory():
    ...     torch.nn.Linear(100_000, 100_000).weight.device.type
    'meta'
    """
    with torch.device("meta"), _WithoutDraws():
        yield


class _WithoutDraws(TorchFunctionMode):
    """Skips the draws of random initialization, which have no effect on the meta device.

    The first `normal_` there makes torch 2.14 import its compiler: 3 to 6 s in each new process.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.Tensor.normal_:
            return args[0]
        return func(*args, **(kwargs or {}))
