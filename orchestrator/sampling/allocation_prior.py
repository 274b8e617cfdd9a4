"""Bits that were found for all layers together are tried first."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.sampling.prior import share
from orchestrator.trials import Params
from search_spaces import Domain


@dataclass(frozen=True, slots=True)
class AllocationPrior:
    """Which bits of layers to try first, together.

    With the probability `orchestrator.sampling.prior.share` a proposal takes the bits of one of
    the allocations, each as probable as the others, and the rest from the sampler.

    Attributes:
        allocations: Bits by the name of the parameter; at least one.
        patience: Configurations after which every second proposal still follows the prior.
    """

    allocations: tuple[Mapping[str, int], ...]
    patience: int = 10

    def draw(self, domains: Mapping[str, Domain], seen: int, seed: int) -> Params:
        """Draw an allocation; nothing leaves the bits to the sampler.

        >>> AllocationPrior(({"bits_1": 8, "bits_2": 3},)).draw({}, 0, seed=0)
        {'bits_1': 8, 'bits_2': 3}
        """
        del domains  # an allocation has values of the space alone
        rng = random.Random(seed)  # noqa: S311 - nothing secret
        if rng.random() >= share(seen, self.patience):
            return {}
        return dict(rng.choice(self.allocations))
