"""Quantizers, pruning criteria and attacks of a user's own, wherever a sweep file names them."""

from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.spec.paths import FolderOf
from orchestrator.spec.pruning_section import PruningSection
from orchestrator.spec.section import found_reference
from search_spaces import Choice
from trainers.doors import is_part, is_reference, shipped
from trainers.networks.brought.registry import TIMM

if TYPE_CHECKING:
    from orchestrator.spec.sweep_spec import SweepSpec

FRONT = "front_measures"
_MEASURES = ("objectives", "measures", FRONT)
_SAMPLED = {"quantizer": "quantizers", "pruning_criterion": "criteria"}
_PLACES = {
    "backbone": "the section backbone",
    "quantizer": "quantization.quantizer",
    "pruning_criterion": "pruning.criterion",
}


def with_resolved_attacks(data: Mapping[str, Any], folder_of: FolderOf) -> dict[str, Any]:
    """Return a sweep file's content with attacks of a user's own found in folders.

    What is no reference stays, to be refused where it is validated.

    >>> from tempfile import TemporaryDirectory
    >>> data = {"measures": {"robust_accuracy": "my_attack:noise"}}
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "my_attack.py").touch()
    ...     with_resolved_attacks(data, lambda _: Path(folder))["measures"]
    {'robust_accuracy': {'attack': '/...my_attack.py:noise'}}
    """
    found = dict(data)
    for place in _MEASURES:
        if isinstance(sections := data.get(place), Mapping):
            folder = folder_of((place,))
            found[place] = {name: _resolved(each, folder) for name, each in sections.items()}
    return found


def check_sampled_code(parameter: str, value: str) -> None:
    """Refuse code as a value of a parameter that the workers would not find by its name.

    >>> check_sampled_code("backbone", "timm:resnet18")
    >>> check_sampled_code("backbone", "my_model:build")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: backbone is 'my_model:build', whose module is not installed...

    Raises:
        ValueError: It is code of a user's own that is not installed.
    """
    module = value.rpartition(":")[0].partition(".")[0]
    if parameter not in _PLACES or not is_reference(value) or value.startswith(TIMM):
        return
    # Not what this process has imported: code beside another file may have the same name.
    if PathFinder.find_spec(module) is None:
        raise ValueError(
            f"{parameter} is {value!r}, whose module is not installed: code beside the sweep file "
            f"is for {_PLACES[parameter]}, which all trials share. Run a sweep for each, or "
            f"install the package that has it."
        )


def own_parts(spec: "SweepSpec") -> dict[str, tuple[str, str]]:
    """Return the kind and the reference of each part of a user's own, by its place in the file.

    >>> from orchestrator.spec.files import load_sweep
    >>> own_parts(load_sweep("examples/sweeps/digits.yaml"))
    {}
    """
    pruning = spec.pruning or PruningSection()
    named: dict[str, tuple[str, str | None]] = {
        "quantization.quantizer": ("quantizers", spec.quantization.quantizer),
        "pruning.criterion": ("criteria", pruning.criterion),
    }
    for place in _MEASURES:
        for name, section in (getattr(spec, place) or {}).items():
            named[f"{place}.{name}.attack"] = ("attacks", section.attack)
    for parameter, kind in _SAMPLED.items():
        domain = spec.search_space.domains.get(parameter)
        for value in domain.options if isinstance(domain, Choice) else ():
            named[f"space.{parameter}.{value}"] = (kind, str(value))
    return {
        place: (kind, shipped(kind).get(name, name))
        for place, (kind, name) in named.items()
        if name is not None and is_part(kind, name)
    }


def _resolved(section: Any, folder: Path) -> Any:
    named = {"attack": section} if isinstance(section, str) else section
    attack = named.get("attack") if isinstance(named, Mapping) else None
    if not isinstance(attack, str) or ":" not in attack:
        return section
    return {**named, "attack": found_reference(attack, folder)}
