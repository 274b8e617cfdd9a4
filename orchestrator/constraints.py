"""Limits on measured values, and what a configuration is known to break before training."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from orchestrator.contracts import KnownValues, nothing_known
from orchestrator.errors import UsageError
from orchestrator.quantities import parse_quantity
from orchestrator.trials import Params

_CONSTRAINT = re.compile(r"\s*([A-Za-z_]\w*)\s*(<=|>=)(.*)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Constraint:
    """An upper or a lower limit on one measured value.

    Attributes:
        name: Name of the value, for example ``"memory_bytes"``.
        op: ``"<="`` for an upper limit, ``">="`` for a lower one; the limit itself is allowed.
        bound: The limit, finite, in the value's unit.
    """

    name: str
    op: Literal["<=", ">="]
    bound: float

    def __post_init__(self) -> None:
        if self.op not in ("<=", ">="):
            raise UsageError(f"A constraint compares with <= or >=, not with {self.op!r}.")
        if not math.isfinite(self.bound):
            raise UsageError(f"The limit of {self.name!r} must be finite, got {self.bound!r}.")

    @classmethod
    def parse(cls, text: str) -> "Constraint":
        """Parse a constraint such as ``"memory_bytes <= 200kB"``.

        Raises:
            UsageError: It is not a name, ``<=`` or ``>=``, and a quantity, in this order.

        >>> str(Constraint.parse("memory_bytes <= 200kB"))
        'memory_bytes <= 200000'
        """
        match = _CONSTRAINT.fullmatch(text)
        if match is None:
            raise UsageError(
                f"{text[:80]!r} is not a constraint: write a value's name, <= or >=, and a limit, "
                f"for example 'memory_bytes <= 200kB' or 'accuracy >= 0.9'."
            )
        name, op, bound = match.groups()
        return cls(name, cast(Literal["<=", ">="], op), parse_quantity(bound))

    def violation(self, values: Mapping[str, float]) -> float:
        """Measure by how many multiples of ``|bound|`` (of 1 if it is 0) the limit is exceeded.

        Returns:
            At most 0 if the constraint is met. Infinite if the value is missing or NaN: a network
            that was not measured is not known to fit.

        >>> Constraint.parse("memory_bytes <= 200kB").violation({"memory_bytes": 300_000.0})
        0.5
        """
        value = values.get(self.name, math.nan)
        if math.isnan(value):
            return math.inf
        excess = value - self.bound if self.op == "<=" else self.bound - value
        return excess / (abs(self.bound) or 1.0)

    def __str__(self) -> str:
        return f"{self.name} {self.op} {self.bound:.12g}"


def feasible(constraints: Iterable[Constraint], values: Mapping[str, float]) -> bool:
    """Return whether every constraint is met.

    >>> limits = [Constraint.parse("memory_bytes <= 200kB")]
    >>> feasible(limits, {"memory_bytes": 200_000.0}), feasible(limits, {})
    (True, False)
    """
    return all(constraint.violation(values) <= 0 for constraint in constraints)


def total_violation(constraints: Iterable[Constraint], values: Mapping[str, float]) -> float:
    """Sum the violations of the constraints that are not met; 0 if all are met.

    >>> limits = [Constraint.parse("params <= 100"), Constraint.parse("accuracy >= 0.8")]
    >>> total_violation(limits, {"params": 150.0, "accuracy": 0.9})
    0.5
    """
    return sum(max(0.0, constraint.violation(values)) for constraint in constraints)


class KnownConstraints:
    """Tells whether a trial of a configuration could meet the constraints.

    Only values that are known before training are considered. They are closed forms of the
    configuration and thus the same for every driver, so nothing of this is stored.

    Args:
        constraints: Limits that a trial must meet.
        known: Returns the values of a configuration that are known before training.
    """

    def __init__(self, constraints: Iterable[Constraint] = (), known: KnownValues = nothing_known):
        self._constraints = tuple(constraints)
        self.known = known

    def broken(self, params: Params) -> list[Constraint]:
        """Return the constraints that the configuration is known to violate."""
        known = self.known(params)
        return [c for c in self._constraints if c.name in known and c.violation(known) > 0]

    def violations(self, params: Params) -> dict[str, float]:
        """Compute the violation of each constraint, by its text; 0 if the value is unknown."""
        known = self.known(params)
        return {str(c): c.violation(known) if c.name in known else 0.0 for c in self._constraints}
