"""Asynchronous successive halving under several objectives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.constraints import Constraint
from orchestrator.contracts import Decision
from orchestrator.objectives import Objective
from orchestrator.scheduling.ranking import best_first, place


@dataclass(frozen=True, slots=True)
class MOASHA:
    """At each milestone the best go on: one trial in `reduction`, and who is beaten by nobody.

    Nobody waits for peers. A trial is judged once, when it reports, among all that ever reported
    at this milestone, `n` of them with itself. It goes on

    * if nobody is better: none violates the constraints less, and none that violates them as much
      dominates it. A front may be larger than any quota, and its members are what is looked for;
    * or if fewer than ``ceil(n / reduction)`` stand before it (`orchestrator.scheduling.ranking`);
    * or if they are fewer than `reduction`, of whom no share can be told. Li et al. let such a
      trial wait while others start.

    So who dominates all peers goes on, of equals none is stopped in favour of another one, and
    who is dominated by a full quota is stopped. docs/decisions/0010-stopping-early.md has what
    the first rule gains.

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
        """Judge one trial among its peers."""
        if len(peers) < self.reduction:
            return Decision.CONTINUE
        quota = -(-len(peers) // self.reduction)
        stands = place(trial, peers, self.objectives, self.constraints)
        goes_on = stands.better == 0 or stands.better + stands.lonelier < quota
        return Decision.CONTINUE if goes_on else Decision.STOP

    def best_first(self, peers: Mapping[int, Mapping[str, float]]) -> Sequence[int]:
        """Order trials by their places among each other."""
        return best_first(peers, self.objectives, self.constraints)
