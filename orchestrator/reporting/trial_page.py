"""One trial in full, and one sweep's status, as text for people."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.fronts.front import Front
from orchestrator.objectives import Objective, arrow
from orchestrator.quantities import NOTHING, duration, human, human_param, label, sparkline
from orchestrator.queries.trial_log import Event
from orchestrator.reporting.tables import clock, state_text
from orchestrator.trials import (
    Attempt,
    Choice,
    FailureKind,
    Report,
    SweepRecord,
    Trial,
    TrialState,
)

_LAST_LINES = 3  # of a traceback that is folded
_SPARKS = 40
_SHOWN_LOST = 5


def trial_page(
    trial: Trial,
    attempts: Sequence[Attempt],
    reports: Sequence[Report],
    *,
    with_traceback: bool,
    choice: Choice | None = None,
) -> RenderableType:
    """Write one trial in full: parameters, values, epochs, attempts, errors, choice, artifact."""
    parts: list[RenderableType] = [
        Text.assemble(
            (f"trial {trial.number} of {trial.sweep}", "bold"),
            "  ",
            state_text(trial.state.value),
            f"  seed {trial.seed}" + (f"  replicate {trial.replicate}" if trial.replicate else ""),
            "" if trial.origin is None else f"  origin: trial {trial.origin}, same training",
        ),
        _section("parameters", {n: human_param(value) for n, value in trial.params.items()}),
    ]
    if trial.values:
        measured = {n: human(n, value) for n, value in trial.values.items()}
        parts.append(_section("measured", measured))
    if reports:
        parts.append(_section(f"epochs 1 to {reports[-1].epoch}", dict(_curves(reports))))
    parts.append(_section("attempts", dict(_attempts(attempts)) or {"": "none yet"}))
    parts += _failures(attempts, with_traceback=with_traceback)
    if choice is not None:
        said = {choice.kind.value: f"{clock(choice.made)}  {choice.who}".rstrip()}
        parts.append(_section("choice", said | ({"because": choice.note} if choice.note else {})))
    where = {"MLflow run": trial.mlflow_run_id or "not mirrored"}
    if trial.artifact is not None:
        size = human("artifact_bytes", trial.artifact.bytes)
        where |= {"artifact": f"{trial.artifact.path} ({size})", "sha256": trial.artifact.sha256}
    parts.append(_section("kept at", where))
    return Group(*parts)


def sweep_page(
    sweep: SweepRecord,
    counts: Mapping[str, int],
    failures: Mapping[FailureKind, int],
    objectives: Sequence[Objective],
    front: Front,
    lost: Mapping[int, str] | None = None,
) -> RenderableType:
    """Write the status of a sweep, which packed networks are lost, and what to do next."""
    budget = sweep.spec.get("budget")
    planned = budget.get("trials") if isinstance(budget, Mapping) else None
    listed = ", ".join(f"{count} {state}" for state, count in counts.items())
    lines = {
        "state": sweep.state.value + (f": {sweep.stop_reason}" if sweep.stop_reason else ""),
        "trials": (listed or "none") + (f", of {planned} in the budget" if planned else ""),
        "began": clock(sweep.created),
    }
    if failures:
        lines["failures"] = ", ".join(f"{n} {kind.value}" for kind, n in failures.items())
    if sweep.ended is not None:
        took = duration((sweep.ended - sweep.created).total_seconds())
        lines["ended"] = f"{clock(sweep.ended)}, {took} after it was first started"
    if len(front):
        lines["front"] = f"{len(front)} trials" + ("" if front.feasible else ", none feasible")
    for objective in objectives if len(front) else ():
        best = min(front, key=lambda member: objective.loss(member.values[objective.name]))
        value = human(objective.name, best.values[objective.name])
        lines[f"best {arrow(objective)}"] = f"{value} (trial {best.trial})"
    if lost:
        lines["lost networks"] = _lost(lost)
    if sweep.state.value in ("interrupted", "running"):
        lines["go on with"] = f"paretune resume {sweep.name}"
    return Group(Text(sweep.name, style="bold"), _section("", lines))


def event_lines(event: Event) -> Iterator[str]:
    """Write one line of the log of a trial, and its traceback below it.

    >>> list(event_lines(Event(None, 0, "ERROR", "it broke", "ValueError: bad")))
    ['                     attempt 1  ERROR    it broke', '    ValueError: bad']
    """
    moment = "" if event.moment is None else clock(event.moment)
    attempt = "" if event.attempt is None else f"attempt {event.attempt + 1}"
    yield f"{moment:<19}  {attempt:<9}  {event.level:<7}  {event.text}"
    yield from (f"    {line}" for line in event.traceback.rstrip().splitlines())


def _lost(lost: Mapping[int, str]) -> str:
    """Write which packed networks are lost, and the reason for the first few."""
    told = [f"trial {n}: it {reason}" for n, reason in list(lost.items())[:_SHOWN_LOST]]
    more = f"\nand those of {len(lost) - _SHOWN_LOST} more" if len(lost) > _SHOWN_LOST else ""
    return "\n".join(told) + more


def _section(title: str, lines: Mapping[str, str | Text]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in lines.items():
        table.add_row(name, text)
    heading = [Text(title, style="bold")] if title else []
    lines_below = Padding(table, (0, 0, 0, 2), expand=False)
    return Padding(Group(*heading, lines_below), (1 if title else 0, 0, 0, 0), expand=False)


def _curves(reports: Sequence[Report]) -> Iterator[tuple[str, str]]:
    names = dict.fromkeys(name for report in reports for name in report.values)
    for name in names:
        curve = [report.values[name] for report in reports if name in report.values]
        first, last = human(name, curve[0]), human(name, curve[-1])
        yield label(name), f"{sparkline(curve[-_SPARKS:])}  {first} → {last}"


def _attempts(attempts: Sequence[Attempt]) -> Iterator[tuple[str, Text]]:
    for attempt in attempts:
        took = NOTHING
        if attempt.ended is not None:
            took = duration((attempt.ended - attempt.started).total_seconds())
        yield (
            f"attempt {attempt.number + 1}",  # from 1, as MLflow's run names count
            Text.assemble(
                state_text(attempt.state.value),
                f"  {clock(attempt.started)}  {took}  on {attempt.worker}",
            ),
        )


def _failures(attempts: Sequence[Attempt], *, with_traceback: bool) -> Iterator[RenderableType]:
    for attempt in attempts:
        failure = attempt.failure
        if failure is None:
            continue
        has_failed = attempt.state is TrialState.FAILED
        heading = (
            f"attempt {attempt.number + 1}{' failed' if has_failed else ''}, "
            f"{failure.kind.value}: {failure.message}"
        )
        style = "red" if has_failed else "yellow"
        yield Padding(Text(heading, style=style), (1, 0, 0, 0), expand=False)
        lines = failure.traceback.rstrip().splitlines()
        if not with_traceback and len(lines) > _LAST_LINES:
            hidden = len(lines) - _LAST_LINES
            lines = [f"... {hidden} more lines with --traceback", *lines[-_LAST_LINES:]]
        if lines:
            yield Padding(Text("\n".join(lines), style="dim"), (0, 0, 0, 2), expand=False)
