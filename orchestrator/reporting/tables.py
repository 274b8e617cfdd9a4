"""Records as a table for people, and as JSON or CSV for programs."""

import csv
import io
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from orchestrator.fronts.front import Front
from orchestrator.fronts.member import FrontMember
from orchestrator.fronts.picking import told_at_chance
from orchestrator.objectives import Objective, arrow
from orchestrator.quantities import NOTHING, human, human_param, human_params
from orchestrator.trials import SweepRecord, Trial, TrialState

if TYPE_CHECKING:
    # SciPy takes a second to import, and a table without intervals does not need it.
    from orchestrator.fronts.uncertainty import Uncertainty

_NAME = 8  # letters of a name from which it is written in two lines
_NUMBER = 8  # columns of "22.4 kB"; a longer heading wraps before a number does
_COLUMNS = 6  # parameters beyond which they share one column
STATE_STYLES: Mapping[str, str] = {
    "complete": "green",
    "running": "cyan",
    "waiting": "dim",
    "stopped": "yellow",
    "interrupted": "yellow",
    "failed": "red",
}


def as_json(value: object) -> str:
    """Write standard JSON: numbers that are not finite become null.

    >>> as_json([math.nan, 0.5]).split()
    ['[', 'null,', '0.5', ']']
    """
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def as_csv(records: Iterable[Mapping[str, object]]) -> str:
    """Write one line per record under a header; each param and value becomes a column.

    The columns are called ``params.NAME`` and ``values.NAME``.

    >>> as_csv([{"trial": 3, "params": {"bits": 4}, "values": {"accuracy": 0.9}}]).split()
    ['trial,params.bits,values.accuracy', '3,4,0.9']
    """
    rows = [_flat(record) for record in records]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def plain_table(title: str = "") -> Table:
    """Create an empty table in this project's style.

    >>> plain_table("front").title
    'front'
    """
    return Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def front_table(
    front: Front,
    *,
    knee: FrontMember | None = None,
    limit: int | None = None,
    with_params: bool = True,
    known: "Mapping[tuple[str, int], Uncertainty]" = MappingProxyType({}),
) -> Table:
    """Build a table of the front: best first in the first objective, the knee marked.

    Values on the test set are shown beside those on validation images.

    Args:
        front: The front to show.
        knee: The member to mark.
        limit: Show at most this many members.
        with_params: Show the configurations.
        known: Uncertainties of members by sweep and trial number, if they are to be shown.

    >>> [column.header for column in front_table(Front((), ())).columns]
    ['trial']
    """
    members = front.members[:limit]
    several = len({member.sweep for member in front.members}) > 1
    table = plain_table()
    if several:
        table.add_column("sweep")
    table.add_column("trial", justify="right", min_width=5, no_wrap=True)
    shown = shown_objectives(front)
    measured = [o.name for o in shown if any(o.name in each.images for each in known.values())]
    for objective in shown:
        _objective_column(table, objective)
        if objective.name in measured:
            table.add_column("95 %", no_wrap=True)
            table.add_column("n", justify="right", no_wrap=True)
    if known:
        table.add_column("on\nfront", justify="right", no_wrap=True)
    names = _param_columns(table, [m.params for m in members if with_params])
    for member in members:
        is_knee = knee is not None and (member.sweep, member.trial) == (knee.sweep, knee.trial)
        table.add_row(
            *([member.sweep] if several else []),
            f"→ {member.trial}" if is_knee else str(member.trial),
            *_member_cells(shown, measured, member, known.get((member.sweep, member.trial))),
            *(_probability_cell(known.get((member.sweep, member.trial))) if known else []),
            *_param_cells(names, member.params),
            style="bold" if is_knee else None,
        )
    return table


def shown_objectives(front: Front) -> tuple[Objective, ...]:
    """Return the columns of a front: each objective, and beside it its test value, if any.

    >>> from orchestrator.fronts.front import compute_front
    >>> from orchestrator.objectives import Direction
    >>> values = {"accuracy": 0.9, "test_accuracy": 0.8}
    >>> trial = Trial("s", 0, {}, 0, TrialState.COMPLETE, values=values)
    >>> front = compute_front([trial], [Objective("accuracy", Direction.MAXIMIZE)])
    >>> [each.name for each in shown_objectives(front)]
    ['accuracy', 'test_accuracy']
    """
    measured = {name for member in front for name in member.values}
    pairs = ((o, Objective(f"test_{o.name}", o.direction)) for o in front.objectives)
    return tuple(
        each
        for objective, tested in pairs
        for each in (objective, *([tested] if tested.name in measured else []))
    )


def _member_cells(
    shown: Sequence[Objective],
    measured: Collection[str],
    member: FrontMember,
    known: "Uncertainty | None",
) -> Iterator[str]:
    for objective in shown:
        yield human(objective.name, member.values.get(objective.name))
        if objective.name not in measured:
            continue
        interval = known.intervals.get(objective.name) if known else None
        if interval is None or known is None:
            yield from (NOTHING, NOTHING)
        else:
            yield f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
            yield f"{known.images[objective.name]:,}"


def _probability_cell(known: "Uncertainty | None") -> list[str]:
    if known is None or known.front_probability is None:
        return [NOTHING]
    return [f"{100 * known.front_probability:.0f} %"]


def front_heading(
    front: Front, where: str | None = None, *, knee: FrontMember | None = None
) -> str:
    """Write how many trials are on the front, or why none is, and which one is marked.

    >>> front_heading(Front((), ())).partition(": ")[0]
    'The front is empty'
    """
    total = len(front) + len(front.others)
    among = f" that fulfill {where!r}" if where else ""
    lacking = ""
    if front.left_out:
        names = ", ".join(objective.name for objective in front.objectives)
        lacking = f" {front.left_out} complete trials lack a number for one of {names}."
    if not len(front):
        return (
            f"The front is empty: there are no complete trials{among} to compare.{lacking} "
            f"'paretune trials NAME' lists the trials of a sweep in every state."
        )
    if not front.feasible:
        return (
            f"No trial meets the constraints: these {len(front)} of {total} trials{among} violate "
            f"them least.{lacking}"
        )
    marked = ""
    if knee is not None:
        marked = f" → is the knee, the most balanced: trial {knee.trial}.{told_at_chance(front)}"
    return (
        f"{len(front)} of {total} complete trials{among} are on the Pareto front.{lacking}{marked}"
        f"{_told_subset(front)}"
    )


def _told_subset(front: Front) -> str:
    if front.chosen_by:
        return " They were chosen by validation values, and are shown by those of the test set."
    if any(objective.name.startswith("test_") for objective in front.objectives):
        return " They were chosen by test values, which flatter them for that."
    return ""


def power_table(records: Sequence[Mapping[str, object]]) -> Table:
    """Build a table of power: rows by candidates and images, columns by seeds.

    >>> power_table([{"seeds": 3, "candidates": 8, "images": 500, "power": 0.81}]).row_count
    1
    """
    seeds = list(dict.fromkeys(record["seeds"] for record in records))
    table = plain_table()
    for column in ("configurations", "images", *(f"{each} seeds" for each in seeds)):
        table.add_column(column, justify="right")
    rows: dict[tuple[object, object], list[str]] = {}
    for record in records:
        row = rows.setdefault((record["candidates"], record["images"]), [])
        row.append(f"{record['power']:.2f}")
    for (candidates, images), cells in rows.items():
        table.add_row(f"{candidates:,}", f"{images:,}", *cells)
    return table


def findings_table(findings: Sequence[Mapping[str, object]]) -> Table:
    """Build a table of ``doctor`` findings, with the fix for each problem.

    >>> findings_table([{"ok": True, "name": "Ray", "detail": "works"}]).row_count
    1
    """
    table = plain_table()
    for column in ("", "what", "found", "fix"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        fine = bool(finding["ok"])
        mark = Text("ok", style="green") if fine else Text("no", style="red")
        fix = "" if fine else str(finding["fix"])
        table.add_row(mark, str(finding["name"]), str(finding["detail"]), fix)
    return table


def trials_table(trials: Sequence[Trial], objectives: Sequence[Objective]) -> Table:
    """Build a table of trials: state, objectives, parameters, and why each failed.

    >>> trials_table([Trial("s", 0, {"bits": 4}, 0, TrialState.RUNNING)], []).row_count
    1
    """
    table = plain_table()
    table.add_column("trial", justify="right", min_width=5, no_wrap=True)
    table.add_column("state", no_wrap=True)
    for objective in objectives:
        _objective_column(table, objective)
    names = _param_columns(table, [trial.params for trial in trials])
    if failed := any(trial.failure for trial in trials):
        table.add_column("failure", overflow="fold")
    for trial in trials:
        reason = f"{trial.failure.kind.value}: {trial.failure.message}" if trial.failure else ""
        table.add_row(
            str(trial.number),
            state_text(trial.state.value),
            *_objective_cells(objectives, trial.values),
            *_param_cells(names, trial.params),
            *([Text(reason.splitlines()[0] if reason else "")] if failed else []),
        )
    return table


def sweeps_table(sweeps: Sequence[SweepRecord], counts: Mapping[str, Mapping[str, int]]) -> Table:
    """Build a table of sweeps: state, trials by state, when each began and why it ended.

    >>> [column.header for column in sweeps_table([], {}).columns]
    ['sweep', 'state', 'trials', 'began', 'ended because']
    """
    table = plain_table()
    for column in ("sweep", "state", "trials", "began", "ended because"):
        table.add_column(column)
    for sweep in sweeps:
        table.add_row(
            sweep.name,
            state_text(sweep.state.value),
            ", ".join(f"{count} {state}" for state, count in counts[sweep.name].items()) or "none",
            clock(sweep.created),
            Text(sweep.stop_reason or NOTHING),
        )
    return table


def state_text(state: str) -> Text:
    """Write a state in its color.

    >>> state_text("running").plain
    'running'
    """
    return Text(state, style=STATE_STYLES.get(state, ""))


def clock(moment: datetime | None) -> str:
    """Write a moment in the reader's time zone, to the second.

    >>> clock(None)
    '-'
    """
    return NOTHING if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def count_states(trials: Iterable[Trial]) -> dict[str, int]:
    """Count the trials in each state that occurs, in the order of `TrialState`.

    >>> trials = [Trial("s", 0, {}, 0, each) for each in (TrialState.FAILED, TrialState.COMPLETE)]
    >>> count_states(trials)
    {'complete': 1, 'failed': 1}
    """
    states = [trial.state for trial in trials]
    return {state.value: states.count(state) for state in TrialState if state in states}


def _objective_column(table: Table, objective: Objective) -> None:
    """Add a column with one word per line, which is never narrowed, unlike the parameters'."""
    *words, last, direction = arrow(objective).split()
    heading = "\n".join([*words, f"{last} {direction}"])
    table.add_column(heading, justify="right", min_width=_NUMBER, no_wrap=True)


def _objective_cells(objectives: Sequence[Objective], values: Mapping[str, float]) -> list[str]:
    return [human(objective.name, values.get(objective.name)) for objective in objectives]


def _param_columns(table: Table, params: Sequence[Mapping[str, object]]) -> list[str] | None:
    """Add a column per parameter and return the names, or one for all if there are many."""
    names = merged_names(params)
    if len(names) > _COLUMNS:
        table.add_column("params", overflow="fold")
        return None
    for name in names:
        widest = max(len(human_param(each[name])) for each in params if name in each)
        # Long names may be broken, since the values are short.
        heading = name.replace("_", "_\n", 1) if len(name) > _NAME else name
        table.add_column(heading, justify="right", style="dim", min_width=widest, overflow="fold")
    return names


def merged_names(params: Iterable[Mapping[str, object]]) -> list[str]:
    """Merge all names in an order that preserves the order within each configuration.

    >>> merged_names([{"layers": 1, "bits": 4}, {"layers": 2, "width_2": 16, "bits": 4}])
    ['layers', 'width_2', 'bits']
    """
    names: list[str] = []
    for each in params:
        place = 0
        for name in each:
            if name not in names:
                names.insert(place, name)
            place = names.index(name) + 1
    return names


def _param_cells(names: list[str] | None, params: Mapping[str, object]) -> list[str]:
    if names is None:
        return [human_params(params)]
    return [human_param(params[name]) if name in params else NOTHING for name in names]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _flat(record: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}.{name}": item for name, item in value.items()})
        else:
            flat[key] = _plain(value)
    return flat
