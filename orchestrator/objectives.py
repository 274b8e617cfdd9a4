"""Objectives: what a sweep optimises, and in which direction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import UnknownNameError, UsageError
from orchestrator.quantities import QUANTITIES, human, known_direction, label
from orchestrator.quantities import (
    Direction as Direction,  # an objective's type; part of this door
)

_SUFFIXES = {
    "min": Direction.MINIMIZE,
    "max": Direction.MAXIMIZE,
    **{direction.value: direction for direction in Direction},
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
        """Convert a value so that smaller is better.

        >>> Objective("accuracy", Direction.MAXIMIZE).loss(0.9)
        -0.9
        """
        return -value if self.direction is Direction.MAXIMIZE else value

    def __str__(self) -> str:
        return f"{self.name} ({self.direction.value})"


def parse_objectives(
    names: Sequence[str], defaults: Iterable[Objective], measured: Iterable[str]
) -> tuple[Objective, ...]:
    """Parse names into objectives.

    Args:
        names: Each with ``:min`` or ``:max`` if its direction is not known, or is to differ.
        defaults: Objectives whose directions are known, in addition to `QUANTITIES`.
        measured: Names of the values that trials have; empty if nothing was measured yet.

    Raises:
        UnknownNameError: A name is neither a default nor measured.
        UsageError: The direction of a measured value is not known.

    >>> found = parse_objectives(["accuracy", "x_ms:min"], [], ["accuracy", "x_ms"])
    >>> [str(each) for each in found]
    ['accuracy (maximize)', 'x_ms (minimize)']
    """
    directions = {name: each.direction for name, each in QUANTITIES.items()}
    directions |= {objective.name: objective.direction for objective in defaults}
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
    """Return the names of the objectives for which `values` has no number (absent or NaN).

    >>> missing_values([Objective("accuracy", Direction.MAXIMIZE)], {"params": 3.0})
    ['accuracy']
    """
    return [
        objective.name
        for objective in objectives
        if values.get(objective.name) is None or values[objective.name] != values[objective.name]
    ]


def arrow(objective: Objective) -> str:
    """Write the objective's name with an arrow in the direction that is better.

    >>> arrow(Objective("memory_bytes", Direction.MINIMIZE))
    'memory ↓'
    """
    up = objective.direction is Direction.MAXIMIZE
    return f"{label(objective.name)} {'↑' if up else '↓'}"


def human_values(objectives: Iterable[Objective], values: Mapping[str, float]) -> str:
    """Write the objectives' values in one line, in the order of the objectives.

    >>> small = [Objective(name, Direction.MINIMIZE) for name in ("memory_bytes", "params")]
    >>> human_values(small, {"memory_bytes": 22400.0})
    'memory 22.4 kB, params -'
    """
    return ", ".join(
        f"{label(objective.name)} {human(objective.name, values.get(objective.name))}"
        for objective in objectives
    )
