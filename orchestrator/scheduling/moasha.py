"""Asynchronous successive halving under several objectives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.constraints import Constraint
from orchestrator.contracts import Decision
from orchestrator.objectives import Objective
from orchestrator.scheduling.ranking import best_first, place


@dataclass(frozen=True, slots=True)
class MOASHA:
    """Promotes the best trials at each milestone: one in `reduction`, and all non-dominated ones.

    No trial waits for its peers. It is judged once, when it reports, against all trials that ever
    reported at this milestone (`n` including itself). It goes on

    * if no peer is better: none violates the constraints less, and none with the same violation
      dominates it. A front may be larger than any quota, and its members are the goal;
    * or if fewer than ``ceil(n / reduction)`` rank before it (`orchestrator.scheduling.ranking`);
    * or if ``n < reduction``, too few for a quota. Li et al. let such a trial wait while others
      start.

    A trial that dominates all peers therefore goes on, no trial is stopped in favour of an equal
    one, and a trial that is dominated by a full quota is stopped.
    docs/decisions/0010-stopping-early.md shows what the first rule gains.

    With one objective this is ASHA in its stopping form, and with a `reduction` of 2 the median
    rule (Golovin et al. 2017, section 3.2.2) on values of the same epoch: fewer than half of the
    peers are better exactly if the trial is no worse than their median.

    References:
        L. Li et al. A system for massively parallel hyperparameter tuning. MLSys 2020.
        https://arxiv.org/abs/1810.05934
        R. Schmucker et al. Multi-objective asynchronous successive halving. 2021.
        https://arxiv.org/abs/2106.12639
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    milestones: tuple[int, ...]
    reduction: int

    def decide(self, trial: int, epoch: int, peers: Mapping[int, Mapping[str, float]]) -> Decision:
        """Judge one trial against its peers."""
        if len(peers) < self.reduction:
            return Decision.CONTINUE
        quota = -(-len(peers) // self.reduction)
        stands = place(trial, peers, self.objectives, self.constraints)
        goes_on = stands.better == 0 or stands.better + stands.lonelier < quota
        return Decision.CONTINUE if goes_on else Decision.STOP

    def best_first(self, peers: Mapping[int, Mapping[str, float]]) -> Sequence[int]:
        """Order trials by their places among their peers."""
        return best_first(peers, self.objectives, self.constraints)
