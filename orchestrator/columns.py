"""Trials as columns: queries over a hundred thousand trials read these instead of `Trial`s."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from orchestrator.trials import Value

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Numbers, values and parameters of the same trials, in order of their numbers.

    Attributes:
        numbers: Numbers of the trials; shape ``(n,)``, ascending.
        values: Values by name, each of shape ``(n,)``; NaN where a trial has none of this name.
        params: Parameters by name, each of length ``n``; None where one is not active.
    """

    numbers: Integers
    values: Mapping[str, Floats] = field(default_factory=dict)
    params: Mapping[str, Sequence[Value | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.numbers)

    def value(self, name: str) -> Floats:
        """Return the values of a name, all NaN if no trial has it."""
        return self.values[name] if name in self.values else np.full(len(self), np.nan)

    def param(self, name: str) -> Sequence[Value | None]:
        """Return the parameters of a name, all None if no trial has it."""
        return self.params[name] if name in self.params else [None] * len(self)


def joined(pieces: Iterable[Columns]) -> Columns:
    """Concatenate columns of trials, in order of the trials' numbers.

    >>> first = Columns(np.array([0]), {"accuracy": np.array([0.9])})
    >>> later = Columns(np.array([1]), {"params": np.array([7.0])})
    >>> joined([later, first]).value("accuracy").tolist()
    [0.9, nan]
    """
    parts = sorted((each for each in pieces if len(each)), key=lambda each: int(each.numbers[0]))
    if not parts:
        return Columns(np.empty(0, np.int64))
    return Columns(
        np.concatenate([part.numbers for part in parts]),
        {
            name: np.concatenate([part.value(name) for part in parts])
            for name in dict.fromkeys(chain.from_iterable(part.values for part in parts))
        },
        {
            name: list(chain.from_iterable(part.param(name) for part in parts))
            for name in dict.fromkeys(chain.from_iterable(part.params for part in parts))
        },
    )
