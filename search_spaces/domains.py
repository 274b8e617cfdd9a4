"""Sets of values that one parameter may take: whole numbers, numbers, or a list of choices."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from search_spaces.errors import shown

Value = bool | int | float | str

# Optuna and JSON hold numbers as doubles: beyond this, neighboring integers become one.
MAX_WHOLE = 2**53
MAX_STEPS = 10**9


def is_whole(value: object) -> bool:
    """Return whether a value is an integer (True and 2.0 are not) that a double holds exactly.

    >>> is_whole(2), is_whole(True), is_whole(2.0), is_whole(2**60 + 1)
    (True, False, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_WHOLE


def is_finite_number(value: object) -> bool:
    """Return whether a value is an int or float (not bool), and neither NaN nor infinite.

    >>> is_finite_number(0.5), is_finite_number(math.nan), is_finite_number(True)
    (True, False, False)
    """
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


@dataclass(frozen=True, slots=True)
class Int:
    """Whole numbers `low`, `low + step`, ... up to and including `high` where a step meets it.

    Attributes:
        low: Smallest value.
        high: Largest value, at least `low`.
        step: Distance of neighbors, at least 1.
        log: Sample evenly in the logarithm; needs `low` of at least 1 and `step` 1.

    Raises:
        ValueError: The fields describe no range, in a sentence that says why.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        for key in ("low", "high", "step"):
            if not is_whole(getattr(self, key)):
                raise ValueError(_wrong(key, getattr(self, key), "a whole number"))
        _check_range(self.low, self.high, self.step, log=self.log)
        if self.log and self.step != 1:
            raise ValueError(f"log: true and step {self.step} exclude each other: drop one.")

    @property
    def size(self) -> int:
        """Number of values."""
        return (self.high - self.low) // self.step + 1

    def at(self, index: int) -> int:
        """Return the value at `index`, 0 to `size - 1`, ascending."""
        return self.low + index * self.step

    def values(self) -> Iterator[int]:
        """Yield all values, ascending."""
        return map(self.at, range(self.size))

    def contains(self, value: object) -> bool:
        """Return whether `value` is an integer on the grid; True and 2.0 are not integers."""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def canonical(self, value: Value) -> Value:
        """Return a contained value unchanged."""
        return value

    def sample(self, rng: random.Random) -> int:
        """Draw a value uniformly, or uniformly in the logarithm."""
        if not self.log:
            return self.at(rng.randrange(self.size))
        # Half a unit beyond both ends, or rounding would make the ends half as likely.
        drawn = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return min(max(round(drawn), self.low), self.high)

    def as_mapping(self) -> dict[str, object]:
        """Return the form in YAML, without defaults."""
        step = {} if self.step == 1 else {"step": self.step}
        log = {"log": True} if self.log else {}
        return {"type": "int", "low": self.low, "high": self.high, **step, **log}

    def __str__(self) -> str:
        step = "" if self.step == 1 else f" in steps of {self.step}"
        return f"a whole number from {self.low} to {self.high}{step}"


@dataclass(frozen=True, slots=True)
class Float:
    """Numbers from `low` to `high`, both included; with `step`, only those on its grid.

    Attributes:
        low: Smallest value, finite.
        high: Largest value, at least `low`.
        log: Sample evenly in the logarithm; needs `low` above 0 and no `step`.
        step: Distance of neighbors, above 0. Grid values are rounded once, so the third step
            of 0.1 is 0.3, not 0.30000000000000004.

    Raises:
        ValueError: The fields describe no range, in a sentence that says why.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        keys = ("low", "high") if self.step is None else ("low", "high", "step")
        for key in keys:
            if not is_finite_number(getattr(self, key)):
                raise ValueError(_wrong(key, getattr(self, key), "a finite number"))
            object.__setattr__(self, key, float(getattr(self, key)) + 0.0)  # -0.0 becomes 0.0
        _check_range(self.low, self.high, self.step, log=self.log)
        if math.isinf(self.high - self.low):
            raise ValueError(f"The range {self.low} to {self.high} is wider than a float can be.")
        if self.step is not None:
            self._check_step(self.step)

    def _check_step(self, step: float) -> None:
        if self.log:
            raise ValueError(f"log: true and step {step} exclude each other: drop one.")
        # Two units in the last place apart, no two grid values round to the same float.
        resolution = 2 * math.ulp(max(abs(self.low), abs(self.high)))
        if step < resolution or (self.high - self.low) / step > MAX_STEPS:
            raise ValueError(
                f"step {step} is too fine for {self.low} to {self.high}: at most {MAX_STEPS:,} "
                f"values can be told apart; leave step out to search all numbers."
            )

    @property
    def size(self) -> int | None:
        """Number of values; None where they are not countable."""
        if self.low == self.high:
            return 1
        if self.step is None:
            return None
        return int((_exact(self.high) - _exact(self.low)) // _exact(self.step)) + 1

    def at(self, index: int) -> float:
        """Return the value at `index`, 0 to `size - 1`, ascending."""
        return float(_exact(self.low) + index * _exact(self.step or 0.0))

    def values(self) -> Iterator[float]:
        """Yield all values, ascending.

        Raises:
            ValueError: There is no `step`, so they cannot be counted.
        """
        if self.size is None:
            raise ValueError(
                f"The numbers from {self.low} to {self.high} need a step to be listed."
            )
        return map(self.at, range(self.size))

    def contains(self, value: object) -> bool:
        """Return whether `value` is in the range, within a millionth of a step of the grid."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        if self.step is None or self.size == 1:
            return self.low <= value <= self.high
        slack = self.step * 1e-6
        if not self.low - slack <= value <= self.high + slack:
            return False
        return abs(value - self._nearest(value)) <= slack

    def _nearest(self, value: float) -> float:
        index = round((_exact(value) - _exact(self.low)) / _exact(self.step or 1.0))
        return self.at(min(max(index, 0), (self.size or 1) - 1))

    def canonical(self, value: Value) -> Value:
        """Convert a contained value to a float, on the grid if there is one."""
        return float(value) + 0.0 if self.step is None else self._nearest(float(value))

    def sample(self, rng: random.Random) -> float:
        """Draw a value uniformly, or uniformly in the logarithm."""
        if self.step is not None:
            return self.at(rng.randrange(self.size or 1))
        if not self.log:
            return min(max(rng.uniform(self.low, self.high), self.low), self.high)
        drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return min(max(drawn, self.low), self.high)

    def as_mapping(self) -> dict[str, object]:
        """Return the form in YAML, without defaults."""
        step = {} if self.step is None else {"step": self.step}
        log = {"log": True} if self.log else {}
        return {"type": "float", "low": self.low, "high": self.high, **step, **log}

    def __str__(self) -> str:
        step = "" if self.step is None else f" in steps of {self.step}"
        return f"a number from {self.low} to {self.high}{step}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few listed values, distinguished by type and value: 1, 1.0, True and "1" are four.

    Attributes:
        options: Booleans, integers, finite floats or text, in the order written; at least one.
        ordered: Whether neighbors in the list are alike, as sizes are; samplers then treat the
            value as its place in the list.

    Raises:
        ValueError: There are none, two are the same, or one is of another type.
    """

    options: tuple[Value, ...] = field(compare=False)
    ordered: bool = False
    _typed: tuple[tuple[type, Value], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(self.options))
        object.__setattr__(self, "_typed", tuple((type(v), v) for v in self.options))
        if not isinstance(self.ordered, bool):
            raise ValueError(_wrong("ordered", self.ordered, "true or false"))
        if not self.options:
            raise ValueError("values is empty, but needs at least one value.")
        for option in self.options:
            if not isinstance(option, bool | str) and not is_finite_number(option):
                needed = "text, true, false or a finite number"
                raise ValueError(_wrong("A value", option, needed))
        repeated = [v for i, v in enumerate(self.options) if self._typed[i] in self._typed[:i]]
        if repeated:
            raise ValueError(f"values holds {shown(repeated[0])} twice; list every value once.")

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.options)

    def at(self, index: int) -> Value:
        """Return the value at `index`, 0 to `size - 1`, in the order written."""
        return self.options[index]

    def values(self) -> Iterator[Value]:
        """Yield all values, in the order written."""
        return iter(self.options)

    def contains(self, value: object) -> bool:
        """Return whether `value` is listed, with the same type."""
        return any(type(value) is kind and value == option for kind, option in self._typed)

    def canonical(self, value: Value) -> Value:
        """Return a contained value unchanged."""
        return value

    def sample(self, rng: random.Random) -> Value:
        """Draw a value uniformly."""
        return rng.choice(self.options)

    def as_mapping(self) -> dict[str, object]:
        """Return the form in YAML."""
        ordered = {"ordered": True} if self.ordered else {}
        return {"type": "choice", "values": list(self.options), **ordered}

    def __str__(self) -> str:
        listed = ", ".join(shown(option) for option in self.options[:20])
        more = f" and {self.size - 20} more" if self.size > 20 else ""
        return f"one of {listed}{more}"


Domain = Int | Float | Choice


def _exact(number: float) -> Fraction:
    """Convert a number to the fraction of its shortest decimal, so that 0.1 is a tenth."""
    return Fraction(repr(number))


def _wrong(key: str, value: object, needed: str) -> str:
    return f"{key} is {shown(value)}, but needs to be {needed}."


def _check_range(low: float, high: float, step: float | None, *, log: object) -> None:
    if not isinstance(log, bool):
        raise ValueError(_wrong("log", log, "true or false"))
    if low > high:
        raise ValueError(f"low {low} is above high {high}: the range is upside down, swap them.")
    if step is not None and step <= 0:
        raise ValueError(f"step {step} must be above 0.")
    if log and low <= 0:
        raise ValueError(f"log: true needs low above 0, got {low}: zero has no logarithm.")
