"""What is believed before a search: some configurations are tried first, and none is excluded."""

from collections.abc import Mapping
from typing import Protocol

from orchestrator.trials import Params
from search_spaces import Domain


class Prior(Protocol):
    """A belief that fades with the number of configurations that were seen."""

    def draw(self, domains: Mapping[str, Domain], seen: int, seed: int) -> Params:
        """Return the parameters that the next proposal takes from here; the sampler has the rest.

        Args:
            domains: Of the parameters of the space.
            seen: How many configurations were proposed so far.
            seed: Decides what is drawn.
        """
        ...


def share(seen: int, patience: int) -> float:
    """Return how probable it is that the next proposal follows a prior.

    The formula is this project's own. Hvarfner et al. 2022 (piBO, arXiv 2204.11051) let a prior
    fade likewise, as the power beta / n of it in the acquisition.

    Args:
        seen: Configurations that were proposed so far.
        patience: Configurations after which every second proposal still follows the prior.

    >>> share(0, 10), share(10, 10), share(90, 10)
    (1.0, 0.5, 0.1)
    """
    return patience / (patience + seen)
