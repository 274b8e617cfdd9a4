"""Criteria by their names: those of the table, and code of a user's own."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainers.doors import DoorError, call_part, is_part, load_part, part_name
from trainers.pruning.criteria import ACCUMULATED, SCORES, Evidence

# Weights of a convolution on which a criterion is tried.
_TRIED = (8, 4, 3, 3)
Gather = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Criterion:
    """What a weight is worth.

    Attributes:
        score: The score of each weight of a tensor, of its shape; low ones go first.
        gather: What is gathered in every step, from what was, the weight after the step and its
            gradient in it; None if nothing is.
        needs_training: Whether it cannot judge frozen weights.
        keeps_initial: Whether it looks at the weights before the training.
    """

    score: Callable[[Evidence], Tensor]
    gather: Gather | None = None
    needs_training: bool = False
    keeps_initial: bool = False


def criterion_of(name: str) -> Criterion:
    """Return the criterion of a name.

    A user's own is a function of an `Evidence`, or a class that is made without arguments and
    called so. It may have ``gather(gathered, weight, gradient)``, zeros at first, and
    ``needs_training = True``.

    Args:
        name: As `PruningConfig` has it.

    Raises:
        DoorError: Code of a user's own cannot be used; the message says why.

    >>> criterion_of("movement").keeps_initial, criterion_of("weight_momentum").gather is None
    (True, False)
    """
    if not is_part("criteria", name):
        # A frozen weight has no gradient that a criterion before the training could judge it by.
        score = SCORES.get(name, SCORES["magnitude"])
        return Criterion(score, ACCUMULATED.get(name), keeps_initial=name == "movement")
    name = part_name("criteria", name)
    found = load_part("criteria", name)
    if isinstance(found, type):
        found = call_part(name, found)
    if not callable(found):
        raise DoorError(f"{name} is {found!r:.100}; a function of an Evidence is needed.")
    gather = getattr(found, "gather", None)
    needs_training = bool(getattr(found, "needs_training", False))
    gathered = None if gather is None else _checked(f"{name}: gather", gather)
    return Criterion(_checked(name, found), gathered, needs_training, keeps_initial=True)


def _checked(name: str, function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return a function that refuses what is no finite number for each weight."""

    def called(first: Any, *others: Tensor) -> Tensor:
        weight = first.weight if isinstance(first, Evidence) else others[0]
        found = call_part(name, function, first, *others)
        if not isinstance(found, Tensor) or found.shape != weight.shape:
            kind = type(found).__name__
            shown = tuple(found.shape) if isinstance(found, Tensor) else f"the type {kind}"
            raise DoorError(
                f"{name} was called with weights of the shape {tuple(weight.shape)}, and returned "
                f"{shown}; a number for each weight is needed."
            )
        if found.is_complex():
            raise DoorError(f"{name} returned {found.dtype}; real numbers are needed.")
        if not found.isfinite().all():
            raise DoorError(
                f"{name} was called with weights of the shape {tuple(weight.shape)}, and returned "
                f"NaN or infinity; finite numbers are needed."
            )
        return found.detach().float()

    return called


def try_criterion(reference: str, *, tune: str) -> str:
    """Ask a criterion for the scores of random weights.

    Args:
        reference: As a sweep names it.
        tune: What the sweep trains.

    Returns:
        What it did, in words.

    Raises:
        DoorError: As `criterion_of`, or it cannot judge weights that the sweep freezes.

    >>> try_criterion("statistics:fmean", tune="all")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.doors.references.DoorError: statistics:fmean#... was called, and raised ...
    """
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(_TRIED, generator=generator) for _ in range(3)]
    weight, initial, gradient = drawn
    criterion = criterion_of(reference)
    if criterion.needs_training and tune != "all":
        raise DoorError(
            f"{reference} says that it needs_training, and tune is {tune!r}: frozen weights "
            f"neither move nor have gradients. Use tune: all, or another criterion."
        )
    gathered = torch.zeros_like(weight)
    if criterion.gather is not None:
        gathered = criterion.gather(gathered, weight, gradient)
    noise = torch.rand(_TRIED, generator=generator)
    evidence = Evidence(weight, initial, gradient, noise, gathered, 0.5)
    before = copy.deepcopy(evidence)
    first, second = (criterion.score(evidence) for _ in range(2))
    names = ("weight", "initial", "gradient", "noise", "accumulated")
    if changed := [n for n in names if not getattr(evidence, n).equal(getattr(before, n))]:
        raise DoorError(
            f"{reference} was called with an Evidence, and changed its {changed[0]}, which the "
            f"training goes on with: let it work on a copy (clone)."
        )
    if not first.equal(second):
        raise DoorError(
            f"{reference} returned other scores for the same Evidence, so that no training could "
            f"be repeated: draw from evidence.noise."
        )
    return f"scores weights{'' if criterion.gather is None else ', and gathers in each step'}"
