"""What the page shows of a sweep, read from the store as often as it changes, and no oftener."""

import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from orchestrator.constraints import feasible
from orchestrator.objectives import Objective
from orchestrator.pages.details import words_and_units
from orchestrator.pages.running import running_records, seconds_left
from orchestrator.pages.trial_table import TrialTable
from orchestrator.pareto.hypervolume import HypervolumeScale, complete_in_order
from orchestrator.pareto.losses import feasible_losses
from orchestrator.queries.conditions import facts_of, read_condition
from orchestrator.queries.sweeps import Sweep
from orchestrator.reporting.records import choice_record
from orchestrator.trials import Standing, SweepRecord, Trial, TrialState

Record = dict[str, object]

_PAUSE_S = 1.0
_SHARE = 10.0
"""A look at the store takes at most a tenth of the time, however long the sweep is."""
_MOST_CHANGES = 1_000
"""More rows than this are read as columns."""


class Board:
    """A sweep as the page shows it. Thread-safe.

    Args:
        sweep: The sweep, in an open store.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self._lock = threading.Lock()
        self._table = TrialTable()
        self._standings: dict[int, Standing] = {}
        self._names: set[str] = set()
        self._seen: tuple[object, ...] = ()
        self._head: Record = {}
        self._version = 0
        self._served = secrets.token_hex(8)
        self._next_look = 0.0

    @property
    def version(self) -> int:
        """Grows when something that the page shows has changed."""
        return self._version

    def refresh(self) -> int:
        """Look at the store, unless the last look was only just; returns the version."""
        with self._lock:
            began = time.monotonic()
            if began >= self._next_look:
                self._look()
                ended = time.monotonic()
                self._next_look = ended + max(_PAUSE_S, _SHARE * (ended - began))
            return self._version

    def look_again(self) -> None:
        """Look at the store at the next `refresh`, because this process has changed it."""
        with self._lock:
            self._next_look = 0.0

    def since(self, version: int, served: str = "") -> Record:
        """Return what is not a trial of the sweep, and the trials that changed after a version.

        Args:
            version: As it was given before; 0 for all trials, as columns.
            served: As it was given before; another one means a version of another server.
        """
        with self._lock:
            found = {**self._head, "version": self._version, "served": self._served}
            if served == self._served and 0 < version <= self._version:
                return found | {"rows": self._table.since(version)}
            return found | {"columns": self._table.columns()}

    def matching(self, where: str) -> Record:
        """Return the numbers of the trials that fulfill a condition, and of their own front.

        Raises:
            UsageError: The condition does not parse, or names something that no trial has.
        """
        record = self.sweep.record
        with self._lock:
            values, params = self._table.names("values"), self._table.names("params")
            condition = read_condition(where, [record], values, lambda: params)
            facts = {"sweep": record.name, **facts_of(record)}
            numbers = self._table.matching(condition, facts)
        front = self.sweep.front(where=where) if self.sweep.objectives else ()
        return {"trials": numbers, "front": [member.trial for member in front]}

    def _look(self) -> None:
        record = self.sweep.record
        choices = self.sweep.store.choices(self.sweep.name)
        seen = (record.revision, record.state, choices)
        if seen == self._seen:
            return
        standings = {each.number: each for each in self.sweep.store.standings(self.sweep.name)}
        has_new_rows = self._bring_table(record, standings)
        self._standings = standings
        head = self._describe(record, list(standings.values()))
        head["choices"] = [choice_record(each) for each in choices]
        # The lease is renewed every few seconds; that alone is nothing to show.
        if has_new_rows or head != self._head:
            self._version += 1
        self._head, self._seen = head, seen

    def _bring_table(self, record: SweepRecord, standings: Mapping[int, Standing]) -> bool:
        """Read the trials that changed; returns whether any did."""
        names = self.sweep.store.value_names(record.name)
        before = self._standings
        changed = [n for n, each in standings.items() if before.get(n) != each]
        # Values of the front on test images are added at the end of a sweep.
        is_other_state = bool(self._seen) and record.state is not self._seen[1]
        is_new = names != self._names
        self._names, version = names, self._version + 1
        if not before or is_other_state or is_new or len(changed) > _MOST_CHANGES:
            complete = [n for n, s in standings.items() if s.state is TrialState.COMPLETE]
            return self._table.load(self.sweep.store, record, complete, version)
        trials = self.sweep.store.numbered(record.name, changed) if changed else []
        return self._table.update(trials, version) if trials else False

    def _describe(self, record: SweepRecord, standings: Sequence[Standing]) -> Record:
        now = datetime.now(UTC)
        running = [each.number for each in standings if each.state is TrialState.RUNNING]
        trials = self.sweep.store.numbered(record.name, running) if running else []
        front = self.sweep.front() if self.sweep.objectives else ()
        runs = running_records(self.sweep.store, record, trials, now)
        names = self._table.names("values") | {goal.name for goal in self.sweep.objectives}
        names |= {name for run in runs for name in _values(run)}
        counts = {s.value: sum(each.state is s for each in standings) for s in TrialState}
        return {
            "name": record.name,
            "state": record.state.value,
            "reason": record.stop_reason,
            "created": record.created,
            "ended": record.ended,
            "planned": _planned(record.spec),
            "counts": {state: n for state, n in counts.items() if n},
            "objectives": [_objective(goal) for goal in self.sweep.objectives],
            "units": words_and_units(names),
            "front": [member.trial for member in front],
            "feasible": getattr(front, "feasible", True),
            "infeasible": self._infeasible(),
            "volume": self._volume(standings),
            "running": runs,
            "left_s": seconds_left(record, standings, now),
            "mlflow": [record.mlflow_experiment_id, record.mlflow_run_id],
        }

    def _infeasible(self) -> list[int]:
        """Complete trials that violate a constraint."""
        limits = self.sweep.constraints
        rows = self._table.rows.items() if limits else ()
        return [n for n, row in rows if row["values"] and not feasible(limits, _values(row))]

    def _volume(self, standings: Sequence[Standing]) -> list[tuple[int, int, float]]:
        """The hypervolume where it grows: number of complete trials, the trial, the volume."""
        goals, limits = self.sweep.objectives, self.sweep.constraints
        ends = {each.number: each.ended for each in standings}
        complete = complete_in_order([_measured(row, ends) for row in self._table.rows.values()])
        scale = HypervolumeScale.of_sweep(complete, goals) if goals else None
        if scale is None:
            return []
        volumes = scale.history(feasible_losses(complete, goals, limits))
        grown = np.flatnonzero(np.diff(volumes, prepend=0.0) > 0).tolist()
        shown = sorted({*grown, len(complete) - 1})
        return [(at + 1, complete[at].number, float(volumes[at])) for at in shown]


def _measured(row: Mapping[str, object], ends: Mapping[int, datetime | None]) -> Trial:
    """A trial with what a hypervolume needs, from a row of the table."""
    number = row["trial"]
    assert isinstance(number, int)  # noqa: S101 - as the table makes it
    state = TrialState(str(row["state"]))
    return Trial("", number, {}, 0, state, values=_values(row), ended=ends.get(number))


def _values(row: Mapping[str, object]) -> Mapping[str, float]:
    values = row["values"]
    assert isinstance(values, dict)  # noqa: S101 - as the table makes it
    return values


def _objective(goal: Objective) -> Record:
    return {"name": goal.name, "direction": goal.direction.value}


def _planned(spec: Mapping[str, object]) -> int | None:
    budget = spec.get("budget")
    return budget.get("trials") if isinstance(budget, Mapping) else None
