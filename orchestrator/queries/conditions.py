"""Conditions on trials, as ``--where`` has them, and the facts that they may name."""

from collections.abc import Callable, Mapping, Sequence

from orchestrator.errors import UnknownNameError
from orchestrator.fronts.filters import Filter
from orchestrator.spec.stored import spec_objectives
from orchestrator.trials import SweepRecord, Trial, Value

FACTS = ("sweep", "trial", "state", "backbone", "data")
"""Names that a condition may use beside parameters and values."""


def read_condition(
    where: str,
    records: Sequence[SweepRecord],
    measured: set[str],
    params: Callable[[], set[str]],
) -> Filter:
    """Read a condition, and check that its names exist; parameters are looked up if need be.

    >>> read_condition("accuracy > 0.9", [], {"accuracy"}, set).names
    ('accuracy',)

    Args:
        where: The condition, as on the command line.
        records: The sweeps that it is about; empty for MLflow alone.
        measured: Names of measured values.
        params: Looks up names of parameters, which may take long.

    Raises:
        UnknownNameError: There is nothing of a name that the condition has.
    """
    condition = Filter.parse(where)
    # From MLflow alone there is no spec to take these two from; a condition on them must be an
    # error and not silently false.
    known = {*FACTS} - (set() if records else {"backbone", "data"}) | measured
    for record in records:
        known |= {goal.name for goal in spec_objectives(record.spec)}
        known |= set(space) if isinstance(space := record.spec.get("space"), Mapping) else set()
    if not known.issuperset(condition.names):
        known |= params()
    for name in condition.names:
        if name not in known:
            raise UnknownNameError("name", name, known, where=repr(where))
    return condition


def facts_of(record: SweepRecord) -> dict[str, Value]:
    """Return what a condition may name of a whole sweep: its backbone and its data.

    >>> from datetime import UTC, datetime
    >>> from orchestrator.trials import SweepState
    >>> spec = {"backbone": {"name": "digitnet"}}
    >>> facts_of(SweepRecord("s", spec, "", SweepState.COMPLETE, datetime(2026, 1, 2, tzinfo=UTC)))
    {'backbone': 'digitnet'}
    """
    sections = {key: record.spec.get(key) for key in ("backbone", "data")}
    return {
        key: section["name"]
        for key, section in sections.items()
        if isinstance(section, Mapping) and "name" in section
    }


def row_of(trial: Trial, facts: Mapping[str, Value]) -> dict[str, Value]:
    """Return all that a condition may name of a trial.

    >>> from orchestrator.trials import TrialState
    >>> row_of(Trial("s", 3, {"bits": 4}, 0, TrialState.FAILED), {"backbone": "digitnet"})
    {'backbone': 'digitnet', 'sweep': 's', 'trial': 3, 'state': 'failed', 'bits': 4}
    """
    own: dict[str, Value] = {
        "sweep": trial.sweep,
        "trial": trial.number,
        "state": trial.state.value,
    }
    return {**facts, **own, **trial.values, **trial.params}
