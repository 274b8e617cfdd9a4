"""A belief about one parameter: values near a center are tried first, and none is excluded."""

import math
import random
from dataclasses import dataclass

from orchestrator.trials import Value
from search_spaces import Choice, Domain, Int


@dataclass(frozen=True, slots=True)
class ValuePrior:
    """Which values of a parameter to try first.

    With the probability `share`, which falls with the number of configurations that were seen, a
    proposal takes the parameter from P(v) proportional to exp(-abs(v - center) / scale), and the
    rest from the sampler. Both formulas are this project's own. Hvarfner et al. 2022 (piBO, arXiv
    2204.11051) let a prior fade likewise, as the power beta / n of it in the acquisition.

    Attributes:
        name: The parameter, of whole numbers.
        center: Where it is believed to be good.
        scale: How far from there it may well be, above 0.
        patience: Configurations after which every second proposal still follows it.
    """

    name: str
    center: int
    scale: float = 1.0
    patience: int = 10

    def share(self, seen: int) -> float:
        """Return how probable it is that the next proposal follows the prior.

        >>> prior = ValuePrior("depth", center=3)
        >>> prior.share(0), prior.share(10), prior.share(90)
        (1.0, 0.5, 0.1)
        """
        return self.patience / (self.patience + seen)

    def probabilities(self, domain: Domain) -> dict[Value, float]:
        """Return the probability of each value of a domain.

        >>> found = ValuePrior("depth", center=2).probabilities(Choice((1, 2, 3)))
        >>> {value: round(p, 2) for value, p in found.items()}
        {1: 0.21, 2: 0.58, 3: 0.21}
        """
        values: list[int] = []
        if isinstance(domain, Choice):
            values = [int(option) for option in domain.options]
        elif isinstance(domain, Int):
            values = list(range(domain.low, domain.high + 1))
        weights = [math.exp(-abs(value - self.center) / self.scale) for value in values]
        return {value: w / sum(weights) for value, w in zip(values, weights, strict=True)}

    def draw(self, domain: Domain, seen: int, seed: int) -> Value | None:
        """Draw a value; None leaves it to the sampler.

        >>> ValuePrior("depth", center=2, scale=0.01).draw(Choice((1, 2, 3)), seen=0, seed=0)
        2
        """
        rng = random.Random(seed)  # noqa: S311 - nothing secret
        if rng.random() >= self.share(seen):
            return None
        found = self.probabilities(domain)
        return rng.choices(list(found), weights=list(found.values()))[0]
