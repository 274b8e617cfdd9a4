"""Objectives, constraints and claim of a stored sweep, read without checking the rest of its spec.

A sweep stored by another version may have sections that this one does not know.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.constraints import Constraint
from orchestrator.objectives import Direction, Objective
from orchestrator.spec.claim_section import ClaimSection
from orchestrator.state_folder import StateFolder
from trainers.doors import take_note
from trainers.networks.backbone_table import WEIGHT_WORDS
from trainers.networks.brought.registry import is_code

PATHS = (("data", "folder"), ("data", "npz"), ("data", "root"), ("backbone", "weights"))
"""Keys of a spec that may hold a path to what trials learn from."""


# Prefix of the names of places that are files of a user's own code.
_CODE = "code:"


def spec_objectives(spec: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Read the objectives of a stored spec: a direction each, or a mapping that holds one.

    >>> stored = {"accuracy": "maximize", "params": {"direction": "minimize"}}
    >>> [str(each) for each in spec_objectives({"objectives": stored})]
    ['accuracy (maximize)', 'params (minimize)']
    """
    return tuple(
        Objective(name, Direction(goal["direction"] if isinstance(goal, Mapping) else goal))
        for name, goal in spec["objectives"].items()
    )


def spec_constraints(spec: Mapping[str, Any]) -> tuple[Constraint, ...]:
    """Read the constraints of a stored spec.

    >>> [str(each) for each in spec_constraints({"constraints": ["memory_bytes <= 200kB"]})]
    ['memory_bytes <= 200000']
    >>> spec_constraints({})
    ()
    """
    return tuple(map(Constraint.parse, spec.get("constraints") or ()))


def flat_spec(spec: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return the values of a stored spec by dotted keys; an empty section is a value.

    >>> flat_spec({"training": {"epochs": 2}, "attacks": {}})
    {'training.epochs': 2, 'attacks': {}}
    """
    flat: dict[str, object] = {}
    for key, value in spec.items():
        if isinstance(value, Mapping) and value:
            flat |= flat_spec(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def places_of(spec: Mapping[str, Any], state: StateFolder) -> dict[str, str]:
    """Return the paths of a spec that are within the project, relative to its state folder.

    Data within a project move with it, and are found again from the store alone.

    >>> places_of({"data": {"folder": "/project/images"}}, StateFolder(Path("/project/.paretune")))
    {'data.folder': '../images'}
    """
    project = state.root.parent
    code = {
        f"{_CODE}{file}": Path(os.path.relpath(file, state.root)).as_posix()
        for file in sorted(_code_files(spec))
        if Path(file).is_relative_to(project)
    }
    return code | {
        f"{section}.{key}": Path(os.path.relpath(path, state.root)).as_posix()
        for section, key in PATHS
        if (path := _path(spec, section, key)) is not None and path.is_relative_to(project)
    }


def with_places(
    spec: Mapping[str, Any], content: Mapping[str, Any], state: StateFolder
) -> dict[str, Any]:
    """Return a stored spec with its paths moved to today's project, where they exist there.

    Args:
        spec: The stored spec.
        content: The stored content of the sweep, including `places_of`.
        state: The state folder.

    >>> with_places({"data": {"name": "digits"}}, {}, StateFolder(Path("/project/.paretune")))
    {'data': {'name': 'digits'}}
    """
    places = content.get("places") or {}
    moved = {
        name.removeprefix(_CODE): os.path.normpath(state.root / place)
        for name, place in places.items()
        if name.startswith(_CODE)
    }
    here_now = {was: here for was, here in moved.items() if Path(here).is_file()}
    found: dict[str, Any] = _with_code(spec, here_now)
    for section, key in PATHS:
        place = places.get(f"{section}.{key}")
        here = Path(os.path.normpath(state.root / place)) if place else None
        if here is not None and here.exists() and _path(spec, section, key) is not None:
            found[section] = {**found[section], key: str(here)}
    return found


def _code_files(value: Any) -> set[str]:
    """Return the files of a user's own code that a spec names anywhere."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return set().union(*map(_code_files, value))
    file, colon, _ = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return {file} if colon and file.endswith(".py") and Path(file).is_absolute() else set()


def _with_code(value: Any, moved: Mapping[str, str]) -> Any:
    """Return a spec with the files of a user's own code where they are now."""
    if isinstance(value, Mapping):
        return {key: _with_code(each, moved) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_code(each, moved) for each in value]
    file, _, name = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return f"{moved[file]}:{name}" if file in moved else value


def _path(spec: Mapping[str, Any], section: str, key: str) -> Path | None:
    values = spec.get(section)
    text = values.get(key) if isinstance(values, Mapping) else None
    if not isinstance(text, str) or text in WEIGHT_WORDS:
        return None
    return Path(text)


def note_code(spec: Mapping[str, Any]) -> None:
    """Remember where a stored sweep's backbone has its code, for packed networks to be loaded.

    >>> note_code({"backbone": {"name": "digitnet"}})
    """
    section = spec.get("backbone")
    name = section.get("name") if isinstance(section, Mapping) else None
    if isinstance(name, str) and is_code(name):
        take_note(name)


def spec_claim(spec: Mapping[str, Any]) -> ClaimSection | None:
    """Read the claim of a stored spec; None if none was fixed before the sweep began.

    >>> spec_claim({}) is None
    True
    >>> spec_claim({"claim": {"margin": 0.03}}).margin
    0.03
    """
    section = spec.get("claim")
    return None if section is None else ClaimSection.model_validate(section)
