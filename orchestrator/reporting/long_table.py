"""A table of very many rows as plain text: rich needs two milliseconds to lay out a row."""

from collections.abc import Iterator

from rich.table import Column, Table

LONG = 500
"""Rows beyond which a table is written so: its colors are not missed, and its end would be."""

_GAP = "  "


def long_text(table: Table) -> Iterator[str]:
    """Write a table line by line: columns aligned, without color, and no cell is wrapped.

    >>> table = Table("trial", "state")
    >>> table.add_row("3", "failed")
    >>> list(long_text(table))
    ['trial  state', '───────────────', '3      failed']
    """
    columns = [[_line(cell) for cell in each.cells] for each in table.columns]
    headings = [_line(each.header) for each in table.columns]
    widths = [max(map(len, [name, *cells])) for name, cells in zip(headings, columns, strict=True)]
    layout = _GAP.join(
        f"{{:{_side(each)}{width}}}" for each, width in zip(table.columns, widths, strict=True)
    )
    heading = layout.format(*headings).rstrip()
    yield heading
    yield "─" * (sum(widths) + len(_GAP) * len(widths))
    for row in zip(*columns, strict=True):
        yield layout.format(*row).rstrip()


def _line(cell: object) -> str:
    """One line of text: a name that was broken at an underscore or a space is one again."""
    return str(cell).replace("_\n", "_").replace("\n", " ")


def _side(column: Column) -> str:
    return ">" if column.justify == "right" else "<"
