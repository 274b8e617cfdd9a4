"""The one scale of hypervolumes, and how a sweep's front grew on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.columns import Floats
from orchestrator.objectives import Objective
from orchestrator.pareto.dominance import hypervolume, reference_point
from orchestrator.pareto.losses import loss_matrix
from orchestrator.trials import Trial, TrialState

FIRST_TRIALS = 8
"""Complete trials behind which the scale of a sweep is placed, once and for all. Behind one trial
alone it would lie so close that a trial worse in any objective would count for nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class HypervolumeScale:
    """What hypervolumes are measured by: only those of one scale can be compared.

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
        """Place the scale of a sweep: what people see of its hypervolumes is measured by it.

        It lies behind the first `FIRST_TRIALS` complete trials, in the order in which they ended,
        that have a finite number for every objective; whether they meet the constraints makes no
        difference. No later trial moves it.

        Args:
            trials: Of the sweep, in any state.
            objectives: What volumes are over.
            least: How many such trials it takes.

        Returns:
            None while there are fewer.
        """
        losses = loss_matrix([t.values for t in complete_in_order(trials)], objectives)
        usable = losses[np.isfinite(losses).all(axis=1)][:FIRST_TRIALS]
        return cls.behind(usable) if len(usable) >= least else None

    @classmethod
    def behind(cls, losses: Floats) -> "HypervolumeScale":
        """Place a scale behind all rows: `reference_point`.

        Raises:
            ValueError: A column holds no finite loss.
        """
        return cls(reference_point(losses))

    @classmethod
    def at(cls, point: Mapping[str, float], objectives: Sequence[Objective]) -> "HypervolumeScale":
        """Place a scale at given values, one an objective."""
        return cls(np.array([each.loss(point[each.name]) for each in objectives]))

    @classmethod
    def spanning(cls, losses: Floats) -> "HypervolumeScale":
        """Place a scale from the best loss of each column to `reference_point`."""
        return cls(reference_point(losses), losses.min(axis=0))

    @classmethod
    def within(cls, losses: Floats, behind: float) -> "HypervolumeScale":
        """Place a scale from the best loss of each column to a share of its range behind all.

        A column in which all are equal is taken to have the range 1: it decides nothing.
        """
        best, spread = losses.min(axis=0), np.ptp(losses, axis=0)
        return cls(best + (1 + behind) * np.where(spread > 0, spread, 1.0), best)

    def point(self, objectives: Sequence[Objective]) -> dict[str, float]:
        """The corner as values by objective."""
        # Turning a value into a loss twice gives the value.
        return {o.name: o.loss(float(x)) for o, x in zip(objectives, self.corner, strict=True)}

    def volume(self, losses: Floats) -> float:
        """Measure what rows dominate; those that are not better than the corner add nothing."""
        if self.best is None:
            return hypervolume(losses, self.corner)
        scaled = (losses - self.best) / (self.corner - self.best)
        return hypervolume(scaled, np.ones_like(self.corner))

    def history(self, losses: Floats) -> Floats:
        """The volume of the first row, of the first two, and so on.

        Only rows that move the front are measured, so that a sweep of thousands of trials costs as
        many hypervolumes as its front had improvements.

        Args:
            losses: Shape ``(n, m)``, in order of time; rows with a NaN add nothing.

        Returns:
            Shape ``(n,)``, never falling.
        """
        history = np.zeros(len(losses))
        front, volume = np.empty((0, losses.shape[1])), 0.0
        for row, loss in enumerate(losses):
            if not np.isnan(loss).any() and not (front <= loss).all(axis=1).any():
                front = np.vstack([front[~(front >= loss).all(axis=1)], loss])
                volume = self.volume(front)
            history[row] = volume
        return history


def complete_in_order(trials: Sequence[Trial]) -> list[Trial]:
    """Complete trials in the order in which they ended."""
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: (trial.ended is None, trial.ended, trial.number))
