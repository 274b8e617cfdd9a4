"""Configurations that are never started, because they break a constraint before training."""

from collections.abc import Callable, Iterable, Mapping

from orchestrator.constraints import Constraint
from orchestrator.trials import Params

Known = Callable[[Params], Mapping[str, float]]
"""Values by name that a configuration fixes before it is trained; empty if none is known."""


def nothing_known(_: Params) -> Mapping[str, float]:
    """What is known where nobody looked."""
    return {}


class Refusals:
    """Says of a configuration whether a trial of it could meet the constraints.

    Only values that are known before training decide. Closed forms of a configuration, they are
    the same for every driver, so that nothing of this is stored.

    Args:
        constraints: What a trial must meet.
        known: What is known of a configuration.
    """

    def __init__(self, constraints: Iterable[Constraint] = (), known: Known = nothing_known):
        self._constraints = tuple(constraints)
        self.known = known

    def broken(self, params: Params) -> list[Constraint]:
        """The constraints that the configuration is known to break."""
        known = self.known(params)
        return [c for c in self._constraints if c.name in known and c.violation(known) > 0]

    def violations(self, params: Params) -> dict[str, float]:
        """How far it is from each constraint, by its text; 0 where that is not known."""
        known = self.known(params)
        return {str(c): c.violation(known) if c.name in known else 0.0 for c in self._constraints}
