"""What a sampler is built from."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.constraints import Constraint
from orchestrator.contracts import KnownValues, nothing_known
from orchestrator.objectives import Objective
from search_spaces import SearchSpace


@dataclass(frozen=True, slots=True)
class Setting:
    """What a sampler is built from.

    Attributes:
        space: What may be proposed.
        objectives: At least one.
        constraints: Limits on values.
        seed: Of all that is random.
        known: What is known of a configuration before training.
    """

    space: SearchSpace
    objectives: Sequence[Objective]
    constraints: Sequence[Constraint]
    seed: int
    known: KnownValues = nothing_known
