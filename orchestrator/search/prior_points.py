"""What was measured elsewhere, fitted to a sweep: in its space, in its types, with its values."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.constraints import Constraint
from orchestrator.objectives import Objective
from orchestrator.trials import PriorPoint, Value
from search_spaces import Choice, Domain, Int, SearchSpace

Row = Mapping[str, object]
"""A configuration with its measured values, as its source has them: parameters and values by
name. Numbers from a text file are strings."""

_EXAMPLES = 3
_LONGEST = 40  # characters of a foreign value in a message


@dataclass(slots=True)
class Fitted:
    """What a sweep can learn from a source, and why not from the rest.

    Attributes:
        points: What can be learned from, in the source's order.
        total: How many configurations the source holds.
        unmeasured: How many of them lack a finite number for an objective or a constraint.
        outside: Why the others are not in the space, such as ``fc_width_1 = 600``; one each.
    """

    points: list[PriorPoint] = field(default_factory=list)
    total: int = 0
    unmeasured: int = 0
    outside: list[str] = field(default_factory=list)

    def sentence(self, source: str, needed: Iterable[str]) -> str:
        """Say ``37 of 40 points of SOURCE: 3 are outside the space (fc_width_1 = 600)``."""
        left_out = []
        if self.unmeasured:
            verb = "lacks" if self.unmeasured == 1 else "lack"
            left_out.append(f"{self.unmeasured} {verb} a number for one of {', '.join(needed)}")
        if self.outside:
            reasons = list(dict.fromkeys(self.outside))
            examples = ", ".join(reasons[:_EXAMPLES]) + (" ..." if reasons[_EXAMPLES:] else "")
            verb = "is" if len(self.outside) == 1 else "are"
            left_out.append(f"{len(self.outside)} {verb} outside the space ({examples})")
        why = f": {'; '.join(left_out)}" if left_out else ""
        return f"{len(self.points)} of {self.total} points of {source}{why}"


def needed_values(
    objectives: Iterable[Objective], constraints: Iterable[Constraint]
) -> tuple[str, ...]:
    """Return the names of the values that a sampler needs of a point.

    >>> from orchestrator.objectives import Direction
    >>> limits = [Constraint.parse("params <= 50"), Constraint.parse("accuracy >= 0.8")]
    >>> needed_values([Objective("accuracy", Direction.MAXIMIZE)], limits)
    ('accuracy', 'params')
    """
    limited = (constraint.name for constraint in constraints)
    return tuple(dict.fromkeys([*(objective.name for objective in objectives), *limited]))


def fit(rows: Iterable[Row], space: SearchSpace, needed: Iterable[str], source: str) -> Fitted:
    """Extract from each row what a sweep can learn from; anything else in it is ignored.

    A row that lacks one of the values is left out: without a measurement it is unknown whether a
    network meets a constraint. So is a row that lacks a parameter, or has a value for it outside
    the space, after its type was converted (`fit_to_domain`).

    Args:
        rows: What the source holds.
        space: What may be proposed.
        needed: Names of the values.
        source: In words, for the points.

    >>> space = SearchSpace({"bits": Choice((4, 8))})
    >>> rows = [{"bits": "4", "accuracy": "0.9"}, {"bits": "3", "accuracy": "0.8"}, {"bits": "8"}]
    >>> fit(rows, space, ["accuracy"], "csv").sentence("csv", ["accuracy"])
    '1 of 3 points of csv: 1 lacks a number for one of accuracy; 1 is outside the space (bits = 3)'
    """
    names, found = tuple(needed), Fitted()
    for row in rows:
        found.total += 1
        values = {name: _number(row.get(name)) for name in names}
        finite = {name: value for name, value in values.items() if value is not None}
        params = _params(space, row)
        if len(finite) < len(names):
            found.unmeasured += 1
        elif isinstance(params, str):
            found.outside.append(params)
        else:
            found.points.append(PriorPoint(params, finite, source))
    return found


def fit_to_domain(domain: Domain, value: object) -> Value | None:
    """Convert a value to the equal value of the domain: 4.0 and ``"4"`` to 4.

    Returns:
        The value; None if the domain contains nothing like it.

    >>> fit_to_domain(Int(1, 8), "4"), fit_to_domain(Int(1, 8), 2.5)
    (4, None)
    """
    if domain.contains(value):
        return domain.canonical(value)  # type: ignore[arg-type]  # contained, so a Value
    if isinstance(domain, Choice):
        return _choice(domain, value)
    number = _number(value)
    if number is not None and isinstance(domain, Int):
        number = int(number) if number.is_integer() else None
    return domain.canonical(number) if domain.contains(number) and number is not None else None


def _params(space: SearchSpace, row: Row) -> dict[str, Value] | str:
    """The configuration in a row, or why it is none of the space."""
    params: dict[str, Value] = {}
    for name in space.names:
        condition = space.conditions.get(name)
        if condition is not None and not condition.holds(params):
            continue
        if row.get(name) is None:
            return f"no {name}"
        value = fit_to_domain(space.domains[name], row[name])
        if value is None:
            return f"{name} = {str(row[name])[:_LONGEST]}"
        params[name] = value
    return space.canonical(params)


def _choice(domain: Choice, value: object) -> Value | None:
    """The option that a value of another type means; the first, where several are equal to it."""
    if isinstance(value, str):
        for option in domain.options:
            if value in (json.dumps(option), str(option)):
                return option
    number = _number(value)
    numbers = [each for each in domain.options if not isinstance(each, bool | str)]
    return next((each for each in numbers if number is not None and each == number), None)


def _number(value: object) -> float | None:
    """A finite number, also one that is written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
