"""One member of a front: the most balanced, or the best within a limit."""

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.errors import OrchestratorError, UnknownNameError
from orchestrator.file_storage.trial_files import local_files
from orchestrator.objectives import Direction, Objective, missing_values
from orchestrator.pareto.knee import knee
from orchestrator.pareto.losses import loss_matrix
from orchestrator.quantities import known_direction, parse_quantity

if TYPE_CHECKING:
    from orchestrator.fronts.front import Front
    from orchestrator.fronts.member import FrontMember

CHANCE_ERRORS = 3.0
"""Standard errors above the share of the most frequent class within which a network may have
learned nothing. Three, and not two, because the best of many such networks is the one examined."""


def chance_level(artifact: str | None) -> float | None:
    """Compute the accuracy up to which a network is no better than naming one class always.

    Args:
        artifact: Path of a packed network; the network's answers are stored beside it.

    Returns:
        The share of the most frequent class among its validation images and `CHANCE_ERRORS`
        standard errors; None where there are no answers.

    >>> chance_level(None) is None
    True
    """
    return None if artifact is None else _level(artifact)


@functools.lru_cache(maxsize=4_096)
def _level(artifact: str) -> float | None:
    from trainers.files.predictions import PredictionsError, read_predictions
    from trainers.files.trial_folder import PREDICTIONS_NAME

    try:
        network = local_files(artifact, [PREDICTIONS_NAME])
        labels = read_predictions(network.with_name(PREDICTIONS_NAME)).labels
    except (OSError, PredictionsError):
        return None
    share = float(np.bincount(labels).max() / len(labels))
    return share + CHANCE_ERRORS * math.sqrt(share * (1 - share) / len(labels))


def at_chance(front: "Front") -> "tuple[FrontMember, ...]":
    """Find the members no better than the most frequent class and noise, where that is known.

    >>> from orchestrator.fronts.front import Front
    >>> at_chance(Front((), ()))
    ()
    """
    levels: dict[str, float | None] = {}
    found = []
    for member in front:
        if levels.get(member.sweep) is None:
            # All trials of a sweep answer the same images.
            levels[member.sweep] = chance_level(member.artifact)
        level = levels[member.sweep]
        if level is not None and member.values.get("accuracy", math.inf) <= level:
            found.append(member)
    return tuple(found)


def told_at_chance(front: "Front") -> str:
    """Write a sentence on members that cannot be the knee, being at chance; empty if none.

    >>> from orchestrator.fronts.front import Front
    >>> told_at_chance(Front((), ()))
    ''
    """
    left_out = at_chance(front)
    if not left_out:
        return ""
    numbers = ", ".join(str(member.trial) for member in left_out)
    level = 100 * max(chance_level(member.artifact) or 0.0 for member in left_out)
    many = "Trials" if len(left_out) > 1 else "Trial"
    if len(left_out) == len(front):
        return f" No member is better than the most frequent class and noise ({level:.1f} %)."
    return (
        f" {many} {numbers}: no better than the most frequent class and noise ({level:.1f} %), so "
        f"left out of the choice of the knee."
    )


def most_balanced(front: "Front", objectives: tuple[Objective, ...]) -> "FrontMember":
    """Find the knee of the members that are better than chance; of all, if none is.

    Args:
        front: The front to choose from.
        objectives: The objectives that are balanced.

    Raises:
        OrchestratorError: The front is empty, or no member has finite values.

    >>> from orchestrator.fronts.front import compute_front
    >>> from orchestrator.trials import Trial, TrialState
    >>> small = (Objective("params", Direction.MINIMIZE), Objective("macs", Direction.MINIMIZE))
    >>> rows = [{"params": a, "macs": b} for a, b in ((0.0, 4.0), (1.0, 1.0), (4.0, 0.0))]
    >>> trials = [Trial("s", n, {}, 0, TrialState.COMPLETE, values=v) for n, v in enumerate(rows)]
    >>> most_balanced(compute_front(trials, small), small).trial
    1
    """
    left_out = at_chance(front)
    members = [member for member in front if member not in left_out] or list(front)
    try:
        return members[knee(loss_matrix([member.values for member in members], objectives))]
    except ValueError as error:
        raise OrchestratorError(
            f"This front of {len(front)} has no knee: no complete trial with finite values of "
            f"all objectives was found."
        ) from error


def best_within(
    front: "Front",
    objectives: tuple[Objective, ...],
    name: str,
    limit: float | str,
    best: str | None,
) -> "FrontMember":
    """Find the best member within a limit; see `Front.under`.

    >>> from orchestrator.fronts.front import compute_front
    >>> from orchestrator.trials import Trial, TrialState
    >>> goals = (Objective("accuracy", Direction.MAXIMIZE), Objective("size", Direction.MINIMIZE))
    >>> rows = [{"accuracy": a, "size": b} for a, b in ((0.8, 10.0), (0.9, 30.0))]
    >>> trials = [Trial("s", n, {}, 0, TrialState.COMPLETE, values=v) for n, v in enumerate(rows)]
    >>> best_within(compute_front(trials, goals), goals, "size", 20, None).values["accuracy"]
    0.8
    """
    bound = parse_quantity(limit) if isinstance(limit, str) else float(limit)
    own = {objective.name: objective.direction for objective in objectives}
    direction = own.get(name) or known_direction(name) or Direction.MINIMIZE
    limited = Objective(name, direction)
    deciding = _deciding(objectives, name, best)
    known = [m for m in front if not missing_values([limited], m.values)]
    if front.members and not known:
        measured = {key for member in front for key in member.values}
        raise UnknownNameError("value", name, measured)
    within = [m for m in known if limited.loss(m.values[name]) <= limited.loss(bound)]
    if within:
        return min(within, key=lambda m: deciding.loss(m.values[deciding.name]))
    side = "at most" if direction is Direction.MINIMIZE else "at least"
    nearest = min((limited.loss(m.values[name]) for m in known), default=None)
    hint = "" if nearest is None else f"; the nearest has {limited.loss(nearest):.6g}"
    raise OrchestratorError(
        f"None of the {len(front)} members of the front has {name} of {side} {bound:.6g}{hint}."
    )


def _deciding(objectives: tuple[Objective, ...], limited: str, best: str | None) -> Objective:
    by_name = {objective.name: objective for objective in objectives}
    if best is not None and best not in by_name:
        raise UnknownNameError("objective", best, by_name)
    others = [objective for objective in objectives if objective.name != limited]
    return by_name[best] if best else (others or list(objectives))[0]
