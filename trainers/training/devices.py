"""What a training sets for the device that it computes on."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import nn


def autocast(
    device: torch.device, precision: str = "auto"
) -> Callable[[], AbstractContextManager[None]]:
    """Return what makes the context of a forward pass.

    Args:
        device: Where it is computed.
        precision: ``auto`` is bfloat16 on GPUs that have it, else float32. Losses of ``float16``
            must be scaled (`trainers.training.loss_scale`).

    >>> with autocast(torch.device("cpu"))():
    ...     torch.is_autocast_enabled("cpu")
    False
    """
    # bfloat16 needs no loss scaling; GPUs without it train in float32.
    has_it = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if precision == "float16":
        return partial(torch.autocast, device.type, dtype=torch.float16)
    if precision == "bfloat16" or (precision == "auto" and has_it):
        return partial(torch.autocast, device.type, dtype=torch.bfloat16)
    return nullcontext


def bound_memory(share: float) -> None:
    """Keep this process within its share of a GPU's memory, so that others on it have theirs.

    An allocation beyond the share raises `torch.OutOfMemoryError`, as on a smaller GPU. What CUDA
    itself takes, some hundred MB a process, is not counted.

    Args:
        share: Of one GPU; a whole one, or none, sets no bound.

    >>> bound_memory(1.0)
    """
    if 0 < share < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)


def compiled(model: nn.Module, *, wanted: bool) -> None:
    """Let `torch.compile` compile what a model computes, or undo that; the model stays the same.

    >>> model = nn.Linear(1, 1)
    >>> compiled(model, wanted=False)
    >>> model(torch.zeros(1, 1)).shape
    torch.Size([1, 1])
    """
    if not wanted:
        model._compiled_call_impl = None  # noqa: SLF001 - there is no other way back
    elif model._compiled_call_impl is None:  # noqa: SLF001
        model.compile()


def forked(device: torch.device) -> list[torch.device]:
    """Return the devices whose generators `torch.random.fork_rng` must restore.

    >>> forked(torch.device("cpu"))
    []
    """
    return [device] if device.type == "cuda" else []
