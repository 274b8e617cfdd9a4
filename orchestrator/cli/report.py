"""``report``."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import NameArgument, StoreOption, say
from orchestrator.errors import OrchestratorError, UsageError


def report(  # noqa: PLR0913 - the options of a command
    name: NameArgument,
    *,
    to: Annotated[Path, typer.Option(metavar="FILE.html", help="The page to write.")],
    keep: Annotated[
        str, typer.Option(metavar="A,B", help="The accuracies that must not be worse.")
    ] = "accuracy",
    margin: Annotated[float, typer.Option(help="The largest loss that does not matter.")] = 0.02,
    alpha: Annotated[
        float, typer.Option(help="The accepted probability of a wrong 'not worse'.")
    ] = 0.05,
    head_saving: Annotated[
        float, typer.Option(help="Share of the head's parameters that is to be saved.")
    ] = 0.8,
    store: StoreOption = None,
) -> None:
    """Write one self-contained page: front, sizing study with its tests, history, settings.

    Example: paretune report fc-sizing --to report.html --margin 0.03
    """
    from orchestrator.analysis.sizing_study import Study
    from orchestrator.queries.sweeps import open_sweep
    from orchestrator.reporting.report_page import report_page, write_page
    from orchestrator.reporting.study_text import verdict_of

    if to.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--to names the page to write and ends in .html; got {str(to)!r}.")
    sweep = open_sweep(name, store)
    kept = [value.strip() for value in keep.split(",") if value.strip()]
    study: Study | str
    try:
        study = sweep.study(keep=kept, margin=margin, alpha=alpha, head_saving=head_saving)
    except UsageError:
        raise
    except OrchestratorError as error:
        # A page without a study is still a page: the study says what it lacks.
        study = str(error)
    command = (
        f"paretune report {name} --keep {','.join(kept)} --margin {margin:g} --alpha {alpha:g} "
        f"--head-saving {head_saving:g}"
    )
    page = report_page(sweep.record, sweep.trials(), sweep.front(), study, command)
    try:
        write_page(page, to)
    except OSError as error:
        raise OrchestratorError(f"{to} cannot be written: {error.strerror}.") from error
    typer.echo(study if isinstance(study, str) else verdict_of(study))
    say(f"Wrote {to}")
