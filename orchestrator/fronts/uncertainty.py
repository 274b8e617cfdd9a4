"""How precisely the members of a front are known: images, intervals, probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.analysis.outcomes import NoAnswersError, outcomes_of
from orchestrator.analysis.statistics.intervals import Interval, accuracy_interval
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.fronts.front import Front
from orchestrator.quantities import quantity
from orchestrator.trials import Trial

Key = tuple[str, int]
"""Sweep and number of a trial."""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """What is known of one member's precision.

    Attributes:
        images: By objective, the number of images on which it was measured.
        intervals: By objective, the confidence interval of the accuracy (Wilson).
        front_probability: Probability that it is on the front of another sample of images; None
            where some competitor's answers are not known.
    """

    images: Mapping[str, int]
    intervals: Mapping[str, Interval]
    front_probability: float | None

    def as_json(self) -> dict[str, object]:
        """Return what ``paretune front --intervals --format json`` adds to a record."""
        return {
            "images": dict(self.images),
            "intervals": {name: [i.low, i.high] for name, i in self.intervals.items()},
            "front_probability": self.front_probability,
        }


def uncertainties(front: Front) -> tuple[dict[Key, Uncertainty], str]:
    """Compute how precisely each member is known.

    Returns:
        The uncertainties by sweep and trial number, and the reason why there are no
        probabilities, which is empty if there are.

    >>> uncertainties(Front((), ()))[0]
    {}
    """
    try:
        probabilities: Mapping[Key, float] = front.probabilities()
        problem = ""
    except OrchestratorError as error:
        probabilities, problem = {}, str(error)
    members = {(member.sweep, member.trial) for member in front}
    trials = {(t.sweep, t.number): t for t in front.competitors}
    found = {
        key: _of(trials[key], front, probabilities.get(key)) for key in members if key in trials
    }
    return found, problem


def _of(trial: Trial, front: Front, probability: float | None) -> Uncertainty:
    names = [o.name for o in front.objectives if quantity(o.name).paired_by_image]
    images: dict[str, int] = {}
    intervals: dict[str, Interval] = {}
    for name in names:
        try:
            right = outcomes_of(trial, name).right
        except (NoAnswersError, UsageError):
            continue
        images[name] = len(right)
        intervals[name] = accuracy_interval(int(right.sum()), len(right))
    return Uncertainty(images, intervals, probability)
