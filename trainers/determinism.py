"""One integer from which every random choice of a trial follows."""

import hashlib
import json
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

_BORROWING = threading.RLock()


def derive_seed(seed: int, *purposes: str | int) -> int:
    """Derive an independent seed for one purpose, the same in every process and machine.

    >>> derive_seed(0, "head") == derive_seed(0, "head") != derive_seed(0, "order")
    True

    Args:
        seed: The seed that the user chose.
        purposes: What the derived seed is for, for example `"head"` or `"epoch", 3`.

    Returns:
        An integer in [0, 2**63).
    """
    text = json.dumps([seed, *purposes])
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_everything(seed: int) -> None:
    """Seed the global generators, which third-party code (dropout, torchvision) draws from.

    The code of this package takes a generator or a seed; this is for code that cannot.

    >>> seed_everything(7)
    >>> first = torch.rand(1)
    >>> seed_everything(7)
    >>> torch.equal(torch.rand(1), first)
    True
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - foreign libraries still read it
    torch.manual_seed(seed)


@contextmanager
def borrowed_generators(devices: Sequence[torch.device] = ()) -> Iterator[None]:
    """Seed the global generators of torch and draw from them; they are as before afterwards.

    Other threads that borrow them wait. `torch.random.fork_rng` alone would put back, at its end,
    what another thread had seeded when it began.

    Args:
        devices: Whose generators are borrowed too, beside the CPU's.

    >>> before = torch.random.get_rng_state()
    >>> with borrowed_generators():
    ...     _ = torch.manual_seed(7)
    >>> torch.equal(torch.random.get_rng_state(), before)
    True
    """
    with _BORROWING, torch.random.fork_rng(devices=devices):
        yield


def set_threads(count: int) -> None:
    """Set the number of threads that torch uses in this process.

    Args:
        count: At least 1; one for each CPU that the trial was given.

    Raises:
        ValueError: `count` is below 1.

    >>> set_threads(0)
    Traceback (most recent call last):
    ValueError: a trial needs at least one thread, and was given 0.
    """
    if count < 1:
        raise ValueError(f"a trial needs at least one thread, and was given {count}.")
    torch.set_num_threads(count)


def gpu_count() -> int:
    """Count the CUDA devices that torch sees on this machine."""
    return torch.cuda.device_count()
