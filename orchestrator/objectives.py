"""Objectives: what a sweep optimises, and in which direction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which way is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


# Directions of the quantities that this project measures (docs/glossary.md has their units), so
# that a query may name a quantity that the sweep did not optimise.
KNOWN_DIRECTIONS: Mapping[str, Direction] = {
    "accuracy": Direction.MAXIMIZE,
    "robust_accuracy": Direction.MAXIMIZE,
    "memory_bytes": Direction.MINIMIZE,
    "head_bytes": Direction.MINIMIZE,
    "backbone_bytes": Direction.MINIMIZE,
    "params": Direction.MINIMIZE,
    "head_params": Direction.MINIMIZE,
    "trainable_params": Direction.MINIMIZE,
    "macs": Direction.MINIMIZE,
    "train_s": Direction.MINIMIZE,
    "eval_s": Direction.MINIMIZE,
}


@dataclass(frozen=True, slots=True)
class Objective:
    """A measured quantity and the direction in which it is better.

    Attributes:
        name: Name of the value, for example ``"memory_bytes"``.
        direction: Which way is better.
    """

    name: str
    direction: Direction

    def loss(self, value: float) -> float:
        """Turn a value so that smaller is better."""
        return -value if self.direction is Direction.MAXIMIZE else value

    def __str__(self) -> str:
        return f"{self.name} ({self.direction.value})"


def missing_values(objectives: Iterable[Objective], values: Mapping[str, float]) -> list[str]:
    """Names of the objectives that `values` holds no number for (absent or NaN)."""
    return [
        objective.name
        for objective in objectives
        if values.get(objective.name) is None or values[objective.name] != values[objective.name]
    ]
