"""Placement of labels beside the markers of a plane."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_MARKER = 8.0  # pixels from a marker's center to its edge
_LETTER, _LINE = 6.5, 13.0  # pixels of a character of a trial's number
_LINE_ROOM = 6.0  # pixels that a drawn line keeps free


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, from its left lower corner."""

    left: float
    bottom: float
    width: float
    height: float


@dataclass(slots=True)
class Room:
    """The markers of a plane, and the labels that were placed so far.

    Attributes:
        centers: Shape ``(markers, 2)``: pixels to the right and up.
        width: Width of the plane in pixels: the smallest at which labels must not overlap.
        height: Its height, likewise.
    """

    centers: NDArray[np.float64]
    width: float
    height: float
    _taken: list[Box] = field(default_factory=list)

    def place(self, x: float, y: float, letters: int) -> str | None:
        """Find a free side of the marker at ``(x, y)`` for a number: plotly's word, or None."""
        wide = letters * _LETTER
        for side, left, bottom in (
            ("top left", x - _MARKER - wide, y + _MARKER - 3),
            ("middle left", x - _MARKER - 3 - wide, y - _LINE / 2),
            ("top center", x - wide / 2, y + _MARKER + 1),
            ("bottom right", x + _MARKER, y - _MARKER + 3 - _LINE),
            ("middle right", x + _MARKER + 3, y - _LINE / 2),
            ("bottom center", x - wide / 2, y - _MARKER - 1 - _LINE),
        ):
            box = Box(left, bottom, wide, _LINE)
            if self._cost(box) == 0:
                self._taken.append(box)
                return side
        return None

    def emptiest(self, boxes: Sequence[Box]) -> int:
        """Return the index of the first box that covers the fewest markers."""
        costs = [self._cost(box) for box in boxes]
        best = costs.index(min(costs))
        self._taken.append(boxes[best])
        return best

    def take_line(self, x: float, y: float, right: float, up: float) -> None:
        """Keep labels off a line of so many pixels to the right and up."""
        for share in np.linspace(0.0, 1.0, 9)[1:]:
            middle = x + share * right - _LINE_ROOM / 2, y + share * up - _LINE_ROOM / 2
            self._taken.append(Box(*middle, _LINE_ROOM, _LINE_ROOM))

    def _cost(self, box: Box) -> int:
        """Count the markers and labels that the box covers, or how far it leaves the plane."""
        near = np.array([box.left - _MARKER, box.bottom - _MARKER])
        far = np.array([box.left + box.width + _MARKER, box.bottom + box.height + _MARKER])
        covered = int(((self.centers > near) & (self.centers < far)).all(axis=1).sum())
        words = sum(_meet(box, other) for other in self._taken)
        outside = max(-box.left, -box.bottom, 0.0) + max(box.left + box.width - self.width, 0.0)
        outside += max(box.bottom + box.height - self.height, 0.0)
        return covered + 10 * words + int(outside > 15) * 100


def _meet(one: Box, other: Box) -> bool:
    return (
        one.left < other.left + other.width
        and other.left < one.left + one.width
        and one.bottom < other.bottom + other.height
        and other.bottom < one.bottom + one.height
    )
