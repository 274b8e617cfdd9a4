"""Never stop a trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.contracts import Decision


@dataclass(frozen=True, slots=True)
class Fifo:
    """Runs every trial to its last epoch; the baseline of every comparison."""

    @property
    def milestones(self) -> tuple[int, ...]:
        """None, so that `decide` is never called."""
        return ()

    def decide(self, trial: int, epoch: int, peers: Mapping[int, Mapping[str, float]]) -> Decision:
        """Let every trial go on."""
        return Decision.CONTINUE

    def best_first(self, peers: Mapping[int, Mapping[str, float]]) -> Sequence[int]:
        """Keep the order: no trial is preferred."""
        return list(peers)
