"""Images that a small network can learn in a second, and the config of such a trial."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trainers.config import TrialConfig
from trainers.data import ImageData

SIZES = {"train": 70, "val": 30, "test": 20}


def _subset(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright band whose place is the class."""
    labels = np.arange(count) % 3
    images = rng.integers(0, 120, (count, 1, 12, 12))
    for image, label in zip(images, labels, strict=True):
        image[0, 4 * label : 4 * label + 4] += 100
    return images.astype(np.uint8), labels.astype(np.int64)


@pytest.fixture
def bands() -> ImageData:
    """Three classes in 12 by 12 pixels; read-only, as Ray gives them."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, count in SIZES.items():
        arrays[f"{name}_images"], arrays[f"{name}_labels"] = _subset(count, rng)
    for array in arrays.values():
        array.setflags(write=False)
    return ImageData(name="bands", classes=("top", "middle", "bottom"), **arrays)


@pytest.fixture
def make_config() -> Callable[..., TrialConfig]:
    """A trial of three epochs on digitnet."""

    def make(**changes: Any) -> TrialConfig:
        given = {"backbone": "digitnet", "weights": "scratch", "widths": (8,), "epochs": 3}
        return TrialConfig(**{**given, "batch_size": 32, **changes})

    return make
