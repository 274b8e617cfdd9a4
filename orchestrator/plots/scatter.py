"""A small drawing of two objectives that needs neither script nor network: an SVG."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from orchestrator.objectives import Objective, arrow
from orchestrator.plots.drawing import ACCENT, FAINT, FONT, MUTED
from orchestrator.quantities import human

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 420, 240, 76, 40, 12, 16
_LOG_FROM = 20.0  # ratio of the largest to the smallest value

Values = Mapping[str, float]


def scatter(
    objectives: Sequence[Objective],
    members: Sequence[tuple[str, Values]],
    others: Sequence[Values] = (),
) -> str:
    """Draw the members of a front, and faintly the other trials.

    >>> from orchestrator.objectives import Direction
    >>> goals = [Objective(name, Direction.MAXIMIZE) for name in ("accuracy", "macro_f1")]
    >>> scatter(goals, [("trial 3", {"accuracy": 0.9, "macro_f1": 0.8})]).count("<circle")
    1

    Args:
        objectives: Two: across and up.
        members: A title and the values of each; those without both are left out.
        others: Values of trials that are no members.

    Returns:
        An ``<svg>`` element; empty if no member has both values.
    """
    across, up = objectives
    points = [(title, *pair) for title, values in members if (pair := _pair(values, objectives))]
    if not points:
        return ""
    faint = [pair for values in others if (pair := _pair(values, objectives))]
    xs = _Scale([point[1] for point in points] + [x for x, _ in faint], _LEFT, _WIDTH - _RIGHT)
    ys = _Scale([point[2] for point in points] + [y for _, y in faint], _HEIGHT - _BOTTOM, _TOP)
    dots = [f'<circle cx="{xs(x):.1f}" cy="{ys(y):.1f}" r="3" fill="{FAINT}"/>' for x, y in faint]
    dots += [
        f'<circle cx="{xs(x):.1f}" cy="{ys(y):.1f}" r="5" fill="{ACCENT}">'
        f"<title>{escape(title)}: {human(across.name, x)}, {human(up.name, y)}</title></circle>"
        for title, x, y in points
    ]
    return (
        f'<svg role="img" aria-label="{escape(arrow(up))} over {escape(arrow(across))}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="{FONT}" font-size="11" fill="{MUTED}">'
        f"{_frame(across, up, xs, ys)}{''.join(dots)}</svg>"
    )


class _Scale:
    """Values to pixels: linear, or logarithmic where they are of several magnitudes."""

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        self.low, self.high = min(values), max(values)
        self._is_log = self.low > 0 and self.high / self.low >= _LOG_FROM
        self._first, self._last = first, last

    def __call__(self, value: float) -> float:
        low, high, here = map(self._plain, (self.low, self.high, value))
        share = (here - low) / (high - low) if high > low else 0.5
        return self._first + share * (self._last - self._first)

    def _plain(self, value: float) -> float:
        return math.log(value) if self._is_log else value


def _pair(values: Values, objectives: Sequence[Objective]) -> tuple[float, float] | None:
    """Return the two values of a trial; None unless both are finite."""
    first, second = (values.get(each.name, math.nan) for each in objectives)
    return (first, second) if math.isfinite(first) and math.isfinite(second) else None


def _frame(across: Objective, up: Objective, xs: _Scale, ys: _Scale) -> str:
    """Write both axes with their ends, and what is on them."""
    left, right, bottom, top = _LEFT, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, _TOP
    path = f'<path d="M{left - 8} {top}V{bottom + 8}H{right}" fill="none" stroke="{FAINT}"/>'
    middle = (left + right) / 2

    def text(x: float, y: float, said: str, anchor: str) -> str:
        return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(said)}</text>'

    ends = [
        text(left, bottom + 20, human(across.name, xs.low), "start"),
        text(right, bottom + 20, human(across.name, xs.high), "end"),
        text(left - 12, bottom, human(up.name, ys.low), "end"),
        text(left - 12, top + 8, human(up.name, ys.high), "end"),
        text(middle, _HEIGHT - 6, f"{arrow(across)} across, {arrow(up)} up", "middle"),
    ]
    return path + "".join(ends)
