"""What differs between two sweeps or two trials, as a table."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from orchestrator.quantities import NOTHING, human, human_param
from orchestrator.queries.differences import Difference
from orchestrator.reporting.tables import plain_table


def differences_table(found: Sequence[Difference], first: str, second: str) -> Table:
    """Build a table with one row for each difference, and a column for each side.

    >>> differences_table([Difference("bits", 4, None)], "a", "b").row_count
    1
    """
    table = plain_table()
    for column in ("", first, second):
        table.add_column(Text(column), overflow="fold")
    for each in found:
        sides = (Text(_said(each.name, value)) for value in (each.first, each.second))
        table.add_row(Text(each.name), *sides)
    return table


def _said(name: str, value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return human(name.removeprefix("best."), value)
    return human_param(value)
