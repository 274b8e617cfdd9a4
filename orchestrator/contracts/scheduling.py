"""What the driver asks of a scheduler, which stops trials early."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol


class Decision(StrEnum):
    """A scheduler's verdict on a running trial."""

    CONTINUE = "continue"
    STOP = "stop"


class Scheduler(Protocol):
    """Decides, from recorded reports alone, whether a trial goes on; it holds no state."""

    @property
    def milestones(self) -> tuple[int, ...]:
        """Epochs at which `decide` is asked, ascending; empty if never."""
        ...

    def decide(self, trial: int, epoch: int, peers: Mapping[int, Mapping[str, float]]) -> Decision:
        """Judge one trial at one milestone.

        Args:
            trial: Number of the trial that has just reported.
            epoch: The milestone.
            peers: Values reported at this epoch by trial number, `trial` included.
        """
        ...

    def best_first(self, peers: Mapping[int, Mapping[str, float]]) -> Sequence[int]:
        """Order the trials of one milestone by which of them this scheduler would continue first.

        Args:
            peers: As `decide` takes them.
        """
        ...
