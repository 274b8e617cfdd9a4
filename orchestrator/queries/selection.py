"""The trials of a sweep that fulfill a condition: columns are compared, and those alone read."""

from collections.abc import Sequence
from itertools import compress

from orchestrator.contracts import Store
from orchestrator.fronts.filters import Column, Filter
from orchestrator.fronts.stored import column_of
from orchestrator.queries.conditions import facts_of, read_condition, row_of
from orchestrator.trials import Outline, SweepRecord, Trial, TrialState, Value

_UNMEASURED = tuple(state for state in TrialState if state is not TrialState.COMPLETE)


def trials_where(store: Store, sweep: SweepRecord, where: str) -> list[Trial]:
    """Return the trials of a sweep that fulfill a condition, in order of their numbers.

    Args:
        store: The store that holds the sweep.
        sweep: Its record.
        where: As in `orchestrator.queries.sweeps.Sweep.trials`.

    Raises:
        UsageError: `where` does not parse, or has a name that no trial has.
    """

    def params() -> set[str]:
        return {
            name for each in store.outlines(sweep.name, tuple(TrialState)) for name in each.params
        }

    condition = read_condition(where, [sweep], store.value_names(sweep.name), params)
    # In this order, so that a trial that completes between the queries is in one of them.
    numbers = {*_unmeasured(store, sweep, condition), *_complete(store, sweep, condition)}
    found = store.numbered(sweep.name, numbers)
    # Meanwhile a trial may have changed, so that what is returned is asked once more.
    facts = facts_of(sweep)
    rows = [row_of(trial, facts) for trial in found]
    return list(compress(found, condition.mask(lambda name: [row.get(name) for row in rows])))


def _complete(store: Store, sweep: SweepRecord, condition: Filter) -> list[int]:
    names = condition.names
    columns = store.columns(sweep.name, names, names)
    facts = {**facts_of(sweep), "sweep": sweep.name, "state": TrialState.COMPLETE.value}
    mask = condition.mask(lambda name: column_of(columns, name, facts))
    chosen: list[int] = columns.numbers[mask].tolist()
    return chosen


def _unmeasured(store: Store, sweep: SweepRecord, condition: Filter) -> list[int]:
    """Numbers of trials without values: only a complete trial has some."""
    outlines = store.outlines(sweep.name, _UNMEASURED)
    facts = {**facts_of(sweep), "sweep": sweep.name}
    mask = condition.mask(lambda name: _outlined(outlines, name, facts))
    return [each.number for each in compress(outlines, mask)]


def _outlined(outlines: Sequence[Outline], name: str, facts: dict[str, Value]) -> Column:
    if name == "trial":
        rest: list[Value | None] = [each.number for each in outlines]
    elif name == "state":
        rest = [each.state.value for each in outlines]
    else:
        rest = [facts.get(name)] * len(outlines)
    return [each.params.get(name, other) for each, other in zip(outlines, rest, strict=True)]
