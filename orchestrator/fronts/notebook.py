"""A front as a notebook and an interpreter show it.

The HTML needs no script and no network, and everything that a person named is escaped in it.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from orchestrator.objectives import Direction, Objective, arrow
from orchestrator.plots.scatter import scatter
from orchestrator.quantities import human, human_params

if TYPE_CHECKING:
    from orchestrator.fronts.front import Front
    from orchestrator.fronts.member import FrontMember

_SHOWN = 20  # members that are listed
_CELL = "text-align: left; vertical-align: top"


def html_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table of texts.

    >>> html_table(["a"], [["<script>"]])[-32:]
    '&lt;script&gt;</td></tr></table>'
    """
    head = "".join(f'<th style="{_CELL}">{escape(text)}</th>' for text in heads)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(text)}</td>' for text in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def front_text(front: "Front") -> str:
    """Write a front as lines of plain text, for an interpreter.

    >>> from orchestrator.fronts.front import compute_front
    >>> from orchestrator.objectives import Direction
    >>> front_text(compute_front([], [Objective("accuracy", Direction.MAXIMIZE)]))
    'Front of 0 over accuracy (maximize)'
    """
    lines = [_heading(front, ", ".join(map(str, front.objectives)))]
    for member in front.members[:_SHOWN]:
        known = [o.name for o in front.objectives if o.name in member.values]
        values = "  ".join(f"{name}={member.values[name]:.6g}" for name in known)
        params = "  ".join(f"{name}={value}" for name, value in member.params.items())
        lines.append(f"  {member.sweep} #{member.trial}  {values}  |  {params}")
    return "\n".join([*lines, *_more(front)])


def front_html(front: "Front") -> str:
    """Write a front as a table of its members and, with two objectives or more, a drawing.

    >>> from orchestrator.fronts.front import compute_front
    >>> from orchestrator.objectives import Direction
    >>> front_html(compute_front([], [Objective("accuracy", Direction.MAXIMIZE)]))
    '<p>Front of 0 over accuracy ↑</p>'
    """
    heading = _heading(front, ", ".join(map(arrow, front.objectives)))
    shown = front.members[:_SHOWN]
    if not shown:
        return f"<p>{escape(heading)}</p>"
    drawing = ""
    if len(front.objectives) > 1:
        # As in the larger plot, what is to be small is across.
        axes = sorted(front.objectives[:2], key=lambda each: each.direction is Direction.MAXIMIZE)
        beaten = [trial.values for trial in front.others]
        drawing = scatter(axes, [(_title(each), each.values) for each in front.members], beaten)
    heads = ["sweep", "trial", *(arrow(each) for each in front.objectives), "parameters"]
    rows = (
        [each.sweep, str(each.trial), *_values(front.objectives, each), human_params(each.params)]
        for each in shown
    )
    more = "".join(f"<p>{escape(text.strip())}</p>" for text in _more(front))
    return f"<p>{escape(heading)}</p>{drawing}{html_table(heads, rows)}{more}"


def member_html(member: "FrontMember", *, reason: str = "") -> str:
    """Write a member as a table of what was measured and of its parameters.

    >>> from orchestrator.fronts.member import FrontMember
    >>> member = FrontMember("digits", 3, {"bits": 4}, {"accuracy": 0.9}, None, None)
    >>> "90.0 %" in member_html(member)
    True
    """
    measured = [[name, human(name, value)] for name, value in member.values.items()]
    said = f"<p>{escape(reason)}</p>" if reason else ""
    facts = [["parameters", human_params(member.params)], *measured]
    if member.artifact is not None:
        facts.append(["network", member.artifact])
    return f"<p>{escape(_title(member))}</p>{said}{html_table(['', ''], facts)}"


def _heading(front: "Front", goals: str) -> str:
    note = "" if front.feasible else " (no trial meets the constraints: least violating)"
    return f"Front of {len(front)} over {goals}{note}"


def _title(member: "FrontMember") -> str:
    return f"{member.sweep}, trial {member.trial}"


def _values(objectives: Sequence[Objective], member: "FrontMember") -> list[str]:
    return [human(each.name, member.values.get(each.name)) for each in objectives]


def _more(front: "Front") -> list[str]:
    return [f"  and {len(front) - _SHOWN} more"] if len(front) > _SHOWN else []
