"""The axes of a plane: which scale shows all of a front, and where its ticks are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from orchestrator.objectives import Direction, Objective, arrow
from orchestrator.quantities import Unit, human, unit

_GREAT = 0.9  # a fraction from which the distance to 1 is more informative than the fraction
_SPREAD = 8.0  # minimum ratio of the worst error to the best
# Between 1 and 10, ever finer.
_STEPS: Sequence[Sequence[float]] = (
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 4, 5, 7),
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9),
    [step / 10 for step in (*range(10, 20), *range(20, 40, 2), *range(40, 100, 5))],
    [step / 10 for step in range(10, 100)],
)


class AxisScale(Enum):
    """How a value becomes a length."""

    LINEAR = auto()
    LOG = auto()
    ERROR = auto()
    """The logarithm of the error, 1 minus a fraction, with better values further on: 90 %, 99 %
    and 99.9 % are equally far apart. On a linear scale that begins at chance level, 96 % and 99 %
    would be one point."""


@dataclass(frozen=True, slots=True)
class Axis:
    """An objective as an axis.

    Attributes:
        objective: The objective that is drawn.
        scale: The scale on which it is drawn.
        low: The smallest number on the axis: a value, or an error on an `ERROR` scale.
        high: The largest.
        has_perfect: Whether a fraction of 1 is drawn on an `ERROR` scale: at `low`, where a
            tick marks it, since 0 has no logarithm.
    """

    objective: Objective
    scale: AxisScale
    low: float
    high: float
    has_perfect: bool = False

    def place(self, value: float) -> float:
        """Return the number that plotly draws for a value; an error of 0 is drawn as `low`."""
        return max(1 - value, self.low) if self.scale is AxisScale.ERROR else value

    def coordinate(self, value: float) -> float:
        """Return the number for an annotation: the logarithm on a logarithmic axis."""
        placed = self.place(value)
        return placed if self.scale is AxisScale.LINEAR else math.log10(placed)

    def share(self, value: float) -> float:
        """Compute how far along the axis a value is, from 0 at its left or lower end to 1."""
        ends = [self.low, self.high]
        if self.scale is not AxisScale.LINEAR:
            ends = [math.log10(end) for end in ends]
        if self.scale is AxisScale.ERROR:
            ends.reverse()
        width = ends[1] - ends[0]
        return (self.coordinate(value) - ends[0]) / width if width else 0.5

    def layout(self) -> dict[str, object]:
        """Build plotly's settings of the axis."""
        axis: dict[str, object] = {
            "title": {"text": self._title(), "standoff": 14},
            "gridcolor": "#e9edf2",
            "zeroline": False,
            "linecolor": "#c9d1db",
            "ticks": "outside",
            "tickcolor": "#c9d1db",
            "ticklen": 5,
        }
        if self.scale is AxisScale.LOG:
            ticks = _log_ticks(self.low, self.high)
            texts = [human(self.objective.name, t).replace(".0 ", " ") for t in ticks]
            axis |= {"type": "log", "tickvals": ticks, "ticktext": texts}
        elif self.scale is AxisScale.ERROR:
            ticks = _error_ticks(self.low, self.high)
            texts = [f"{100 * (1 - tick):.6g}%" for tick in ticks]
            if self.has_perfect:
                ticks, texts = [*ticks, self.low], [*texts, "100%"]
            axis |= {"type": "log", "autorange": "reversed", "tickvals": ticks, "ticktext": texts}
        elif unit(self.objective.name) is Unit.FRACTION:
            axis["tickformat"] = ".1~%"
        return axis

    def _title(self) -> str:
        notes = ["packed file"] if self.objective.name == "memory_bytes" else []
        if self.scale is AxisScale.LOG:
            notes.append("logarithmic")
        elif self.scale is AxisScale.ERROR:
            notes.append("the error is logarithmic")
        return arrow(self.objective) + (f" ({', '.join(notes)})" if notes else "")


def axis_of(objective: Objective, values: Sequence[float]) -> Axis:
    """Choose the scale on which `values` can be distinguished.

    >>> axis_of(Objective("memory_bytes", Direction.MINIMIZE), [1e3, 1e6]).scale.name
    'LOG'
    >>> axis_of(Objective("memory_bytes", Direction.MINIMIZE), [0.0, 1e6]).scale.name
    'LINEAR'
    """
    low, high = min(values, default=0.0), max(values, default=1.0)
    kind = unit(objective.name)
    # Sizes and counts span decades; a logarithm needs positive values.
    if kind in (Unit.BYTES, Unit.COUNT) and values and low > 0:
        return Axis(objective, AxisScale.LOG, low, high)
    if kind is Unit.FRACTION and objective.direction is Direction.MAXIMIZE and 0 <= low < 1:
        errors = [1 - value for value in values if value < 1]
        smallest, largest = min(errors, default=1.0), max(errors, default=1.0)
        if _GREAT <= high <= 1 and largest / smallest >= _SPREAD:
            floor = smallest / 2 if high == 1 else smallest
            return Axis(objective, AxisScale.ERROR, floor, largest, has_perfect=high == 1)
    return Axis(objective, AxisScale.LINEAR, low, high)


def _log_ticks(low: float, high: float) -> list[float]:
    """Choose round ticks around ``[low, high]``: the coarsest steps with three of them inside."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ticks = [low, high]
    for steps in _STEPS:
        around = [step * 10.0**decade for decade in decades for step in steps]
        if sum(low <= tick <= high for tick in around) >= 3:
            ticks = around
            break
    return [tick for tick in ticks if low / 2 <= tick <= high * 2]


def _error_ticks(low: float, high: float) -> list[float]:
    """Choose errors of round fractions, 80, 90, 95 %; only 90, 99, 99.9 % if there are many."""
    decades = range(math.floor(math.log10(low)) - 1, 1)
    steps = (1,) if high / low > 1e4 else (1, 2, 5)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    # 0.7 is between 0.5 and 1, a third of a decade, the range of values near chance.
    return [tick for tick in [0.7, *ticks] if low * 1.1 <= tick <= min(high * 1.4, 1)]
