"""Fronts of stored trials: columns are compared, and only trials that are shown are read."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from orchestrator.columns import Columns, Floats
from orchestrator.constraints import Constraint
from orchestrator.contracts import Store
from orchestrator.fronts.filters import Column, Filter
from orchestrator.fronts.front import Front, checked_objectives, in_order, was_trained
from orchestrator.objectives import Objective
from orchestrator.pareto.constrained import Flags, constrained_front
from orchestrator.trials import Trial, TrialState, Value

Numbers = Mapping[str, NDArray[np.int64]]
"""Numbers of trials by sweep."""


class _Read(Sequence[Trial]):
    """Trials that are read on first access, and only once."""

    def __init__(self) -> None:
        self._found: list[Trial] | None = None

    def __len__(self) -> int:
        return len(self._read())

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Trial]: ...
    def __getitem__(self, index: int | slice) -> Trial | Sequence[Trial]:
        return self._read()[index]

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._read())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a tuple of trials, which hold mappings

    def _read(self) -> list[Trial]:
        if self._found is None:
            self._found = list(self._trials())
        return self._found

    def _trials(self) -> Iterator[Trial]:
        raise NotImplementedError


class StoredTrials(_Read):
    """Trials of a store: their number is known, and their contents are read on first access.

    Args:
        store: The store that holds them.
        numbers: Numbers of the trials by sweep.
    """

    def __init__(self, store: Store, numbers: Numbers) -> None:
        super().__init__()
        self._store, self._numbers = store, numbers

    def __len__(self) -> int:
        return sum(map(len, self._numbers.values()))

    def _trials(self) -> Iterator[Trial]:
        for sweep, numbers in self._numbers.items():
            yield from self._store.numbered(sweep, numbers.tolist())


class TrainedTrials(_Read):
    """All trials of some sweeps that were trained, regardless of constraints and conditions."""

    def __init__(self, store: Store, sweeps: Collection[str]) -> None:
        super().__init__()
        self._store, self._sweeps = store, sweeps

    def _trials(self) -> Iterator[Trial]:
        for sweep in self._sweeps:
            yield from filter(was_trained, self._store.trials(sweep))


@dataclass(frozen=True, slots=True)
class Question:
    """What a front is computed over.

    Attributes:
        objectives: The values by which trials are compared.
        constraints: Limits that trials must meet.
        condition: Only trials that fulfill it compete; None for all.
        any_of: Names of values; a trial must have at least one of them. Empty for no such demand.
    """

    objectives: Sequence[Objective]
    constraints: Sequence[Constraint] = ()
    condition: Filter | None = None
    any_of: frozenset[str] = frozenset()


def stored_front(
    store: Store, sweeps: Mapping[str, Mapping[str, Value]], question: Question
) -> Front:
    """Compute the front that `compute_front` finds among the complete trials of some sweeps.

    Args:
        store: The store that holds the sweeps.
        sweeps: By name of a sweep, the facts about all of its trials that a condition may
            mention, such as ``backbone``.
        question: What the front is computed over.

    Raises:
        UsageError: There is no objective, or one is named twice.
    """
    objectives = checked_objectives(question.objectives)
    parts = {name: _chosen(store, name, facts, question) for name, facts in sweeps.items()}

    def values(name: str) -> Floats:
        return np.concatenate([part.value(name) for part in parts.values()])

    found = constrained_front(values, objectives, question.constraints)

    def those(flags: Flags) -> StoredTrials:
        numbers, first = {}, 0
        for name, part in parts.items():
            numbers[name] = part.numbers[flags[first : first + len(part)]]
            first += len(part)
        return StoredTrials(store, numbers)

    return Front(
        objectives=objectives,
        members=in_order(those(found.on_front), objectives),
        others=those(found.known & ~found.on_front),
        feasible=found.feasible,
        left_out=int((~found.known).sum()),
        competitors=those(found.allowed),
        trained=TrainedTrials(store, tuple(sweeps)),
    )


def _chosen(store: Store, sweep: str, facts: Mapping[str, Value], question: Question) -> Columns:
    """Read the compared columns of the competing trials of one sweep."""
    condition = question.condition
    compared = {each.name for each in question.objectives}
    compared |= {each.name for each in question.constraints}
    names = condition.names if condition else ()
    columns = store.columns(sweep, {*compared, *names, *question.any_of}, names)
    keep = np.ones(len(columns), np.bool_)
    if question.any_of:
        has = [np.logical_not(np.isnan(columns.value(name))) for name in question.any_of]
        keep &= np.logical_or.reduce(has)
    if condition is not None:
        own = {"sweep": sweep, "state": TrialState.COMPLETE.value}
        keep &= condition.mask(lambda name: column_of(columns, name, {**facts, **own}))
    return Columns(columns.numbers[keep], {name: columns.value(name)[keep] for name in compared})


def column_of(columns: Columns, name: str, facts: Mapping[str, Value]) -> Column:
    """Look up a name for each trial: its parameter, else its value, else the fact of its sweep.

    Args:
        columns: Values and parameters of this name.
        name: As a condition has it; ``trial`` is the number.
        facts: What is true of all of the trials.
    """
    values = columns.value(name)
    has_value = np.logical_not(np.isnan(values))
    is_fact = name == "trial" or name in facts
    if name not in columns.params and not is_fact:
        return values
    if name == "trial":
        rest: Sequence[Value | None] = columns.numbers.tolist()
    else:
        rest = [facts.get(name)] * len(columns)
    layers = zip(columns.param(name), values.tolist(), has_value.tolist(), rest, strict=True)
    return [
        param if param is not None else value if has else other
        for param, value, has, other in layers
    ]
