"""What the driver asks of a sampler, and what is known of a configuration before training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.trials import Params, PriorPoint, Trial

KnownValues = Callable[[Params], Mapping[str, float]]
"""Returns the values, by name, that a configuration has before it is trained; may be empty."""


def nothing_known(_: Params) -> Mapping[str, float]:
    """Return no values: nothing is known of a configuration before it is trained.

    >>> nothing_known({"bits": 4})
    {}
    """
    return {}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Parameters proposed by a sampler, with the attributes that it needs after a restart."""

    params: Params
    sampler_attrs: Mapping[str, object] = field(default_factory=dict)


class Sampler(Protocol):
    """Proposes configurations. All of its state can be rebuilt from the store.

    A sampler is built from a space, objectives, constraints and a seed; `observe` is then called
    once for every trial already in the store, in order of their numbers, and again each time a
    trial becomes final. A configuration is never proposed twice. The reference, which is no
    configuration of the space, is never passed to a sampler.
    """

    def learn(self, points: Sequence[PriorPoint]) -> None:
        """Learn from what was measured before the sweep; called at most once, before all else.

        The points are no trials: their configurations may still be proposed, once each. A sampler
        that does not learn from values may ignore the points.
        """
        ...

    def suggest(self) -> Suggestion | None:
        """Propose a configuration that was not seen before; None once the space is exhausted.

        A configuration that is known to violate a constraint before it is trained is never
        proposed; it counts as seen.
        """
        ...

    @property
    def screened_out(self) -> int:
        """Number of configurations left out because they are known to violate a constraint."""
        ...

    def observe(self, trial: Trial) -> None:
        """Learn of a trial: unfinished (a configuration in flight) or final.

        Observing the same trial again replaces what was known about it.
        """
        ...
