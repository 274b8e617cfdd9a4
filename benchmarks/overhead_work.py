"""The trials of the overhead benchmark: one space, one training function, for both sides."""

from collections.abc import Sequence
from typing import Any

CPUS = 2
SPANS_NAME = "spans.json"  # [end, length] of each trial, in seconds since the epoch and seconds
VALUES: dict[str, Sequence[Any]] = {
    "fc_width_1": [16, 24, 32, 48, 64, 96, 128, 192, 256],
    "bits": [2, 3, 4, 5, 6, 8],
    "fc_bits": [2, 3, 4, 6, 8],
    "learning_rate": [1e-3, 3e-3, 1e-2],
}
OBJECTIVES = {
    "accuracy": "maximize",
    "memory_bytes": "minimize",
    "robust_accuracy": "maximize",
}
ATTACK: dict[str, Any] = {"attack": "pgd", "epsilon": 8 / 255, "steps": 5, "samples": 50}
