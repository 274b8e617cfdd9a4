"""What a training sets for the device that it computes on."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import nn

from trainers.errors import TrainerError


def chosen_device(*, cuda: bool | None = None, mps: bool | None = None) -> torch.device:
    """Choose where a trial computes: a CUDA GPU, else Apple's (MPS), else the CPU.

    Args:
        cuda: Whether there is a CUDA GPU; default: what torch sees.
        mps: Whether there is one of Apple's; default: what torch sees.

    >>> chosen_device(cuda=False, mps=True), chosen_device(cuda=True, mps=True)
    (device(type='mps'), device(type='cuda'))
    """
    if torch.cuda.is_available() if cuda is None else cuda:
        return torch.device("cuda")
    if torch.backends.mps.is_available() if mps is None else mps:
        return torch.device("mps")
    return torch.device("cpu")


def precision_problem(precision: str, device: str, *, has_bfloat16: bool) -> str:
    """Explain why a device does not compute in a precision; empty if it does.

    Args:
        precision: A value of `RecipeConfig.precision`.
        device: The type of a device, as ``cuda``.
        has_bfloat16: Whether a CUDA GPU has bfloat16.

    >>> precision_problem("bfloat16", "cpu", has_bfloat16=False)
    ''
    >>> precision_problem("bfloat16", "cuda", has_bfloat16=False)
    'precision is bfloat16, which the GPU does not have: write float16, float32 or auto.'
    """
    if precision == "bfloat16" and device == "cuda" and not has_bfloat16:
        return (
            "precision is bfloat16, which the GPU does not have: write float16, float32 or auto."
        )
    if precision in ("bfloat16", "float16") and device == "mps":
        return (
            f"precision is {precision}, and on Apple's GPUs trials compute in float32: write auto."
        )
    return ""


def precision_problem_here(precision: str) -> str:
    """Explain why the device of this machine does not compute in a precision; empty if it does.

    >>> precision_problem_here("auto")
    ''
    """
    device = chosen_device().type
    return precision_problem(precision, device, has_bfloat16=device == "cuda" and _has_bfloat16())


def _has_bfloat16() -> bool:
    # Emulated, it is slower than float32.
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def autocast(
    device: torch.device, precision: str = "auto"
) -> Callable[[], AbstractContextManager[None]]:
    """Return what makes the context of a forward pass.

    Args:
        device: Where it is computed.
        precision: ``auto`` is bfloat16 on GPUs that have it, else float32. Losses of ``float16``
            must be scaled (`trainers.training.loss_scale`).

    Raises:
        TrainerError: The device does not compute in this precision.

    >>> with autocast(torch.device("cpu"))():
    ...     torch.is_autocast_enabled("cpu")
    False
    """
    # bfloat16 needs no loss scaling; GPUs without it train in float32.
    has_it = device.type == "cuda" and _has_bfloat16()
    if problem := precision_problem(precision, device.type, has_bfloat16=has_it):
        raise TrainerError(problem)
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
