"""Conditions on trials, as people write them after ``--where``: `search_spaces.conditions`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.columns import Floats
from orchestrator.errors import UsageError
from orchestrator.trials import Value
from search_spaces import AnyOf, Comparison, Condition, Not, Part
from search_spaces.conditions import ORDER

Row = Mapping[str, Value]
Column = Floats | Sequence[Value | None]
"""One name's value in each row: numbers, NaN where missing, or any values, None where missing."""
Mask = NDArray[np.bool_]
Predicate = Callable[[Callable[[str], Column]], Mask]


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on rows of names and values.

    A comparison is false where its name is missing from the row, and where text is compared with
    a number; `not` turns each of these into true.

    Attributes:
        text: The condition as written.
        names: What it mentions, each once, in the order written. The caller, which has the
            trials, checks that they exist.
        mask: Tells which rows fulfill the condition, given a function from a name to its column.
    """

    text: str
    names: tuple[str, ...]
    mask: Predicate

    @classmethod
    def parse(cls, text: str) -> "Filter":
        """Read a condition such as ``bits <= 4 and backbone == 'vgg16'``.

        Raises:
            UsageError: The text does not follow the grammar; the sentence says where.
        """
        try:
            condition = Condition.parse(text)
        except ValueError as error:
            raise UsageError(str(error)) from None
        return cls(text, condition.names, _compiled(condition))

    def keep(self, row: Row) -> bool:
        """Return whether one row fulfills the condition."""
        return bool(self.mask(lambda name: [row.get(name)])[0])


def _compiled(part: Part) -> Predicate:
    if isinstance(part, Comparison):
        return _holds(part)
    if isinstance(part, Not):
        inner = _compiled(part.part)
        return lambda look: np.logical_not(inner(look))
    parts = [_compiled(each) for each in part.parts]
    if len(parts) == 1:
        return parts[0]
    joined = np.logical_or if isinstance(part, AnyOf) else np.logical_and
    return lambda look: joined.reduce([each(look) for each in parts])


def _holds(comparison: Comparison) -> Predicate:
    def predicate(look: Callable[[str], Column]) -> Mask:
        column = look(comparison.name)
        if isinstance(column, np.ndarray):
            return _numbers_hold(comparison, column)
        held = (value is not None and comparison.holds(value) for value in column)
        return np.fromiter(held, np.bool_, len(column))

    return predicate


def _numbers_hold(comparison: Comparison, numbers: Floats) -> Mask:
    """Evaluate `Comparison.holds` for each number; false for NaN."""
    numeric = [float(x) for x in comparison.literals if not isinstance(x, bool | str)]
    if comparison.symbol in ORDER:
        held = ORDER[comparison.symbol](numbers, numeric[0])
    else:
        held = np.isin(numbers, numeric) == (comparison.symbol in ("==", "in"))
    mask: Mask = held & ~np.isnan(numbers)
    return mask
