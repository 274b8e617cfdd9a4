"""What the driver asks of a sampler, and what is known of a configuration before training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.trials import Params, PriorPoint, Trial

KnownValues = Callable[[Params], Mapping[str, float]]
"""Values by name that a configuration fixes before it is trained; empty if none is known."""


def nothing_known(_: Params) -> Mapping[str, float]:
    """What is known where nobody looked."""
    return {}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Parameters proposed by a sampler, with what it must find again after a restart."""

    params: Params
    sampler_attrs: Mapping[str, object] = field(default_factory=dict)


class Sampler(Protocol):
    """Proposes configurations. It remembers nothing that the store does not.

    A sampler is built from a space, objectives, constraints and a seed; `observe` is then called
    once for every trial already in the store, in order of their numbers, and again each time a
    trial becomes final. A configuration is never proposed twice. Of the reference, which is no
    configuration of the space, a sampler is not told.
    """

    def learn(self, points: Sequence[PriorPoint]) -> None:
        """Learn from what was measured before the sweep; called at most once, before all else.

        The points are no trials: their configurations may still be proposed, once each. Who does
        not learn from values ignores them.
        """
        ...

    def suggest(self) -> Suggestion | None:
        """Propose a configuration that was not seen before, or None: the space is exhausted.

        One that is known to break a constraint before it is trained is never proposed; it counts
        as seen.
        """
        ...

    @property
    def screened_out(self) -> int:
        """How many configurations this sampler left out because of that."""
        ...

    def observe(self, trial: Trial) -> None:
        """Learn of a trial: unfinished (a configuration in flight) or final.

        Being told of the same trial again replaces what was known of it.
        """
        ...
