"""Which layer gets how many bits, under a budget for all of them; importable without torch.

A multiple-choice knapsack: each layer takes one of its bit-widths, the sum of what they lose is to
be least, and the sum of what they cost is bounded (Kellerer, Pferschy and Pisinger. Knapsack
problems. 2004, chapter 11).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ALLOCATED_BITS = "allocated_bits"
"""The parameter of a search space that samples `AllocationConfig.bits`."""

BIT_WIDTHS = tuple(range(2, 9))
"""The bit-widths that a layer can be given."""

MAX_IMAGES = 65_536
# Costs are counted in so many steps. A network whose costs have more steps in all has them rounded
# up to fewer, so that a budget is never broken, and missed by at most the number of layers.
_STEPS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationConfig:
    """A budget that decides the bits of each layer; by default there is none.

    >>> AllocationConfig(bits=3.0).active, AllocationConfig().active
    (True, False)

    Attributes:
        bits: Mean bits of a quantized weight, at most; 2 to 8.
        bytes: Size of the packed file, at most.
        images: Training images on which the sensitivity of each layer is measured.
        rounded: Whether it is measured with the trial's rounding, which looks at as many others,
            and not with the nearest codes.
    """

    bits: float | None = None
    bytes: int | None = None
    images: int = 64
    rounded: bool = False

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: A value is not accepted; the message says what would be.
        """
        if self.bits is not None and self.bytes is not None:
            raise ValueError(
                f"allocation has bits: {self.bits:g} and bytes: {self.bytes}; one budget is "
                f"needed: leave one of them out."
            )
        if self.bits is not None and not BIT_WIDTHS[0] <= self.bits <= BIT_WIDTHS[-1]:
            raise ValueError(
                f"allocation.bits is {self.bits!r}; mean bits of a weight go from "
                f"{BIT_WIDTHS[0]} to {BIT_WIDTHS[-1]}."
            )
        if self.bytes is not None and not self.bytes > 0:
            raise ValueError(f"allocation.bytes is {self.bytes!r}; a file has at least one byte.")
        if not 1 <= self.images <= MAX_IMAGES:
            raise ValueError(
                f"allocation.images is {self.images!r}; it is an integer from 1 to {MAX_IMAGES}."
            )

    @property
    def active(self) -> bool:
        """Whether there is a budget."""
        return self.bits is not None or self.bytes is not None

    @property
    def stand_in_bits(self) -> int:
        """Bits of every weight before the layers' sensitivities are known, at milestones."""
        return BIT_WIDTHS[-1] if self.bits is None else math.floor(self.bits)

    def as_mapping(self) -> dict[str, Any]:
        """Return the budget as JSON values; empty without one."""
        values = asdict(self) if self.active else {}
        # What earlier versions did not know is mentioned where it is not the default.
        return {n: v for n, v in values.items() if n != "rounded" or v}

    def with_params(self, params: Mapping[str, Any]) -> "AllocationConfig":
        """Return this with the mean bits that parameters give, if they give any.

        >>> AllocationConfig(bytes=60_000).with_params({ALLOCATED_BITS: 3.5}).bits
        3.5
        """
        if ALLOCATED_BITS not in params:
            return self
        return replace(self, bits=float(params[ALLOCATED_BITS]), bytes=None)

    def check(self, given: Mapping[str, object], *, scope: str, qat: str) -> None:
        """Reject a budget beside settings that it would overrule or that it cannot follow.

        Args:
            given: Settings of the trial by name: the bits among them that are not the default.
            scope: As `trainers.quantization.config.QuantizationConfig` takes it.
            qat: As `trainers.quantization.config.check_qat` takes it.

        Raises:
            ValueError: There are such settings.
        """
        if not self.active:
            return
        if given:
            named = ", ".join(f"{name}: {value}" for name, value in given.items())
            raise ValueError(
                f"allocation decides the bits of every layer, and {named} is given too: leave "
                f"that out, or the allocation."
            )
        if scope == "global":
            raise ValueError(
                "allocation weighs layers one by one, and with scope: global they share their "
                "levels: use scope: channel, channels:N or layer."
            )
        if qat != "none":
            raise ValueError(
                f"allocation looks at the trained network, and qat is {qat!r}, which must know "
                f"all bits while it trains: use qat: none, or give the bits."
            )


@dataclass(frozen=True, slots=True)
class Option:
    """One choice for one layer.

    Attributes:
        cost: What it takes of the budget, at least 0.
        loss: What it costs otherwise, in any unit that adds up.
    """

    cost: int
    loss: float


class Allocator:
    """Solves one multiple-choice knapsack for all budgets at once, by dynamic programming.

    With `f_k(c)` the least loss of the first k layers at a cost of at most c,
    `f_k(c) = min over options o of layer k: f_{k-1}(c - cost_o) + loss_o`. Exact as long as the
    costs have at most 2**20 different multiples of their greatest common divisor.

    >>> layers = [{2: Option(20, 1.0), 4: Option(40, 0.1)}, {2: Option(10, 5.0), 4: Option(20, 0)}]
    >>> Allocator(layers).best(45)
    (2, 4)

    Args:
        layers: The options of each layer, by bits; at least one each.
    """

    def __init__(self, layers: Sequence[Mapping[int, Option]]) -> None:
        self._layers = [dict(options) for options in layers]
        self.least = sum(min(o.cost for o in options.values()) for options in self._layers)
        most = sum(max(o.cost for o in options.values()) for options in self._layers)
        self._most = most
        beyond = [
            {bits: o.cost - min(e.cost for e in options.values()) for bits, o in options.items()}
            for options in self._layers
        ]
        divisor = math.gcd(*(cost for options in beyond for cost in options.values())) or 1
        self._unit = max(divisor, -(-(most - self.least) // _STEPS))
        steps = -(-(most - self.least) // self._unit) + len(self._layers)
        self._steps = [
            {bits: -(-cost // self._unit) for bits, cost in options.items()} for options in beyond
        ]
        # Imported here: a config is read in places that must start fast.
        import numpy as np

        self._choices: list[np.ndarray] = []
        loss = np.zeros(steps + 1)
        for options, taken in zip(self._layers, self._steps, strict=True):
            loss = self._with_layer(loss, options, taken)
        self._loss = loss

    def _with_layer(
        self, before: "np.ndarray", options: Mapping[int, Option], taken: Mapping[int, int]
    ) -> "np.ndarray":
        import numpy as np

        after = np.full_like(before, np.inf)
        chosen = np.zeros(len(before), np.uint8)
        for bits, option in options.items():
            shifted = before[: len(before) - taken[bits]] + option.loss
            is_better = shifted < after[taken[bits] :]
            after[taken[bits] :][is_better] = shifted[is_better]
            chosen[taken[bits] :][is_better] = bits
        self._choices.append(chosen)
        return after

    def best(self, budget: float) -> tuple[int, ...]:
        """Return the bits of each layer with the least loss whose costs are within a budget.

        Raises:
            ValueError: Even the cheapest options cost more.
        """
        if budget < self.least:
            raise ValueError(f"the cheapest bits cost {self.least}, and the budget is {budget:g}.")
        place = len(self._loss) - 1
        if budget < self._most:
            place = min(int((budget - self.least) // self._unit), place)
        found = []
        for chosen, taken in zip(reversed(self._choices), reversed(self._steps), strict=True):
            found.append(int(chosen[place]))
            place -= taken[found[-1]]
        return tuple(reversed(found))

    def loss(self, bits: Sequence[int]) -> float:
        """Sum up what an assignment loses."""
        return sum(options[b].loss for options, b in zip(self._layers, bits, strict=True))

    def cost(self, bits: Sequence[int]) -> int:
        """Sum up what an assignment takes of the budget."""
        return sum(options[b].cost for options, b in zip(self._layers, bits, strict=True))
