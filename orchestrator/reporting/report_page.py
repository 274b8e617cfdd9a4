"""A sweep as one self-contained page: what was found, how, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from markupsafe import Markup

from orchestrator.analysis.sizing_study import Study
from orchestrator.fronts.front import Front
from orchestrator.fronts.picking import told_at_chance
from orchestrator.objectives import arrow
from orchestrator.plots.figure_page import STYLE, embedded, scripts, title_and_hint
from orchestrator.quantities import human, human_params
from orchestrator.queries.data_notes import leaks_of_stored
from orchestrator.redaction import redacted_section
from orchestrator.reporting.page_parts import made_by, template
from orchestrator.reporting.study_text import (
    DIFFERENCE_HEADINGS,
    difference_rows,
    headings_of,
    rows_of,
    verdict_of,
)
from orchestrator.reporting.tables import clock, count_states, front_heading, shown_objectives
from orchestrator.trials import SweepRecord, Trial, TrialState

if TYPE_CHECKING:
    import plotly.graph_objects as go


_MOST_ROWS = 500  # of a table: a browser takes long to lay out more


@dataclass(frozen=True, slots=True)
class Made:
    """The origin of a page.

    Attributes:
        command: The command that wrote it.
        claim: Whether the study's claim was fixed beforehand, and how often it was looked at.
    """

    command: str
    claim: str = ""


def report_page(
    sweep: SweepRecord,
    trials: Sequence[Trial],
    front: Front,
    study: Study | str,
    made: Made,
    plots: "Mapping[str, go.Figure]",
) -> str:
    """Render the page as HTML; it needs no network, and runs no script but those of its drawings.

    Args:
        sweep: The stored sweep.
        trials: All trials, in any state.
        front: The front of the complete trials.
        study: The sizing study, or a sentence that says why there is none.
        made: The origin of the page.
        plots: Drawings by name, as `orchestrator.queries.plotting.plots_of` has them; the first
            is shown above the table of the front.
    """
    failures = _failures(trials)
    page: str = template(
        "report.html.j2"
    ).render(
        name=sweep.name,
        style=Markup(STYLE),  # noqa: S704 - our own
        state=f"{sweep.state.value}: {sweep.stop_reason}" if sweep.stop_reason else sweep.state,
        heading=front_heading(front) + (told_at_chance(front) if len(front) > 2 else ""),
        counts=", ".join(f"{n} {state}" for state, n in count_states(trials).items() if n),
        warnings=leaks_of_stored(sweep.spec),
        figures=[_embedded(name, figure) for name, figure in plots.items()],
        scripts=Markup(scripts()) if plots else "",  # noqa: S704 - our own
        front_headings=["trial", *map(arrow, shown_objectives(front)), "parameters"],
        front_rows=_front_rows(front)[:_MOST_ROWS],
        more_members=max(len(front) - _MOST_ROWS, 0),
        **_study_tables(study),
        claim=made.claim,
        failures=failures[:_MOST_ROWS],
        more_failures=max(len(failures) - _MOST_ROWS, 0),
        spec=yaml.safe_dump(
            _given(redacted_section(sweep.spec)), sort_keys=False, allow_unicode=True
        ),
        facts=_facts(sweep, made.command),
    )
    return page


def _study_tables(study: Study | str) -> Mapping[str, Any]:
    if isinstance(study, str):
        return {"verdict": study, "study_rows": [], "difference_rows": []}
    return {
        "verdict": verdict_of(study),
        "study_headings": headings_of(study),
        "study_rows": list(rows_of(study)),
        "found_row": study.entries.index(study.found) if study.found else None,
        "examined": study.examined.number if study.examined else None,
        "difference_headings": DIFFERENCE_HEADINGS,
        "difference_rows": list(difference_rows(study)),
    }


def _embedded(name: str, figure: "go.Figure") -> tuple[str, str, str]:
    """Return title, hint and HTML of a drawing, which `scripts` draws."""
    title, hint = title_and_hint(figure)
    return title, hint, Markup(embedded(figure, f"figure-{name}", title))  # noqa: S704 - escaped


def _front_rows(front: Front) -> list[list[str]]:
    return [
        [
            str(member.trial),
            *(human(o.name, member.values.get(o.name)) for o in shown_objectives(front)),
            human_params(member.params),
        ]
        for member in front
    ]


def _failures(trials: Sequence[Trial]) -> list[list[str]]:
    return [
        [str(trial.number), trial.failure.kind.value, trial.failure.message]
        for trial in trials
        if trial.state is TrialState.FAILED and trial.failure is not None
    ]


def _written(spec: Mapping[str, Any]) -> str:
    """Write a stored spec as YAML, without secrets, since pages are shared."""
    text: str = yaml.safe_dump(_given(redacted_section(spec)), sort_keys=False, allow_unicode=True)
    return text


def _given(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored spec without the keys that are not set."""
    inner = {
        key: _given(value) if isinstance(value, Mapping) else value for key, value in spec.items()
    }
    return {key: value for key, value in inner.items() if value not in (None, [], {})}


def _facts(sweep: SweepRecord, command: str) -> Mapping[str, str]:
    return {
        "started": clock(sweep.created),
        "ended": clock(sweep.ended),
        **made_by(command, "torch", "torchvision", "ray", "optuna", "mlflow"),
    }
