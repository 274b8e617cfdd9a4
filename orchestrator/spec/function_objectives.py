"""Objectives that a function of a user's own measures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidatorFunctionWrapHandler

from orchestrator.quantities import QUANTITIES, quantity
from orchestrator.spec.measure_sections import ObjectiveSection
from orchestrator.spec.section import found_reference


def with_functions(
    given: object, validated: ValidatorFunctionWrapHandler
) -> dict[str, ObjectiveSection]:
    """Validate objectives; those with a function may have any name that no other value has.

    Args:
        given: The section ``objectives`` as it was read.
        validated: Validates a section without functions.

    Raises:
        ValueError: A function measures a value that has a meaning already.

    >>> own = {"sharpness": {"function": "my_metric:sharpness", "direction": "minimize"}}
    >>> with_functions(own, dict)["sharpness"].function
    'my_metric:sharpness'
    """
    own = {
        name: section
        for name, section in (given.items() if isinstance(given, Mapping) else ())
        if _function_of(section) is not None
    }
    if not own or not isinstance(given, Mapping):
        plain: dict[str, ObjectiveSection] = validated(given)
        return plain
    for name in own:
        _check_name(name)
    others = {name: section for name, section in given.items() if name not in own}
    found = dict(validated(others)) if others else {}
    found |= {name: ObjectiveSection.model_validate(section) for name, section in own.items()}
    return {name: found[name] for name in given}


def with_resolved_functions(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a sweep file's content with the functions of its objectives found in a folder.

    What is no reference stays, to be refused where it is validated.

    >>> from tempfile import TemporaryDirectory
    >>> data = {"objectives": {"size": {"function": "my_metric:size", "direction": "minimize"}}}
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "my_metric.py").touch()
    ...     with_resolved_functions(data, Path(folder))["objectives"]["size"]["function"]
    '/...my_metric.py:size'
    """
    sections = data.get("objectives")
    if not isinstance(sections, Mapping):
        return dict(data)
    return {
        **data,
        "objectives": {name: _resolved(section, folder) for name, section in sections.items()},
    }


def _resolved(section: Any, folder: Path) -> Any:
    reference = _function_of(section)
    if not isinstance(reference, str):
        return section
    return {**section, "function": found_reference(reference, folder)}


def _function_of(section: object) -> object:
    if isinstance(section, ObjectiveSection):
        return section.function
    return section.get("function") if isinstance(section, Mapping) else None


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii():
        raise ValueError(
            f"{name!r} cannot be the name of a value: use letters, digits and underscores."
        )
    if name in QUANTITIES or quantity(name).is_attack or name.startswith("test_"):
        raise ValueError(
            f"{name} is measured by paretune itself, so that a function cannot have that name: "
            f"give it another one, as in my_{name}."
        )
