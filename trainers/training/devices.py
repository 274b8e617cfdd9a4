"""What a training sets for the device that it computes on."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch


def autocast(device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """Return what makes the context of a forward pass: bfloat16 on GPUs that have it.

    >>> with autocast(torch.device("cpu"))():
    ...     torch.is_autocast_enabled("cpu")
    False
    """
    # bfloat16 needs no loss scaling; GPUs without it train in float32.
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return partial(torch.autocast, "cuda", dtype=torch.bfloat16)
    return nullcontext


def forked(device: torch.device) -> list[torch.device]:
    """Return the devices whose generators `torch.random.fork_rng` must restore.

    >>> forked(torch.device("cpu"))
    []
    """
    return [device] if device.type == "cuda" else []
