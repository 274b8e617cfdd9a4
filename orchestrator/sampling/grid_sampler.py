"""Every configuration of a finite space, in an order that the seed shuffles."""

import random
from collections.abc import Sequence

from orchestrator.constraints import KnownConstraints
from orchestrator.contracts import Suggestion
from orchestrator.errors import UsageError
from orchestrator.sampling.deduplication import MAX_LISTED, Deduplicator
from orchestrator.trials import PriorPoint, Trial
from search_spaces import SearchSpace


class GridSampler:
    """Proposes every configuration once. See `orchestrator.contracts.Sampler`.

    Args:
        space: A space of at most 100,000 configurations.
        seed: Of the order. Neighbors on the grid are alike, so in the grid's own order a sweep
            that ends early would have seen one corner of the space.
        known_constraints: Which configurations are left out.

    Raises:
        UsageError: The space has no grid, or a larger one.
    """

    def __init__(
        self, space: SearchSpace, *, seed: int, known_constraints: KnownConstraints | None = None
    ) -> None:
        check_grid(space)
        self._deduplicator = Deduplicator(space, known_constraints)
        self._left = list(space.grid())
        random.Random(seed).shuffle(self._left)  # noqa: S311  (an order, not a secret)

    def suggest(self) -> Suggestion | None:
        """Return the next unseen configuration of the order."""
        while self._left:
            params = self._left.pop()
            key = self._deduplicator.key(params)
            if self._deduplicator.add(key) and not self._deduplicator.screens_out(key, params):
                return Suggestion(params)
        return None

    def learn(self, points: Sequence[PriorPoint]) -> None:
        """Do nothing: the order of a grid does not depend on what was measured."""

    def observe(self, trial: Trial) -> None:
        """Mark the trial's configuration as seen."""
        self._deduplicator.add(self._deduplicator.key(trial.params))

    @property
    def screened_out(self) -> int:
        """How many configurations were left out."""
        return self._deduplicator.screened_out


def check_grid(space: SearchSpace) -> None:
    """Refuse a space whose configurations cannot be listed.

    Raises:
        UsageError: It has no grid, or a larger one than `MAX_LISTED`.

    >>> from search_spaces import load_space
    >>> check_grid(load_space("smoke"))
    """
    size = space.size
    if size is None:
        endless = [name for name in space.names if space.domains[name].size is None]
        raise UsageError(
            f"A grid needs a finite space, but {', '.join(endless)} can be any number in a "
            f"range: give a step, list choices, or use another sampler (tpe, random)."
        )
    if size > MAX_LISTED:
        raise UsageError(
            f"The space has {size:,} configurations, and a grid at most {MAX_LISTED:,}: "
            f"give larger steps or fewer choices, or use another sampler (tpe, random)."
        )
