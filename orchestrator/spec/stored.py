"""Objectives, constraints and claim of a stored sweep, read without checking the rest of its spec.

A sweep that another version stored may have sections that this one does not know.
"""

from collections.abc import Mapping
from typing import Any

from orchestrator.constraints import Constraint
from orchestrator.objectives import Direction, Objective
from orchestrator.spec.claim_section import ClaimSection


def spec_objectives(spec: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Read the objectives of a stored spec: a direction each, or a mapping that holds one."""
    return tuple(
        Objective(name, Direction(goal["direction"] if isinstance(goal, Mapping) else goal))
        for name, goal in spec["objectives"].items()
    )


def spec_constraints(spec: Mapping[str, Any]) -> tuple[Constraint, ...]:
    """Read the constraints of a stored spec."""
    return tuple(map(Constraint.parse, spec.get("constraints") or ()))


def spec_claim(spec: Mapping[str, Any]) -> ClaimSection | None:
    """Read what a stored spec claims; None if nothing was fixed before the sweep began."""
    section = spec.get("claim")
    return None if section is None else ClaimSection.model_validate(section)
