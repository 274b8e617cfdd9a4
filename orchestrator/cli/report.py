"""``report``."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import (
    AlphaOption,
    KeepOption,
    MarginOption,
    NameArgument,
    StoreOption,
    check_page,
    listed,
    save_page,
)


def report(  # noqa: PLR0913 - the options of a command
    name: NameArgument,
    *,
    to: Annotated[Path, typer.Option(metavar="FILE.html", help="The page to write.")],
    keep: KeepOption = None,
    margin: MarginOption = None,
    alpha: AlphaOption = None,
    head_saving: Annotated[
        float, typer.Option(help="Share of the head's parameters that is to be saved.")
    ] = 0.8,
    store: StoreOption = None,
) -> None:
    """Write one self-contained page: front, study with its tests, plots, settings.

    Kept accuracies, margin and alpha are those that the sweep file claims, else accuracy, 2 points
    and 0.05. The page says whether they were fixed beforehand, and counts the looks.

    Example: paretune report fc-sizing --to report.html --margin 0.03
    """
    from orchestrator.queries.looks import asked
    from orchestrator.queries.sweeps import open_sweep
    from orchestrator.reporting.sweep_report import sweep_report

    check_page(to)
    sweep = open_sweep(name, store)
    claim = asked(sweep, keep=listed(keep), margin=margin, alpha=alpha)
    page, said = sweep_report(sweep, claim, head_saving=head_saving)
    save_page(page, to)
    typer.echo(said)
