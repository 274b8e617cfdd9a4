"""KubeRay's own schemas, made strict."""

from pathlib import Path
from typing import Any

import pytest
import yaml


def crd(plural: str) -> dict[str, Any]:
    """Read the schema of a kind of KubeRay's from the shared folder, or skip the test."""
    shared = Path(__file__).resolve().parents[2] / "shared" / "schemas"
    path = shared / f"ray.io_{plural}.yaml"
    if not path.is_file():
        pytest.skip(f"needs KubeRay's CRD {path.name} in the shared folder")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    versions = yaml.load(path.read_text(), loader)["spec"]["versions"]  # noqa: S506 - a safe loader
    (found,) = [each for each in versions if each["name"] == "v1"]
    closed: dict[str, Any] = _closed(found["schema"]["openAPIV3Schema"])
    return closed


def _closed(schema: Any) -> Any:
    """Forbid unknown keys, which a Kubernetes server would drop without a word."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    kept = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not kept:
        closed["additionalProperties"] = False
    return closed
