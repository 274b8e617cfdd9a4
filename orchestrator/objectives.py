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
    "deepfool_perturbation": Direction.MAXIMIZE,
    "masked_gradient_signs": Direction.MINIMIZE,
    "memory_bytes": Direction.MINIMIZE,
    "head_bytes": Direction.MINIMIZE,
    "backbone_bytes": Direction.MINIMIZE,
    "storage_bytes": Direction.MINIMIZE,
    "params": Direction.MINIMIZE,
    "head_params": Direction.MINIMIZE,
    "trainable_params": Direction.MINIMIZE,
    "macs": Direction.MINIMIZE,
    "train_s": Direction.MINIMIZE,
    "eval_s": Direction.MINIMIZE,
}

# With a word of their own behind it these are other attacks, and better in the same direction.
_FAMILIES = ("robust_accuracy", "deepfool_perturbation", "masked_gradient_signs")


def known_direction(name: str) -> Direction | None:
    """Which way a measured value is better; None if that is not known.

    ``test_`` before a name changes nothing, nor does a word behind that of an attack.
    """
    plain = name.removeprefix("test_")
    family = next((each for each in _FAMILIES if plain.startswith(each)), plain)
    return KNOWN_DIRECTIONS.get(family)


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
