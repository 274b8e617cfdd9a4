"""The scale on which hypervolumes are measured, and the history of a sweep's front on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.columns import Floats
from orchestrator.objectives import Objective
from orchestrator.pareto.dominance import hypervolume, reference_point
from orchestrator.pareto.losses import loss_matrix
from orchestrator.trials import Trial, TrialState

FIRST_TRIALS = 8
"""Number of complete trials from which the scale of a sweep is placed, once and for all. With
one trial alone the corner would be so close that a later trial would not count if it were worse in
any objective."""


@dataclass(frozen=True, slots=True, eq=False)
class HypervolumeScale:
    """A scale for hypervolumes; only hypervolumes on the same scale can be compared.

    Attributes:
        corner: Shape ``(m,)``, losses: the reference point, beyond which nothing counts.
        best: Shape ``(m,)``: where it is given, losses are scaled to 0 here and to 1 at the
            corner, and a volume is a share of the box between them.
    """

    corner: Floats
    best: Floats | None = None

    @classmethod
    def of_sweep(
        cls, trials: Sequence[Trial], objectives: Sequence[Objective], *, least: int = 1
    ) -> "HypervolumeScale | None":
        """Place the scale of a sweep, on which every hypervolume that is shown of it is measured.

        Its corner is the `reference_point` of the first `FIRST_TRIALS` complete trials, in the
        order in which they ended, that have a finite number for every objective, whether or not
        they meet the constraints. Later trials do not move it.

        Args:
            trials: The trials of the sweep, in any state.
            objectives: The dimensions of the volume.
            least: How many such trials are needed.

        Returns:
            None while there are fewer than `least`.
        """
        losses = loss_matrix([t.values for t in complete_in_order(trials)], objectives)
        usable = losses[np.isfinite(losses).all(axis=1)][:FIRST_TRIALS]
        return cls.behind(usable) if len(usable) >= least else None

    @classmethod
    def behind(cls, losses: Floats) -> "HypervolumeScale":
        """Place a scale whose corner is the `reference_point` of the rows.

        Raises:
            ValueError: A column holds no finite loss.
        """
        return cls(reference_point(losses))

    @classmethod
    def at(cls, point: Mapping[str, float], objectives: Sequence[Objective]) -> "HypervolumeScale":
        """Place a scale at given values, one per objective."""
        return cls(np.array([each.loss(point[each.name]) for each in objectives]))

    @classmethod
    def spanning(cls, losses: Floats) -> "HypervolumeScale":
        """Place a scale from the best loss of each column to `reference_point`."""
        return cls(reference_point(losses), losses.min(axis=0))

    @classmethod
    def within(cls, losses: Floats, behind: float) -> "HypervolumeScale":
        """Place a scale from the best loss of each column to a share of its range past the worst.

        A column in which all losses are equal is treated as having the range 1.
        """
        best, spread = losses.min(axis=0), np.ptp(losses, axis=0)
        return cls(best + (1 + behind) * np.where(spread > 0, spread, 1.0), best)

    def point(self, objectives: Sequence[Objective]) -> dict[str, float]:
        """Return the corner as values by objective."""
        # Turning a value into a loss twice gives the value.
        return {o.name: o.loss(float(x)) for o, x in zip(objectives, self.corner, strict=True)}

    def volume(self, losses: Floats) -> float:
        """Measure the volume dominated by rows; rows not better than the corner add nothing."""
        if self.best is None:
            return hypervolume(losses, self.corner)
        scaled = (losses - self.best) / (self.corner - self.best)
        return hypervolume(scaled, np.ones_like(self.corner))

    def history(self, losses: Floats) -> Floats:
        """Measure the volume of the first row, of the first two, and so on.

        Only rows that move the front are measured, so that a sweep of thousands of trials costs as
        many hypervolume computations as its front had improvements.

        Args:
            losses: Shape ``(n, m)``, in order of time; rows with a NaN add nothing.

        Returns:
            Shape ``(n,)``, non-decreasing.
        """
        history = np.zeros(len(losses))
        front, volume = np.empty((0, losses.shape[1])), 0.0
        for row, loss in enumerate(losses):
            if not np.isnan(loss).any() and not (front <= loss).all(axis=1).any():
                front = np.vstack([front[~(front >= loss).all(axis=1)], loss])
                # A front that grew may be measured smaller, by rounding.
                volume = max(volume, self.volume(front))
            history[row] = volume
        return history


def complete_in_order(trials: Sequence[Trial]) -> list[Trial]:
    """Return the complete trials in the order in which they ended.

    >>> states = (TrialState.FAILED, TrialState.COMPLETE, TrialState.STOPPED)
    >>> trials = [Trial("digits", number, {}, 0, state) for number, state in enumerate(states)]
    >>> [trial.number for trial in complete_in_order(trials)]
    [1]
    """
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: (trial.ended is None, trial.ended, trial.number))
