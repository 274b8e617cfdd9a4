"""Where an analysis goes: to the screen, to a page, and to MLflow."""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer
from rich.console import RenderableType

from orchestrator.cli.options import Format, check_page, print_analysis, save_page, say

if TYPE_CHECKING:
    from orchestrator.tracking.analysis_runs import AnalysisTracker

TrackOption = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="Write the analysis to MLflow too, as a run of its own: a server or database, or "
        "'default' for the one that sweeps go to.",
        show_default=False,
    ),
]


class Report(Protocol):
    """A report of an analysis that can be shown, and tracked."""

    @property
    def kind(self) -> str:
        """The word of the command."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Caveats; sentences without a full stop."""
        ...

    def inputs(self) -> dict[str, Any]:
        """Return what it was given."""
        ...

    def results(self) -> dict[str, float]:
        """Return the numbers that sum it up."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        ...

    def records(self) -> list[dict[str, Any]]:
        """Return its rows."""
        ...


@dataclass(frozen=True, slots=True)
class AnalysisOutput:
    """The places that an analysis goes to; checked before it begins.

    Attributes:
        command: The command that is carried out, with all its options.
        to: The page to write.
        tracker: The MLflow to write to.
        began: When the analysis began.
    """

    command: str
    to: Path | None = None
    tracker: "AnalysisTracker | None" = None
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def checked(
        cls, context: typer.Context, to: Path | None, track: str | None
    ) -> "AnalysisOutput":
        """Check what the options `--to` and `--track` name.

        Args:
            context: Of the command.
            to: As it was given.
            track: As it was given.

        Raises:
            UsageError: One of them cannot be what it is to name.
            OrchestratorError: No page can be written there.
        """
        if to is not None:
            check_page(to)
        command = shown_command(context)
        if track is None:
            return cls(command, to)
        from orchestrator.tracking.analysis_runs import AnalysisTracker

        return cls(command, to, AnalysisTracker.at(track))

    def show(
        self,
        report: Report,
        page: Callable[[str], str],
        heading: str,
        table: RenderableType,
        how: Format,
        *,
        as_rows: bool = False,
    ) -> None:
        """Write the page, print the analysis, and track it.

        Args:
            report: The analysis.
            page: Renders it as HTML, given the command.
            heading: What people read above the table; empty for none.
            table: Its rows.
            how: In which form they are printed.
            as_rows: Whether JSON holds the rows alone.

        Raises:
            OrchestratorError: The page or the run cannot be written.
        """
        for note in report.notes:
            say(f"Note: {note}.")
        rendered = "" if self.to is None and self.tracker is None else page(self.command)
        if self.to is not None:
            save_page(rendered, self.to)
        print_analysis(report, heading, table, how, as_rows=as_rows)
        # Last: a server that is away must not cost what was found.
        if self.tracker is not None:
            run_id = self.tracker.write(report, began=self.began, page=rendered)
            say(f"Tracked at {self.tracker.name} as run {run_id}")


_ELSEWHERE = ("to", "track", "how", "store")
"""Options that decide where the result goes, and not what it is."""


def shown_command(context: typer.Context) -> str:
    """Return a command with every option that its result depends on, given or not.

    So that what is read later can be made again, whatever the defaults are then. Of a path the
    last part is shown: the rest is of one machine.
    """
    words = [word for part in context.command.params for word in _words(part, context.params)]
    return shlex.join(["paretune", "analyze", str(context.info_name), *words])


def _words(part: Any, given: dict[str, Any]) -> Iterator[str]:
    value = given.get(part.name)
    if value is None or part.name in _ELSEWHERE or part.name not in given:
        return
    if isinstance(value, bool):
        yield from (part.opts if value else part.secondary_opts)[:1]
        return
    for each in value if isinstance(value, list | tuple) else [value]:
        if part.param_type_name == "option":
            yield part.opts[0]
        text = str(each)
        yield Path(text).name if "/" in text else text
