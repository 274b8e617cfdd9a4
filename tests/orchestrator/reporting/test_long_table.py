"""A table of very many rows says what the usual one says."""

from rich.text import Text

from orchestrator.reporting.long_table import long_text
from orchestrator.reporting.tables import plain_table


def test_cells_are_aligned_and_none_is_cut_off() -> None:
    table = plain_table()
    table.add_column("learning_\nrate", justify="right")
    table.add_column("failure")
    table.add_row("0.1", Text("[bold]it broke", style="red"))
    table.add_row("0.001", Text("x" * 500))
    heading, line, first, second = long_text(table)
    assert heading == "learning_rate  failure"
    assert set(line) == {"─"}
    assert first == "          0.1  [bold]it broke"
    assert second == "        0.001  " + "x" * 500
