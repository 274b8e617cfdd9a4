"""From the entropy of a data set to a bound on a network's depth, EBCLE-style.

Gowdra, Sinha, MacDonell and Yan (arXiv 2106.14190, 2021) bound the number of convolution layers
by the entropy of the data. How they convert one to the other is not known to this project: every
part of the conversion is a parameter here, and the defaults are a guess.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

BASIS = "EBCLE-style; the conversion is not confirmed by a source"
"""A caveat to be shown with every depth that such a conversion gives."""

# Finer than any change of an entropy, coarser than the rounding error of a sum of 256 products:
# 8 bits that come out as 8.000000000000002 must not become 9 layers.
_DECIMALS = 9


class EntropyUnit(StrEnum):
    """The unit of an entropy: 1 bit is ln 2 nats."""

    NATS = "nats"
    BITS = "bits"


class Rounding(StrEnum):
    """How a number of layers is rounded; `round` is to the nearest, halves up."""

    CEIL = "ceil"
    FLOOR = "floor"
    ROUND = "round"


class DepthScope(StrEnum):
    """What the cap limits: the layers of each stage, or those of the whole network."""

    STAGE = "stage"
    TOTAL = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthConversion:
    """How a mean entropy becomes a cap; EBCLE-style, not confirmed by a source.

    cap = rounding(coefficient x entropy in `unit`), and at least 1.

    Attributes:
        unit: Unit of the entropy.
        coefficient: Layers per nat or bit; finite and above 0.
        rounding: How the product is rounded.
        scope: What the cap limits.
    """

    unit: EntropyUnit = EntropyUnit.NATS
    coefficient: float = 1.0
    rounding: Rounding = Rounding.CEIL
    scope: DepthScope = DepthScope.STAGE

    def __post_init__(self) -> None:
        """Check the numbers and the words.

        Raises:
            ValueError: The coefficient is out of range, or a word is not known.
        """
        if not (math.isfinite(self.coefficient) and self.coefficient > 0):
            raise ValueError(
                f"the coefficient of the depth conversion is {self.coefficient}; a finite number "
                f"above 0 is needed: layers for one nat or bit."
            )
        for name, kind in (("unit", EntropyUnit), ("rounding", Rounding), ("scope", DepthScope)):
            given = getattr(self, name)
            if given not in {word.value for word in kind}:
                raise ValueError(
                    f"the {name} of the depth conversion is {given!r}; known are "
                    f"{', '.join(kind)}."
                )

    def cap(self, mean_nats: float) -> int:
        """Compute the maximum number of convolution layers, per stage or in total.

        Args:
            mean_nats: Mean entropy of the images, in nats whatever the unit; finite, not below 0.

        >>> DepthConversion().cap(2.41)
        3
        >>> DepthConversion(coefficient=2.0, rounding=Rounding.FLOOR).cap(2.41)
        4
        """
        if not (math.isfinite(mean_nats) and mean_nats >= 0):
            raise ValueError(f"a mean entropy is finite and not below 0; got {mean_nats}.")
        layers = round(self.coefficient * self.counted(mean_nats), _DECIMALS)
        if self.rounding == Rounding.ROUND:
            layers += 0.5
        return max(1, math.ceil(layers) if self.rounding == Rounding.CEIL else math.floor(layers))

    def counted(self, nats: float) -> float:
        """Convert an entropy in nats to the conversion's unit."""
        return nats / math.log(2) if self.unit == EntropyUnit.BITS else nats

    def formula(self, mean_nats: float) -> str:
        """Write the conversion with its numbers, as in ``ceil(1 x 2.41 nats)``."""
        return f"{self.rounding}({self.coefficient:g} x {self.counted(mean_nats):.6g} {self.unit})"

    def as_json(self) -> dict[str, object]:
        """Return every parameter, and the caveat on their origin."""
        return {
            "unit": str(self.unit),
            "coefficient": self.coefficient,
            "rounding": str(self.rounding),
            "scope": str(self.scope),
            "basis": BASIS,
        }
