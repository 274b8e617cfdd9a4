"""A belief about one parameter: values near a center are tried first, and none is excluded."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.sampling.prior import share
from orchestrator.trials import Params, Value
from search_spaces import Choice, Domain, Int


@dataclass(frozen=True, slots=True)
class ValuePrior:
    """Which values of a parameter to try first.

    With the probability `orchestrator.sampling.prior.share` a proposal takes the parameter from
    P(v) proportional to exp(-abs(v - center) / scale), which is this project's own, and the rest
    from the sampler.

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

    def draw(self, domains: Mapping[str, Domain], seen: int, seed: int) -> Params:
        """Draw a value of the parameter; nothing leaves it to the sampler.

        >>> ValuePrior("depth", center=2, scale=0.01).draw({"depth": Choice((1, 2, 3))}, 0, seed=0)
        {'depth': 2}
        """
        rng = random.Random(seed)  # noqa: S311 - nothing secret
        if rng.random() >= share(seen, self.patience):
            return {}
        found = self.probabilities(domains[self.name])
        return {self.name: rng.choices(list(found), weights=list(found.values()))[0]}
