"""What kind of failure ended a trial."""

import torch

from trainers.errors import DivergedError, is_storage_full


def failure_kind(error: BaseException) -> str:
    """Classify an error by itself and its causes.

    Returns:
        ``diverged``, ``out_of_memory``, ``storage_full`` or ``error``.

    >>> failure_kind(MemoryError()), failure_kind(ValueError("x"))
    ('out_of_memory', 'error')
    """
    if isinstance(error, DivergedError):
        return "diverged"
    if _is_out_of_memory(error):
        return "out_of_memory"
    return "storage_full" if is_storage_full(error) else "error"


def _is_out_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            return True
        # torch raises a plain RuntimeError when the CPU allocator fails.
        if isinstance(error, RuntimeError) and "not enough memory" in str(error):
            return True
        error = error.__cause__
    return False
