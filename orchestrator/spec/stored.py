"""Objectives and constraints of a stored sweep, read without checking the rest of its spec.

A sweep that another version stored may have sections that this one does not know.
"""

from collections.abc import Mapping
from typing import Any

from orchestrator.constraints import Constraint
from orchestrator.objectives import Direction, Objective


def spec_objectives(spec: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Read the objectives of a stored spec: a direction each, or a mapping that holds one."""
    return tuple(
        Objective(name, Direction(goal["direction"] if isinstance(goal, Mapping) else goal))
        for name, goal in spec["objectives"].items()
    )


def spec_constraints(spec: Mapping[str, Any]) -> tuple[Constraint, ...]:
    """Read the constraints of a stored spec."""
    return tuple(map(Constraint.parse, spec.get("constraints") or ()))
