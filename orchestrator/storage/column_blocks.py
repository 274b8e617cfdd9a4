"""Columns of trials, packed: one row holds one name of 1,024 trials that are all final.

Read as rows, the values of 100,000 trials take seconds, nearly all of it to build objects. Final
trials never change, so their values are stored a second time, as columns. A block is written when
a later trial is stored, or the sweep ends; adding a value to one of its trials deletes it, in the
same transaction. Trials in no block are read as rows: blocks only make reading faster.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np
from sqlalchemy import Connection, and_, bindparam, delete, func, insert, or_, select

from orchestrator.columns import Columns, Floats, joined
from orchestrator.storage.tables import blocks, trial_values, trials
from orchestrator.trials import TrialState, Value

BLOCK = 1_024
"""Trials in a block, and the step between the numbers of the first ones. Part of the format."""

# Kinds of rows: the numbers of the block's complete trials as 32-bit integers; their values of
# one name as 64-bit floats, NaN if missing, both little-endian; their parameters of one name as a
# JSON list, null if missing.
NUMBERS, VALUES, PARAMS = "numbers", "values", "params"
_INTEGERS, _FLOATS = "<i4", "<f8"

_FINAL = [state.value for state in TrialState if state.is_final]
_OWN = trials.c.sweep_id == bindparam("sweep")
_BETWEEN = and_(_OWN, trials.c.number.between(bindparam("low"), bindparam("high")))
_COMPLETE = and_(_BETWEEN, trials.c.state == TrialState.COMPLETE.value)

_LAST = select(func.max(trials.c.number)).where(_OWN)
_SEALED = select(blocks.c.first).where(
    blocks.c.sweep_id == bindparam("sweep"), blocks.c.kind == NUMBERS
)
_ENDED = select(func.count()).where(_BETWEEN, trials.c.state.in_(_FINAL))
_NUMBERS = select(trials.c.id, trials.c.number).where(_COMPLETE).order_by(trials.c.number)
_NUMBERS_AND_PARAMS = _NUMBERS.add_columns(trials.c.params)
_VALUES = (
    select(trial_values.c.trial_id, trial_values.c.name, trial_values.c.value)
    .join(trials, trials.c.id == trial_values.c.trial_id)
    .where(_COMPLETE)
)
_NAMED_VALUES = _VALUES.where(trial_values.c.name.in_(bindparam("names", expanding=True)))
_PACKED = select(blocks.c.first, blocks.c.kind, blocks.c.name, blocks.c.data).where(
    blocks.c.sweep_id == bindparam("sweep"),
    or_(
        blocks.c.kind == NUMBERS,
        and_(blocks.c.kind == VALUES, blocks.c.name.in_(bindparam("values", expanding=True))),
        and_(blocks.c.kind == PARAMS, blocks.c.name.in_(bindparam("params", expanding=True))),
    ),
)
_PACKED_NAMES = (
    select(blocks.c.name)
    .where(blocks.c.sweep_id == bindparam("sweep"), blocks.c.kind == VALUES)
    .distinct()
)
_LOOSE_NAMES = (
    select(trial_values.c.name)
    .join(trials, trials.c.id == trial_values.c.trial_id)
    .where(_COMPLETE)
    .distinct()
)
_NEW_ROW = insert(blocks)


def read_columns(
    connection: Connection, sweep: int, values: Collection[str], params: Collection[str]
) -> Columns:
    """Return a sweep's complete trials as columns: the values and parameters of some names."""
    wanted = {"sweep": sweep, "values": list(values), "params": list(params)}
    packed: defaultdict[int, list[tuple[str, str, bytes]]] = defaultdict(list)
    for first, kind, name, data in connection.execute(_PACKED, wanted):
        packed[first].append((kind, name, data))
    pieces = [_unpacked(rows) for rows in packed.values()]
    pieces += [
        _gathered(connection, sweep, gap, values=values, params=params)
        for gap in _gaps(connection, sweep, packed)
    ]
    return joined(pieces)


def read_value_names(connection: Connection, sweep: int) -> set[str]:
    """Return the names of all values that trials of a sweep have."""
    names = set(connection.scalars(_PACKED_NAMES, {"sweep": sweep}))
    for low, high in _gaps(connection, sweep, _sealed(connection, sweep)):
        names |= set(connection.scalars(_LOOSE_NAMES, _span(sweep, low, high)))
    return names


def seal(connection: Connection, sweep: int) -> None:
    """Pack each full block: all of its trial numbers are taken, and its trials are final."""
    for low, high in list(_gaps(connection, sweep, _sealed(connection, sweep))):
        for first in range(low, high + 1, BLOCK):
            span = (first, first + BLOCK - 1)
            if connection.scalar(_ENDED, _span(sweep, *span)) == BLOCK:
                columns = _gathered(connection, sweep, span)
                rows = [
                    {"sweep_id": sweep, "first": first, "kind": kind, "name": name, "data": data}
                    for kind, name, data in _packed(columns)
                ]
                connection.execute(_NEW_ROW, rows)


def unseal(connection: Connection, sweep: int, number: int) -> None:
    """Delete the block of a trial that is about to change."""
    own = and_(blocks.c.sweep_id == sweep, blocks.c.first == number - number % BLOCK)
    connection.execute(delete(blocks).where(own))


def _sealed(connection: Connection, sweep: int) -> list[int]:
    return list(connection.scalars(_SEALED, {"sweep": sweep}))


def _gaps(connection: Connection, sweep: int, sealed: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last number of each longest run of trials that are in no block."""
    last = connection.scalar(_LAST, {"sweep": sweep})
    low = 0
    for first in [*sorted(sealed), (-1 if last is None else last) + 1]:
        if low < first:
            yield low, first - 1
        low = first + BLOCK


def _span(sweep: int, low: int, high: int) -> dict[str, object]:
    return {"sweep": sweep, "low": low, "high": high}


def _gathered(
    connection: Connection,
    sweep: int,
    span: tuple[int, int],
    *,
    values: Collection[str] | None = None,
    params: Collection[str] | None = None,
) -> Columns:
    """Columns from rows; those of every name, where no names are given."""
    which = _span(sweep, *span)
    with_params = params is None or len(params) > 0
    rows = connection.execute(_NUMBERS_AND_PARAMS if with_params else _NUMBERS, which).all()
    place = {row.id: index for index, row in enumerate(rows)}
    measured: defaultdict[str, Floats] = defaultdict(lambda: np.full(len(rows), np.nan))
    query, names = (_VALUES, {}) if values is None else (_NAMED_VALUES, {"names": list(values)})
    for trial, name, value in connection.execute(query, {**which, **names}).all():
        measured[name][place[trial]] = value
    chosen: defaultdict[str, list[Value | None]] = defaultdict(lambda: [None] * len(rows))
    for index, row in enumerate(rows if with_params else ()):
        for name in row.params if params is None else row.params.keys() & params:
            chosen[name][index] = row.params[name]
    return Columns(np.array([row.number for row in rows], np.int64), measured, chosen)


def _packed(columns: Columns) -> Iterator[tuple[str, str, bytes]]:
    """Kind, name and content of each row of a block."""
    yield NUMBERS, "", columns.numbers.astype(_INTEGERS).tobytes()
    for name, values in columns.values.items():
        yield VALUES, name, values.astype(_FLOATS).tobytes()
    for name, params in columns.params.items():
        yield PARAMS, name, json.dumps(list(params)).encode()


def _unpacked(rows: Iterable[tuple[str, str, bytes]]) -> Columns:
    found: Mapping[str, dict[str, bytes]] = {NUMBERS: {}, VALUES: {}, PARAMS: {}}
    for kind, name, data in rows:
        found[kind][name] = data
    return Columns(
        np.frombuffer(found[NUMBERS][""], _INTEGERS).astype(np.int64),
        {name: np.frombuffer(data, _FLOATS) for name, data in found[VALUES].items()},
        {name: json.loads(data) for name, data in found[PARAMS].items()},
    )
