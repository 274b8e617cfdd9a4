"""How sparsity grows during a training: formulas of the position in it, in plain Python."""

import math
from collections.abc import Callable, Mapping

_ROUNDS = 3
_STEEPNESS, _OFFSET = 14.0, 6.0


def _one_shot(_: float) -> float:
    return 1.0


def _iterative(position: float) -> float:
    return math.ceil(position * _ROUNDS) / _ROUNDS


def _gradual(position: float) -> float:
    return 1 - (1 - position) ** 3


def _one_cycle(position: float) -> float:
    highest = 1 + math.exp(_OFFSET - _STEEPNESS)
    return highest / (1 + math.exp(_OFFSET - _STEEPNESS * position))


SCHEDULES: Mapping[str, tuple[float, Callable[[float], float]]] = {
    "one_shot": (0.4, _one_shot),
    "iterative": (0.2, _iterative),
    "gradual": (0.2, _gradual),
    "one_cycle": (0.0, _one_cycle),
}
"""By name: the share of the training before the first pruning, and the share of the final sparsity
at a position in [0, 1] of the rest."""


def sparsity_at(schedule: str, final: float, progress: float) -> float:
    """Return the sparsity that a schedule asks for.

    With the position `p` after the start, and the final sparsity `s`:

    - ``one_shot``: `s` from 40 % of the training on (the best share in Hubens' experiments);
    - ``iterative``: `s ceil(3 p) / 3` from 20 % on;
    - ``gradual``: `s (1 - (1 - p)^3)` from 20 % on (Zhu and Gupta 2017, equation 1);
    - ``one_cycle``: `s (1 + e^(b - a)) / (1 + e^(b - a p))` from the first step on, with a = 14
      and b = 6, as in the code of its author (its text has b = 5).

    >>> [round(sparsity_at("gradual", 0.8, p), 3) for p in (0.1, 0.2, 0.6, 1.0)]
    [0.0, 0.0, 0.7, 0.8]

    Args:
        schedule: A name of `SCHEDULES`.
        final: Sparsity at the end.
        progress: Share of the training that is done, in [0, 1].

    References:
        M. Zhu, S. Gupta. To prune, or not to prune. 2017. https://arxiv.org/abs/1710.01878
        N. Hubens et al. One-cycle pruning. 2021. https://arxiv.org/abs/2107.02086
    """
    start, share = SCHEDULES[schedule]
    if progress < start:
        return 0.0
    return final * share((progress - start) / (1 - start))
