"""One integer from which every random choice of a trial follows."""

import hashlib
import json
import random

import numpy as np
import torch


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
