"""Configurations as rows of numbers, of which distances can be taken."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from orchestrator.columns import Floats
from orchestrator.contracts import KnownValues
from orchestrator.trials import Params, Value
from search_spaces import Choice, Domain, Float, SearchSpace

# How far a step along a continuous range goes, as a share of it.
_STEP = 0.1
# Neighbours of a number on a long grid: so many steps to either side.
_NEAR = 3
# Rows that are kept, some ten megabytes.
_MOST_KEPT = 20_000


class Features:
    """Turns configurations into rows: a column a parameter, and one for each known value.

    A number is its place in its range, 0 to 1; an option without an order its index, and any two
    of them are 1 apart; NaN is a parameter that is not active. Known values (sizes, as a rule) are
    the logarithms of what they are.

    Args:
        space: Where configurations are from.
        known: What is known of them before training.
    """

    def __init__(self, space: SearchSpace, known: KnownValues) -> None:
        self._space, self._known = space, known
        self._names: tuple[str, ...] | None = None
        self._kept: dict[str, list[float]] = {}
        self._places = {
            name: {(type(each), each): place(domain, each) for each in domain.options}
            for name, domain in space.domains.items()
            if isinstance(domain, Choice)
        }
        self.unordered = np.array(
            [isinstance(d, Choice) and not d.ordered for d in space.domains.values()], dtype=bool
        )

    def known_names(self, params: Params) -> tuple[str, ...]:
        """Return the names of the known values, in the order of their columns."""
        if self._names is None:
            self._names = tuple(sorted(self._known(params)))
        return self._names

    def rows(self, configurations: Sequence[Params]) -> Floats:
        """Compute the rows, shape ``(n, parameters + known values)``."""
        if not configurations:
            return np.empty((0, len(self._space.domains)))
        names = self.known_names(configurations[0])
        return np.array([self._kept_row(params, names) for params in configurations])

    def apart(self, some: Floats, others: Floats) -> Floats:
        """Compute squared distances by column, shape ``(n, m, columns)``.

        >>> from search_spaces import load_space
        >>> features = Features(load_space("smoke"), lambda params: {"params": 1.0})
        >>> rows = features.rows([{"fc_width_1": 8, "bits": 4}, {"fc_width_1": 8, "bits": 8}])
        >>> features.apart(rows[:1], rows).tolist()
        [[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
        """
        difference = some[:, None, :] - others[None, :, :]
        squared: Floats = difference * difference
        own = len(self.unordered)
        squared[:, :, :own][:, :, self.unordered] = np.minimum(
            squared[:, :, :own][:, :, self.unordered], 1.0
        )
        if np.isnan(squared).any():
            lacking = np.isnan(some)[:, None, :] & np.isnan(others)[None, :, :]
            squared = np.where(np.isnan(squared), np.where(lacking, 0.0, 1.0), squared)
        return squared

    def _kept_row(self, params: Params, names: Sequence[str]) -> list[float]:
        """Compute a row once: neighbors of the front are compared again and again."""
        key = repr(params)
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = self._row(params, names)
        return self._kept[key]

    def _row(self, params: Params, names: Sequence[str]) -> list[float]:
        row = [self._place(name, params) for name in self._space.domains]
        known: Mapping[str, float] = self._known(params) if names else {}
        return row + [math.log1p(abs(known.get(name, 0.0))) for name in names]

    def _place(self, name: str, params: Params) -> float:
        if name not in params:
            return math.nan
        value = params[name]
        if name in self._places:
            return self._places[name][type(value), value]
        return place(self._space.domains[name], value)


def place(domain: Domain, value: Value) -> float:
    """Return a value's place: 0 to 1 in a range, the index of an option without an order.

    >>> place(Choice((16, 64, 256), ordered=True), 64), place(Choice(("a", "b")), "b")
    (0.5, 1.0)
    >>> place(Float(0.01, 1.0, log=True), 0.1)
    0.5
    """
    if isinstance(domain, Choice):
        index = [(type(each), each) for each in domain.options].index((type(value), value))
        return index / max(1, domain.size - 1) if domain.ordered else float(index)
    low, high, number = float(domain.low), float(domain.high), float(value)
    if domain.log:
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / ((high - low) or 1.0)


def neighbors(
    space: SearchSpace, params: Params, rng: random.Random
) -> Iterator[dict[str, Value]]:
    """Yield configurations that differ in one parameter, and in what follows from it.

    An option is replaced by each other one, a number by those next to it.

    >>> from search_spaces import load_space
    >>> list(neighbors(load_space("smoke"), {"fc_width_1": 8, "bits": 4}, random.Random(0)))[:1]
    [{'fc_width_1': 16, 'bits': 4}]
    """
    for name in params:
        for value in _near(space.domains[name], params[name], rng):
            yield completed(space, {**params, name: value}, rng)


def mutated(
    space: SearchSpace, params: Params, changes: int, rng: random.Random
) -> dict[str, Value]:
    """Change so many parameters to other values at once.

    >>> from search_spaces import load_space
    >>> space, params = load_space("smoke"), {"fc_width_1": 8, "bits": 4}
    >>> mutated(space, params, 2, random.Random(0)) == params
    False
    """
    changed = dict(params)
    for name in rng.sample(sorted(params), min(changes, len(params))):
        near = list(_near(space.domains[name], params[name], rng))
        if near:
            changed[name] = rng.choice(near)
    return completed(space, changed, rng)


def completed(
    space: SearchSpace, params: Mapping[str, Value], rng: random.Random
) -> dict[str, Value]:
    """Drop what is not active, and draw what has become active.

    The result is in canonical form if the values are (`SearchSpace.canonical`).

    >>> from search_spaces import load_space
    >>> completed(load_space("smoke"), {"bits": 8, "fc_width_1": 8}, random.Random(0))
    {'fc_width_1': 8, 'bits': 8}
    """
    chosen: dict[str, Value] = {}
    for name in space.names:
        condition = space.conditions.get(name)
        if condition is None or condition.holds(chosen):
            domain = space.domains[name]
            chosen[name] = params[name] if name in params else domain.sample(rng)
    return chosen


def _near(domain: Domain, value: Value, rng: random.Random) -> Iterator[Value]:
    if isinstance(domain, Choice):
        yield from (
            other for other in domain.options if (type(other), other) != (type(value), value)
        )
        return
    if isinstance(domain, Float) and domain.step is None:
        for _ in range(2):
            yield _moved(domain, float(value), rng.gauss(0.0, _STEP))
        return
    size = domain.size or 1
    index = round((float(value) - domain.low) / (domain.step or 1))
    steps = {*range(1, _NEAR + 1), round(size * abs(rng.gauss(0.0, _STEP)))}
    for step in sorted(
        {*steps, *(-each for each in steps)} - {0}, key=lambda each: (abs(each), -each)
    ):
        if 0 <= index + step < size:
            yield domain.at(index + step)


def _moved(domain: Float, value: float, by: float) -> float:
    low, high = domain.low, domain.high
    if domain.log:
        moved = math.exp(math.log(value) + by * (math.log(high) - math.log(low)))
    else:
        moved = value + by * (high - low)
    return min(max(moved, low), high)
