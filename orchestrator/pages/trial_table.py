"""All trials of a sweep as columns, kept up to date: what the page shows, filters and sorts.

Complete trials are read from the store's packed columns, and the others, which are few, as rows.
Each row remembers in which version of the table it last changed, so that a page that was loaded
before asks only for what is new to it.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.contracts import Store
from orchestrator.fronts.filters import Filter
from orchestrator.spec.stored import spec_objectives
from orchestrator.trials import SweepRecord, Trial, TrialState, Value

_SAMPLE = 64
"""Complete trials that are read in whole, for names of parameters that the space does not have."""

Row = dict[str, object]


@dataclass(slots=True)
class TrialTable:
    """The trials of a sweep by number.

    Attributes:
        rows: By number: ``trial``, ``state``, ``params``, ``values``, and ``why`` if it failed.
        changed: By number, the version in which the row last changed.
    """

    rows: dict[int, Row] = field(default_factory=dict)
    changed: dict[int, int] = field(default_factory=dict)

    def load(
        self, store: Store, sweep: SweepRecord, numbers: Collection[int], version: int
    ) -> bool:
        """Read all trials anew.

        Args:
            store: The store that holds them.
            sweep: The sweep.
            numbers: Of its complete trials.
            version: What the rows that differ are marked with.

        Returns:
            Whether any row differs.
        """
        rows = _complete_rows(store, sweep, numbers)
        others = store.trials(sweep.name, [s for s in TrialState if s is not TrialState.COMPLETE])
        rows |= {trial.number: _row(trial) for trial in others}
        return self._take(dict(sorted(rows.items())), version)

    def update(self, trials: Iterable[Trial], version: int) -> bool:
        """Replace or add some trials; returns whether any differs."""
        fresh = {trial.number: _row(trial) for trial in trials}
        return self._take({**self.rows, **fresh}, version)

    def since(self, version: int) -> list[Row]:
        """Return the rows that changed after a version, in the order of their numbers."""
        return [self.rows[n] for n, changed in sorted(self.changed.items()) if changed > version]

    def columns(self) -> dict[str, object]:
        """Return all rows as columns, which take a quarter of the space that rows do."""
        rows = list(self.rows.values())
        found: dict[str, object] = {key: [row[key] for row in rows] for key in ("trial", "state")}
        for kind in ("values", "params"):
            names = dict.fromkeys(name for row in rows for name in _inner(row, kind))
            found[kind] = {name: [_inner(row, kind).get(name) for row in rows] for name in names}
        found["why"] = {str(row["trial"]): row["why"] for row in rows if "why" in row}
        return found

    def matching(self, condition: Filter, facts: Mapping[str, Value]) -> list[int]:
        """Return the numbers of the trials that fulfill a condition, whatever their state."""
        if not self.rows:
            return []
        rows = list(self.rows.values())

        def column(name: str) -> Sequence[Value | None]:
            return [_looked_up(row, name, facts) for row in rows]

        mask = condition.mask(column)
        return [number for number, kept in zip(self.rows, mask.tolist(), strict=True) if kept]

    def names(self, kind: str) -> set[str]:
        """Return the names of all ``params`` or ``values``."""
        return {name for row in self.rows.values() for name in _inner(row, kind)}

    def _take(self, rows: dict[int, Row], version: int) -> bool:
        fresh = [number for number, row in rows.items() if self.rows.get(number) != row]
        self.changed |= dict.fromkeys(fresh, version)
        self.rows = rows
        return bool(fresh)


def _complete_rows(store: Store, sweep: SweepRecord, numbers: Collection[int]) -> dict[int, Row]:
    known = sorted(numbers)
    sample = store.numbered(sweep.name, {*known[: _SAMPLE // 2], *known[-_SAMPLE // 2 :]})
    space = sweep.spec.get("space")
    params = dict.fromkeys([*(space if isinstance(space, Mapping) else ())])
    params |= dict.fromkeys(name for trial in sample for name in trial.params)
    values = {goal.name for goal in spec_objectives(sweep.spec)} | store.value_names(sweep.name)
    columns = store.columns(sweep.name, values, params)
    rows: dict[int, Row] = {
        number: {"trial": number, "state": TrialState.COMPLETE.value, "params": {}, "values": {}}
        for number in columns.numbers.tolist()
    }
    for name in sorted(values):
        for row, value in zip(rows.values(), columns.value(name).tolist(), strict=True):
            if not math.isnan(value):
                _inner(row, "values")[name] = value
    for name in params:
        for row, chosen in zip(rows.values(), columns.param(name), strict=True):
            if chosen is not None:
                _inner(row, "params")[name] = chosen
    return rows


def _row(trial: Trial) -> Row:
    row: Row = {
        "trial": trial.number,
        "state": trial.state.value,
        "params": dict(trial.params),
        "values": dict(sorted(trial.values.items())),
    }
    if trial.failure is not None:
        row["why"] = f"{trial.failure.kind.value}: {trial.failure.message}"
    return row


def _inner(row: Row, kind: str) -> dict[str, Value]:
    inner = row[kind]
    assert isinstance(inner, dict)  # noqa: S101 - both are made above
    return inner


def _looked_up(row: Row, name: str, facts: Mapping[str, Value]) -> Value | None:
    """Look a name up as `queries.conditions.row_of` does: parameter, value, own, fact."""
    for kind in ("params", "values"):
        if name in (inner := _inner(row, kind)):
            return inner[name]
    if name in ("trial", "state"):
        return row[name]  # type: ignore[return-value]
    return facts.get(name)
