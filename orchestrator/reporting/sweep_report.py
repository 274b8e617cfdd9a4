"""The report of a stored sweep: what is read, compared and drawn for its page."""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.analysis.claim import Claim, told_of
from orchestrator.contracts import Mirror
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.queries.looks import asked, count_look
from orchestrator.queries.plotting import PLOTS, plots_of
from orchestrator.reporting.page_parts import write_page
from orchestrator.reporting.report_page import Made, report_page
from orchestrator.reporting.study_text import verdict_of
from orchestrator.state_folder import StateFolder
from orchestrator.tracking.run_description import REPORT_PAGE

if TYPE_CHECKING:
    from orchestrator.analysis.sizing_study import Study
    from orchestrator.fronts.front import Front
    from orchestrator.queries.sweeps import Sweep

logger = logging.getLogger(__name__)

_MOST_TRIALS = 20_000  # in a page that is made unasked: 10,000 take 6 s and 12 MB


def sweep_report(
    sweep: "Sweep", claim: Claim, *, head_saving: float = 0.8, state: StateFolder | None = None
) -> tuple[str, str]:
    """Write a report that compares with the reference, which is counted as a look.

    Args:
        sweep: The sweep, in an open store.
        claim: What is asked of the comparison.
        head_saving: Share of the head's parameters that is to be saved.
        state: Where looks are counted; by default the project's state folder.

    Returns:
        The page, and the verdict in a sentence.

    Raises:
        UsageError: The claim is about a value that the sweep does not have.
    """
    front = sweep.front()
    command = (
        f"paretune report {sweep.name} --keep {','.join(claim.keep)} --margin {claim.margin:g} "
        f"--alpha {claim.alpha:g} --head-saving {head_saving:g}"
    )
    try:
        study = sweep.study(
            keep=claim.keep, margin=claim.margin, alpha=claim.alpha, head_saving=head_saving
        )
    except UsageError:
        raise
    except OrchestratorError as error:
        # A page without a study is still a page: the study says what it lacks.
        return _page(sweep, front, str(error), Made(command)), str(error)
    looks = count_look(sweep.name, claim.look("memory_bytes", len(front.trained)), state)
    told = told_of(claim, looks)
    return _page(sweep, front, study, Made(command, told)), f"{verdict_of(study)} {told}"


def kept_report(sweep: "Sweep", state: StateFolder | None = None) -> str:
    """Write the report that is kept beside a finished sweep, without being asked for.

    It compares with the reference only if the sweep file fixed a claim beforehand: any other
    comparison is left to those who ask for it, because each is a look at the results.

    Args:
        sweep: The sweep, in an open store.
        state: As for `sweep_report`.
    """
    if sweep.claim is not None:
        claim = asked(sweep, keep=None, margin=None, alpha=None)
        return sweep_report(sweep, claim, state=state)[0]
    told = (
        f"'paretune report {sweep.name} --to report.html' compares the trials with the reference, "
        f"and counts that as a look."
    )
    said = told if sweep.store.references(sweep.name) else ""
    return _page(
        sweep, sweep.front(), said, Made(f"'paretune run' or 'paretune sync {sweep.name}'")
    )


def keep_report(sweep: "Sweep", mirror: Mirror, state: StateFolder | None = None) -> str:
    """Put a report beside the runs of a finished sweep; no fault of it reaches the caller.

    Args:
        sweep: The sweep, in an open store.
        mirror: Copies the sweep; used by this call alone meanwhile.
        state: As for `sweep_report`.

    Returns:
        A sentence about what went wrong, which is also logged; empty if nothing did.
    """
    if sum(sweep.count_states().values()) > _MOST_TRIALS:
        return f"MLflow has no report of {sweep.name}, because it is very long; {_by_hand(sweep)}"
    try:
        with tempfile.TemporaryDirectory(prefix="paretune-report-") as folder:
            file = Path(folder) / REPORT_PAGE
            write_page(kept_report(sweep, state), file)
            mirror.attach(sweep.name, file)
    except Exception as error:
        # A sweep that has ended well is not to fail over a page that can be made at any time.
        logger.warning("MLflow has no report of %s", sweep.name, exc_info=True)
        reason = f"{type(error).__name__}: {error}".rstrip(".")
        return f"MLflow has no report of {sweep.name} ({reason}); {_by_hand(sweep)}"
    return ""


def _by_hand(sweep: "Sweep") -> str:
    return f"'paretune report {sweep.name} --to report.html' writes it"


def _page(sweep: "Sweep", front: "Front", study: "Study | str", made: Made) -> str:
    # Of one objective, and of more than three, the front is drawn as parallel coordinates already.
    is_plane = len(front.objectives) in (2, 3)
    kinds = [kind for kind in PLOTS if kind != "parallel" or is_plane] if len(front) else []
    plots = plots_of(sweep, kinds)
    return report_page(sweep.record, sweep.trials(), front, study, made, plots)
