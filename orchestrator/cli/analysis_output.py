"""Where an analysis goes: to the screen, to a page, and to MLflow."""

from collections.abc import Callable
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
        to: The page to write.
        tracker: The MLflow to write to.
        began: When the analysis began.
    """

    to: Path | None = None
    tracker: "AnalysisTracker | None" = None
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def checked(cls, to: Path | None, track: str | None) -> "AnalysisOutput":
        """Check what the options `--to` and `--track` name.

        Raises:
            UsageError: One of them cannot be what it is to name.
            OrchestratorError: No page can be written there.
        """
        if to is not None:
            check_page(to)
        if track is None:
            return cls(to)
        from orchestrator.tracking.analysis_runs import AnalysisTracker

        return cls(to, AnalysisTracker.at(track))

    def show(
        self,
        report: Report,
        page: Callable[[], str],
        heading: str,
        table: RenderableType,
        how: Format,
    ) -> None:
        """Write the page, print the analysis, and track it.

        Args:
            report: The analysis.
            page: Renders it as HTML.
            heading: What people read above the table.
            table: Its rows.
            how: In which form they are printed.

        Raises:
            OrchestratorError: The page or the run cannot be written.
        """
        for note in report.notes:
            say(f"Note: {note}.")
        rendered = "" if self.to is None and self.tracker is None else page()
        if self.to is not None:
            save_page(rendered, self.to)
        print_analysis(report, heading, table, how)
        # Last: a server that is away must not cost what was found.
        if self.tracker is not None:
            run_id = self.tracker.write(report, began=self.began, page=rendered)
            say(f"Tracked at {self.tracker.name} as run {run_id}")
