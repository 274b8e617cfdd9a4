"""The terminal: one kind of console; and the progress display that fits where a run is shown."""

import os
import sys
from typing import TextIO

from rich.console import Console

from orchestrator.contracts import Progress
from orchestrator.fronts.front import Front
from orchestrator.reporting.live import WIDE, LiveProgress
from orchestrator.reporting.notebook_table import TableProgress, notebook_cell
from orchestrator.reporting.plain import PlainProgress
from orchestrator.reporting.tables import shown_objectives

_COLUMN = 12  # width of a column of values
_WIDE = 400  # characters in a line of a file or a pipe, where nothing should be cut off


def console_for(stream: TextIO) -> Console:
    """Create a console that prints text as it is: user-chosen names are never markup.

    >>> import io
    >>> console_for(stream := io.StringIO()).print("[red]digits")
    >>> stream.getvalue().strip()
    '[red]digits'
    """
    width = None if stream.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def has_room_for_params(stream: TextIO, front: Front) -> bool:
    """Return whether columns of parameters fit beside those of the objectives."""
    tested = len(shown_objectives(front)) - len(front.objectives)
    return console_for(stream).width >= WIDE + _COLUMN * tested


def progress_for(stream: TextIO | None = None) -> Progress:
    """Choose a live display if `stream` (standard error) is a terminal, else plain lines.

    >>> import io
    >>> type(progress_for(io.StringIO())).__name__
    'PlainProgress'
    """
    console = console_for(stream or sys.stderr)
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)


def quiet_progress() -> Progress:
    """Choose a live table in a Jupyter kernel, else plain lines on standard error."""
    cell = notebook_cell()
    return TableProgress(cell) if cell else PlainProgress(console_for(sys.stderr))
