"""The descriptions of a sweep's experiment and run: what people read first, as Markdown."""

from collections.abc import Iterator, Sequence

from orchestrator.fronts.front import Front, compute_front
from orchestrator.fronts.member import FrontMember
from orchestrator.fronts.picking import told_at_chance
from orchestrator.objectives import arrow, human_values
from orchestrator.quantities import human, human_params
from orchestrator.spec.stored import spec_constraints, spec_objectives
from orchestrator.tracking.first_view import page_address, view_address
from orchestrator.trials import SweepRecord, SweepState, Trial

NOTE = "mlflow.note.content"
"""The tag that MLflow shows as the description of a run, or of an experiment."""
WRITTEN = "paretune.description"
"""The experiment's tag that says which description is ours, and may be replaced."""
FRONT_PAGE, REPORT_PAGE = "front.html", "report.html"  # artifacts of the sweep's run
PAGE = "http://127.0.0.1:5050/"
"""Where ``paretune ui NAME`` serves a sweep's page, if it is not told otherwise."""
_ROWS = 12  # members in the table: a tag holds 5,000 characters


def run_description(sweep: SweepRecord, trials: Sequence[Trial]) -> str:
    """Describe the front as a table, how to read it, and where to find the rest.

    >>> from datetime import UTC, datetime
    >>> from orchestrator.trials import SweepState
    >>> spec, began = {"objectives": {"accuracy": "maximize"}}, datetime(2026, 1, 1, tzinfo=UTC)
    >>> sweep = SweepRecord("digits", spec, "", SweepState.RUNNING, began)
    >>> run_description(sweep, []).splitlines()[0]
    'No trial is complete yet, so there is no Pareto front to show.'
    """
    goals, limits = spec_objectives(sweep.spec), spec_constraints(sweep.spec)
    front = compute_front(trials, goals, limits)
    return "\n".join([*_table(front, experiment_description(sweep)), *_guide(sweep)])


def experiment_description(sweep: SweepRecord) -> str:
    """Link to the front's members in charts, and to the pages of the sweep's run.

    MLflow shows it above the list of runs, where its first line is read without a click.

    >>> from datetime import UTC, datetime
    >>> began = datetime(2026, 1, 1, tzinfo=UTC)
    >>> sweep = SweepRecord("a", {}, "", SweepState.RUNNING, began, mlflow_experiment_id="1")
    >>> experiment_description(sweep)[:40]
    '[Compare the front in charts](#/experime'
    """
    return " · ".join(f"[{words}]({address})" for words, address in _links(sweep))


def trial_description(sweep: str, trial: int) -> str:
    """Write where a trial's own page is.

    >>> trial_description("digits", 3)[:60]
    "[Trial 3 on the sweep's page](http://127.0.0.1:5050/#/trial/"
    """
    return (
        f"[Trial {trial} on the sweep's page]({PAGE}#/trial/{trial}), while `paretune ui {sweep}` "
        "runs."
    )


def _links(sweep: SweepRecord) -> Iterator[tuple[str, str]]:
    experiment, run = sweep.mlflow_experiment_id or "", sweep.mlflow_run_id or ""
    yield "Compare the front in charts", view_address(sweep.name, experiment, "front")
    yield "The front", page_address(experiment, run, f"artifacts/{FRONT_PAGE}")
    if sweep.state is SweepState.COMPLETE:
        yield "Report", page_address(experiment, run, f"artifacts/{REPORT_PAGE}")
    yield "Hypervolume", page_address(experiment, run, "model-metrics")
    yield "Learning curves", view_address(sweep.name, experiment, "curves")


def _table(front: Front, links: str) -> Iterator[str]:
    if not len(front):
        yield "No trial is complete yet, so there is no Pareto front to show.\n"
        return
    total = len(front) + len(front.others)
    if front.feasible:
        yield (
            f"**{len(front)} of {total} complete trials are on the Pareto front**: no other trial "
            "beats them on every objective.\n"
        )
    else:
        yield f"**No trial of {total} meets the constraints**; these violate them least.\n"
    # MLflow folds away all but the first lines, so the table comes after the sentences.
    knee = front.knee() if len(front) > 2 else None
    if knee is not None:
        values = human_values(front.objectives, knee.values)
        left_out = told_at_chance(front)
        yield f"The knee, its most balanced member, is trial {knee.trial}: {values}.{left_out}\n"
    yield f"**{links}**\n"
    names = [arrow(objective) for objective in front.objectives]
    yield f"| trial | {' | '.join(names)} | parameters |"
    yield f"|--:|{'--:|' * len(names)}:--|"
    for member in front[:_ROWS]:
        yield _row(front, member, is_knee=member == knee)
    if len(front) > _ROWS:
        yield f"\nand {len(front) - _ROWS} more, which `front.csv` among the artifacts lists.\n"


def _row(front: Front, member: FrontMember, *, is_knee: bool) -> str:
    values = [human(each.name, member.values.get(each.name)) for each in front.objectives]
    # A vertical bar inside a cell would end the cell.
    params = human_params(member.params).replace("|", "\\|")
    trial = f"**{member.trial}** (knee)" if is_knee else str(member.trial)
    return f"| {trial} | {' | '.join(values)} | {params} |"


def _guide(sweep: SweepRecord) -> Iterator[str]:
    yield "\n- Each **child run** is one attempt at a trial."
    if sweep.state is not SweepState.RUNNING:
        yield (
            "- The front's runs are found with the filter `tags.pareto = 'true'`; each has its "
            "packed network among its artifacts."
        )
    yield (
        f"- `paretune ui {sweep.name}` serves [the sweep's own page]({PAGE}): watch it, compare "
        "trials, choose one."
    )
    yield f"- This is a copy; `paretune sync {sweep.name}` repairs it from the store."
