"""Reuse of pre-trained kernels in a sweep file: the judgement's file, and what fits together."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.spec.backbone_section import BackboneSection
from search_spaces import Choice, SearchSpace
from trainers.networks.reuse_config import ALL, JUDGED, ReuseConfig

_READ = ("backbone", "source_digest", "verdict")


def read_verdict(path: Path) -> dict[str, Any]:
    """Read what a sweep needs from the JSON that ``paretune analyze reuse`` printed.

    Raises:
        ValueError: The file cannot be read, or is another one.

    >>> from tempfile import TemporaryDirectory
    >>> judged = {"backbone": "digitnet", "source_digest": "0123", "verdict": {"0": "tune"}}
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "verdict.json")
    ...     _ = file.write_text(json.dumps({**judged, "seeds": 3}))
    ...     read_verdict(file) == judged
    True
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the verdict {path} cannot be read ({error}). Write it with 'paretune analyze reuse "
            f"SOURCE TARGET --backbone NAME --data D --format json > FILE'."
        ) from None
    if not isinstance(found, Mapping) or any(key not in found for key in _READ):
        raise ValueError(
            f"{path} is no judgement: it lacks one of {', '.join(_READ)}. 'paretune analyze reuse "
            f"... --format json' prints one."
        )
    return {key: found[key] for key in _READ}


def reuse_problem(backbone: BackboneSection, space: SearchSpace, tune: str) -> str:
    """Say why a policy of a sweep cannot be run with the rest of it; empty if all can.

    >>> backbone = BackboneSection(name="digitnet", weights="bundled", policy="none")
    >>> reuse_problem(backbone, SearchSpace({"bits": Choice((4, 8))}), tune="all")
    ''
    >>> reuse_problem(backbone, SearchSpace({"bits": Choice((4, 8))}), tune="head")
    'policy none with tune head: ...'
    """
    policies = _values(space, "policy", backbone.policy or ALL)
    if backbone.verdict is not None and JUDGED not in policies:
        return "verdict is read by policy: judged alone, and no trial has it. Leave it out."
    others = set(_values(space, "backbone", backbone.name)) - {backbone.name}
    if JUDGED in policies and others:
        return f"policy judged: the verdict is of {backbone.name}, not of {min(others)}."
    layers = {} if backbone.verdict is None else backbone.verdict.verdict
    for policy in policies:
        for each in _values(space, "tune", tune):
            if "tune" in space.conditions or "policy" in space.conditions:
                # Which of them meet is known of each trial alone.
                continue
            try:
                ReuseConfig(policy, layers).check(weights=backbone.weights, tune=each)
            except ValueError as error:
                return str(error)
    return ""


def _values(space: SearchSpace, name: str, fixed: str) -> list[str]:
    domain = space.domains.get(name)
    return [str(value) for value in domain.options] if isinstance(domain, Choice) else [fixed]
