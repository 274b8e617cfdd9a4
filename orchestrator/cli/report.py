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
from orchestrator.errors import OrchestratorError, UsageError


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
    from orchestrator.analysis.claim import told_of
    from orchestrator.analysis.sizing_study import Study
    from orchestrator.queries.looks import asked, count_look
    from orchestrator.queries.plotting import plots_of
    from orchestrator.queries.sweeps import open_sweep
    from orchestrator.reporting.report_page import PLOTS, Made, report_page
    from orchestrator.reporting.study_text import verdict_of

    check_page(to)
    sweep = open_sweep(name, store)
    claim = asked(sweep, keep=listed(keep), margin=margin, alpha=alpha)
    front = sweep.front()
    study: Study | str
    told = ""
    try:
        study = sweep.study(
            keep=claim.keep, margin=claim.margin, alpha=claim.alpha, head_saving=head_saving
        )
        told = told_of(claim, count_look(name, claim.look("memory_bytes", len(front.trained))))
    except UsageError:
        raise
    except OrchestratorError as error:
        # A page without a study is still a page: the study says what it lacks.
        study = str(error)
    command = (
        f"paretune report {name} --keep {','.join(claim.keep)} --margin {claim.margin:g} "
        f"--alpha {claim.alpha:g} --head-saving {head_saving:g}"
    )
    made = Made(command, told)
    page = report_page(sweep.record, sweep.trials(), front, study, made, plots_of(sweep, PLOTS))
    save_page(page, to)
    typer.echo(study if isinstance(study, str) else f"{verdict_of(study)} {told}")
