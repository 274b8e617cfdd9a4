"""Copies sweeps from one store into another, of either kind: every row, in one transaction."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, Table, insert, select

from orchestrator.contracts import Store
from orchestrator.errors import SweepExistsError
from orchestrator.storage.database import Database
from orchestrator.storage.reading import sweep_id
from orchestrator.storage.sql_store import SqlStore, utc_now
from orchestrator.storage.tables import metadata, sweeps, trials

_CHUNK = 2_000
_NOBODYS = dict.fromkeys(("lease_holder", "lease_since", "lease_expires", "lease_heard"))
_OWN_KEY = "id"  # counted by each database for itself


@dataclass(frozen=True, slots=True)
class Changed:
    """What a copy says otherwise than its original.

    Attributes:
        runs: New ids of MLflow runs by the old ones; None to forget all of them.
        experiment: New id of the MLflow experiment.
        roots: New names of the roots of artifacts by the old ones; see `orchestrator.places`.
    """

    runs: Mapping[str, str] | None = field(default_factory=dict)
    experiment: str | None = None
    roots: Mapping[str, str] = field(default_factory=dict)

    def row(self, table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row as it is to be in the copy."""
        changed = dict(row)
        if (run := row.get("mlflow_run_id")) is not None:
            changed["mlflow_run_id"] = None if self.runs is None else self.runs.get(run, run)
        if table is sweeps:
            changed |= {**_NOBODYS, "stop_asked": None}
            if self.runs is None or self.experiment is not None:
                changed["mlflow_experiment_id"] = self.experiment
        if (root := row.get("artifact_root")) is not None:
            changed["artifact_root"] = self.roots.get(root, root)
        return changed


_AS_IT_IS = Changed()


def copy_sweeps(
    source: Store, target: Store, names: list[str], changed: Changed = _AS_IT_IS
) -> None:
    """Copy sweeps with all that is stored of them; in the copy, no driver runs them.

    They appear in the target whole and together, or not at all.

    Raises:
        UnknownNameError: The source has no sweep of a name.
        SweepExistsError: The target has one already.
    """
    here, there = _database(source), _database(target)
    with here.reading() as reading, there.writing() as writing:
        for name in names:
            _copy(reading, writing, name, changed)


def _copy(source: Connection, target: Connection, name: str, changed: Changed) -> None:
    if target.scalar(select(sweeps.c.id).where(sweeps.c.name == name)) is not None:
        raise SweepExistsError(
            f"There is a sweep {name!r} in this store already, and nothing was changed. Rename it "
            f"(paretune rename {name} NEW) or delete it first."
        )
    key = sweep_id(source, name)
    new = _copied_sweep(source, target, key, changed)
    keys = _copied_trials(source, target, (key, new), changed)
    for table in metadata.sorted_tables:
        if table in (sweeps, trials):
            continue
        for rows in _chunks(source, table, key):
            for row in rows:
                row.update({"sweep_id": new} if "sweep_id" in row else {})
                row.update({"trial_id": keys[row["trial_id"]]} if "trial_id" in row else {})
            target.execute(insert(table), [changed.row(table, row) for row in rows])


def _copied_sweep(source: Connection, target: Connection, key: int, changed: Changed) -> int:
    ((row,),) = _chunks(source, sweeps, key)
    row = changed.row(sweeps, row)
    # Above every token of a sweep that was deleted here, whose key this one may have.
    row["lease_token"] = max(row["lease_token"], int(utc_now().timestamp() * 1e6))
    target.execute(insert(sweeps), row)
    return sweep_id(target, row["name"])


def _copied_trials(
    source: Connection, target: Connection, sweep: tuple[int, int], changed: Changed
) -> dict[int, int]:
    """Copy the trials; returns their new keys by the old ones."""
    old, new = sweep
    for rows in _chunks(source, trials, old):
        copies = [{**changed.row(trials, row), "sweep_id": new} for row in rows]
        target.execute(insert(trials), copies)
    before, after = _keys_by_number(source, old), _keys_by_number(target, new)
    return {before[number]: after[number] for number in before}


def _keys_by_number(connection: Connection, sweep: int) -> dict[int, int]:
    query = select(trials.c.number, trials.c.id).where(trials.c.sweep_id == sweep)
    return {number: key for number, key in connection.execute(query)}  # noqa: C416 - rows


def _chunks(connection: Connection, table: Table, sweep: int) -> Iterator[list[dict[str, Any]]]:
    """Rows of one sweep, some thousands at a time, without keys that databases count."""
    query = _rows(table, sweep)
    found = connection.execute(query, execution_options={"yield_per": _CHUNK})
    for part in found.mappings().partitions(_CHUNK):
        yield [{name: row[name] for name in row if name != _OWN_KEY} for row in part]


def _rows(table: Table, sweep: int) -> Select[Any]:
    """All that a table has of one sweep, whether it names the sweep or a trial of it."""
    query = select(table).order_by(*table.primary_key.columns)
    if table is sweeps:
        return query.where(sweeps.c.id == sweep)
    if "sweep_id" in table.c:
        return query.where(table.c.sweep_id == sweep)
    return query.join(trials, trials.c.id == table.c.trial_id).where(trials.c.sweep_id == sweep)


def _database(store: Store) -> Database:
    if not isinstance(store, SqlStore):
        raise TypeError(f"{store!r} is not a store in a database.")
    return store.database
