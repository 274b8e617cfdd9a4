"""Times of recordings that have none, or only a total."""

from collections.abc import Iterable, Mapping
from typing import Any

EPOCH_S, TOTAL_S = "seconds", "train_s"

Row = dict[str, Any]
"""A recording as JSON: ``params``, ``seed``, ``values``, ``reports``."""


def with_costs(rows: list[Row]) -> tuple[list[Row], str]:
    """Give a time to each epoch of a table that has none, or to each training without epochs.

    A total is spread evenly over the epochs. Without one each epoch takes a second, or each
    training where there are no epochs. A table that has times for a part of its recordings is
    returned as it is.

    Returns:
        The rows, and a sentence on what was assumed; empty if nothing was.

    >>> rows, note = with_costs([{"params": {"net": 1}, "values": {"loss": 0.5}, "reports": []}])
    >>> rows[0]["values"], note
    ({'loss': 0.5, 'train_s': 1.0}, 'no times: each training takes 1 s')
    """
    has_epochs = any(row.get("reports") for row in rows)
    if _any(EPOCH_S, (report["values"] for row in rows for report in row.get("reports", ()))):
        return rows, ""
    if _any(TOTAL_S, (row["values"] for row in rows)):
        if not has_epochs:
            return rows, ""
        return [_spread(row) for row in rows], "train_s is spread evenly over the epochs"
    if has_epochs:
        return [_unit(row) for row in rows], "no times: each epoch takes 1 s"
    return [_unit(row) for row in rows], "no times: each training takes 1 s"


def _any(name: str, values: Iterable[Mapping[str, Any]]) -> bool:
    return any(name in each for each in values)


def _spread(row: Row) -> Row:
    reports, total = row.get("reports", ()), row["values"].get(TOTAL_S)
    if not reports or total is None:
        return row
    return _with_epochs(row, float(total) / len(reports))


def _unit(row: Row) -> Row:
    if row.get("reports"):
        return _with_epochs(row, 1.0)
    return {**row, "values": {**row["values"], TOTAL_S: 1.0}}


def _with_epochs(row: Row, seconds: float) -> Row:
    reports = [{**each, "values": {**each["values"], EPOCH_S: seconds}} for each in row["reports"]]
    return {**row, "reports": reports}
