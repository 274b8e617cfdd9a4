"""Objectives: what a sweep optimises, and in which direction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.errors import UnknownNameError, UsageError


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

_SUFFIXES = {
    "min": Direction.MINIMIZE,
    "max": Direction.MAXIMIZE,
    **{direction.value: direction for direction in Direction},
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


def parse_objectives(
    names: Sequence[str], defaults: Iterable[Objective], measured: Iterable[str]
) -> tuple[Objective, ...]:
    """Turn names into objectives.

    Args:
        names: Each with ``:min`` or ``:max`` where the direction is not known, or is to differ.
        defaults: Objectives whose directions are known, beside `KNOWN_DIRECTIONS`.
        measured: Names of the values that trials have; empty if nothing was measured yet.

    Raises:
        UnknownNameError: A name is neither a default nor measured.
        UsageError: The direction of a measured value is not known.
    """
    directions = {**KNOWN_DIRECTIONS, **{o.name: o.direction for o in defaults}}
    known = set(measured) | {objective.name for objective in defaults}
    found = []
    for text in [names] if isinstance(names, str) else names:
        name, colon, suffix = (part.strip() for part in text.partition(":"))
        if name not in (known if measured else known | directions.keys()):
            raise UnknownNameError("objective", name, known)
        if colon and suffix not in _SUFFIXES:
            raise UnknownNameError("direction", suffix, _SUFFIXES, where=repr(text))
        direction = _SUFFIXES[suffix] if colon else directions.get(name) or known_direction(name)
        if direction is None:
            raise UsageError(
                f"Whether {name!r} is better small or large is not known: write {name}:min or "
                f"{name}:max."
            )
        found.append(Objective(name, direction))
    return tuple(found)


def missing_values(objectives: Iterable[Objective], values: Mapping[str, float]) -> list[str]:
    """Names of the objectives that `values` holds no number for (absent or NaN)."""
    return [
        objective.name
        for objective in objectives
        if values.get(objective.name) is None or values[objective.name] != values[objective.name]
    ]
