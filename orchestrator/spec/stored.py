"""Objectives, constraints and claim of a stored sweep, read without checking the rest of its spec.

A sweep that another version stored may have sections that this one does not know.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.constraints import Constraint
from orchestrator.objectives import Direction, Objective
from orchestrator.spec.claim_section import ClaimSection
from orchestrator.state_folder import StateFolder
from trainers.networks.backbone_table import WEIGHT_WORDS

PATHS = (("data", "folder"), ("data", "npz"), ("data", "root"), ("backbone", "weights"))
"""Keys of a spec that may hold a path to what trials learn from."""


def spec_objectives(spec: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Read the objectives of a stored spec: a direction each, or a mapping that holds one."""
    return tuple(
        Objective(name, Direction(goal["direction"] if isinstance(goal, Mapping) else goal))
        for name, goal in spec["objectives"].items()
    )


def spec_constraints(spec: Mapping[str, Any]) -> tuple[Constraint, ...]:
    """Read the constraints of a stored spec."""
    return tuple(map(Constraint.parse, spec.get("constraints") or ()))


def places_of(spec: Mapping[str, Any], state: StateFolder) -> dict[str, str]:
    """Where the paths of a spec that lie in the project are, as seen from its state folder.

    A project's data move with it, and whoever has the store alone finds them so.
    """
    project = state.root.parent
    return {
        f"{section}.{key}": Path(os.path.relpath(path, state.root)).as_posix()
        for section, key in PATHS
        if (path := _path(spec, section, key)) is not None and path.is_relative_to(project)
    }


def with_places(
    spec: Mapping[str, Any], content: Mapping[str, Any], state: StateFolder
) -> dict[str, Any]:
    """A stored spec whose paths are those of the project of today, where something lies there.

    Args:
        spec: As it was stored.
        content: What the store has of the sweep's content, `places_of` among it.
        state: The state folder.
    """
    places = content.get("places") or {}
    found = {**spec}
    for section, key in PATHS:
        place = places.get(f"{section}.{key}")
        here = Path(os.path.normpath(state.root / place)) if place else None
        if here is not None and here.exists() and _path(spec, section, key) is not None:
            found[section] = {**found[section], key: str(here)}
    return found


def _path(spec: Mapping[str, Any], section: str, key: str) -> Path | None:
    values = spec.get(section)
    text = values.get(key) if isinstance(values, Mapping) else None
    if not isinstance(text, str) or text in WEIGHT_WORDS:
        return None
    return Path(text)


def spec_claim(spec: Mapping[str, Any]) -> ClaimSection | None:
    """Read what a stored spec claims; None if nothing was fixed before the sweep began."""
    section = spec.get("claim")
    return None if section is None else ClaimSection.model_validate(section)
