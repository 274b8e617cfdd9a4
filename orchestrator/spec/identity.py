"""What makes two sweeps the same: the part of a spec that determines the meaning of its trials."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from orchestrator.quantities import quantity
from orchestrator.spec.measure_sections import FORMER_DEFAULTS
from trainers.doors import is_reference
from trainers.networks.backbone_table import WEIGHT_WORDS
from trainers.networks.brought.registry import is_code

BY_CONTENT = "by content"
"""Replaces a path in an identity."""
_FREE = {
    "name",
    "budget",
    "callbacks",
    "execution",
    "front_measures",
    "reference",
    "resources",
    "tracking",
    "store",
    "storage",
    "warm_start",
}


def identity_of(spec: BaseModel) -> Mapping[str, Any]:
    """Return the part of a sweep's spec that determines the meaning of its trials.

    Budget, resources, execution, tracking and store may change between two runs of one sweep, and
    a reference or further measures of the front may be added later. A warm start changes which
    configurations are tried, not what a trial means. The paths of images and weights do not count
    either: their content does, which is known once they are read.

    Args:
        spec: A `SweepSpec`.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> "budget" in identity_of(spec), identity_of(spec)["data"]["name"]
    (False, 'digits')
    """
    # Keys that are not given are left out, so that a later version may add keys.
    identity = spec.model_dump(mode="json", exclude=_FREE, exclude_none=True)
    data, backbone = identity["data"], identity["backbone"]
    for key in ("root", "in_memory", "on_disk"):
        data.pop(key, None)
    data.update({key: BY_CONTENT for key in ("folder", "npz", "dataset") if key in data})
    for section in identity["objectives"].values():
        _by_content(section, "function")
    for place in ("objectives", "measures"):
        for section in identity.get(place, {}).values():
            _by_content(section, "attack")
    _by_content(identity["quantization"], "quantizer")
    _by_content(identity.get("pruning", {}), "criterion")
    named = [(backbone, "name"), *((identity[each], "kind") for each in ("sampler", "scheduler"))]
    for section, key in named:
        if is_reference(section[key]) and is_code(section[key]):
            section[key] = f"{BY_CONTENT}:{section[key].rpartition(':')[2]}"
    if backbone["weights"] not in WEIGHT_WORDS:
        backbone["weights"] = BY_CONTENT
    return identity


def _by_content(section: dict[str, Any], key: str) -> None:
    """Replace code by its name in its module: its content counts, which is known later."""
    if is_reference(section.get(key, "")):
        section[key] = f"{BY_CONTENT}:{section[key].rpartition(':')[2]}"


def fingerprint_of(identity: Mapping[str, Any]) -> str:
    """Compute the digest of an identity.

    Objectives without an attack count with the defaults that attacks had when the first sweeps
    were stored, whose fingerprints hold these.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> len(fingerprint_of(identity_of(spec)))
    64
    """
    objectives = {
        name: values if quantity(name).is_attack else {**FORMER_DEFAULTS, **values}
        for name, values in identity["objectives"].items()
    }
    text = json.dumps({**identity, "objectives": objectives}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
