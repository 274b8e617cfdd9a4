"""Facts of a backbone that is brought along, as they are found by building it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainers.doors import DoorError, shown_error


class BroughtError(DoorError, ValueError):
    """A backbone that is brought along cannot be built, or breaks a promise."""


@dataclass(frozen=True, slots=True)
class BroughtFacts:
    """Facts of one backbone.

    Attributes:
        name: By which artifacts and cache keys refer to it: with the digest of its code, without
            the folder that this lies in.
        source: What builds it: a resolved reference, or timm's name after ``timm:``.
        n_features: Numbers that it returns for an image.
        n_blocks: Blocks that were given or found.
        parameters: Learnable parameters.
        image_size: Side in pixels of the images that it sees.
        mean: Of each input channel, pixels in [0, 1].
        std: As `mean`.
        words: The words that name weights of it; the first is the default.
    """

    name: str
    source: str
    n_features: int
    n_blocks: int
    parameters: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    words: tuple[str, ...]


def failed_call(name: str, mode: str, shape: Sequence[int], error: BaseException) -> BroughtError:
    """Say that a backbone raised when it was called with a batch, and where in its code.

    Args:
        name: Of the backbone, perhaps with the digest of its code.
        mode: ``train`` or ``eval``.
        shape: (N, C, H, W) of the batch.
        error: What it raised.

    >>> print(failed_call("my_model:build#0123", "train", (4, 3, 8, 8), AssertionError()))
    ... # doctest: +NORMALIZE_WHITESPACE
    my_model:build was called in train mode with 4 images of 3x8x8, and raised AssertionError
    without a message. Mend it for batches of any size: a step has batch_size images, the last
    one of an epoch has fewer, and up to 256 are measured at once.
    """
    count, *image = shape
    sizes = "x".join(map(str, image))
    return BroughtError(
        f"{name.partition('#')[0]} was called in {mode} mode with {count} images of {sizes}, and "
        f"raised {shown_error(error)}. Mend it for batches of any size: a step has batch_size "
        f"images, the last one of an epoch has fewer, and up to 256 are measured at once."
    )


def check_channels(name: str, mean: Any, std: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return a mean and a deviation for each channel, of which there are one or three.

    Raises:
        BroughtError: There are others; the message names them.

    >>> check_channels("my_model:build", [0.5], [0.25])
    ((0.5,), (0.25,))
    """
    try:
        means, stds = tuple(map(float, mean)), tuple(map(float, std))
    except (TypeError, ValueError):
        means, stds = (), ()
    numbers = len(means) in (1, 3) and len(means) == len(stds) and min(stds) > 0
    if not numbers or not all(map(math.isfinite, (*means, *stds))):
        raise BroughtError(
            f"{name} has mean {mean!r} and std {std!r}; one number for each of 1 or 3 channels is "
            f"needed, of pixels in [0, 1], the deviations positive."
        )
    return means, stds
