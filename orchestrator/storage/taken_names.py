"""Why a name that is taken cannot be used for another spec, and what to do instead."""

from collections.abc import Collection, Mapping
from typing import Any

from orchestrator.errors import SweepExistsError
from orchestrator.objectives import Objective
from orchestrator.quantities import Direction, known_direction
from orchestrator.spec.stored import spec_objectives
from orchestrator.storage.spec_differences import spec_differences
from orchestrator.trials import SweepRecord

_OBJECTIVES = "objectives"


def name_is_taken(
    found: SweepRecord, spec: Mapping[str, Any], measured: Collection[str]
) -> SweepExistsError:
    """Build the error that lists every difference between a spec and the stored sweep.

    Args:
        found: The stored sweep.
        spec: The new spec under the same name.
        measured: Names of the values that its trials have.

    >>> from datetime import UTC, datetime
    >>> from orchestrator.trials import SweepState
    >>> began = datetime(2026, 1, 1, tzinfo=UTC)
    >>> found = SweepRecord("digits", {"seed": 0}, "", SweepState.COMPLETE, began)
    >>> str(name_is_taken(found, {"seed": 1}, ())).partition(". ")[0]
    "Sweep 'digits' was started with another spec (seed was 0, is 1)"
    """
    # Here, because queries should not pay for importing every section of a sweep file.
    from orchestrator.spec.files import stored_identity

    before, now = stored_identity(found.spec), stored_identity(spec)
    if before is None or now is None:
        # Another version wrote one of them, so it is unknown which keys may differ.
        before, now = found.spec, spec
    differences = "; ".join(spec_differences(before, now))
    return SweepExistsError(
        f"Sweep {found.name!r} was started with another spec ({differences}). "
        f"{_compared_already(found.name, before, now, measured)}Its trials and new ones could not "
        f"be compared, so nothing was changed. Restore the spec, or start another sweep, which "
        f"may learn from this one: "
        f"paretune run SWEEP.yaml --name {found.name}-2 --warm-start {found.name}"
    )


def _compared_already(
    name: str, before: Mapping[str, Any], now: Mapping[str, Any], measured: Collection[str]
) -> str:
    """The command that answers without any training, if only the objectives differ."""
    others = [{key: spec[key] for key in spec if key != _OBJECTIVES} for spec in (before, now)]
    if others[0] != others[1] or _OBJECTIVES not in now:
        return ""
    objectives = spec_objectives(now)
    if not all(each.name in measured for each in objectives):
        return ""
    listed = ",".join(map(_asked, objectives))
    return (
        f"Every trial has these values already: paretune front {name} --objectives {listed} "
        f"compares by them. "
    )


def _asked(objective: Objective) -> str:
    if objective.direction is known_direction(objective.name):
        return objective.name
    return f"{objective.name}:{'min' if objective.direction is Direction.MINIMIZE else 'max'}"
