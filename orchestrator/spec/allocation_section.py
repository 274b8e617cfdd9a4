"""The budget of bits or bytes in the section ``quantization`` of a sweep file."""

from collections.abc import Collection
from typing import Self

from pydantic import model_validator

from orchestrator.spec.section import Quantity, Section
from trainers.quantization.allocation import ALLOCATED_BITS, AllocationConfig
from trainers.quantization.config import FLOAT_BITS
from trainers.quantization.layer_bits import LAYER_BITS


class AllocationSection(Section):
    """A budget from which the bits of each layer follow; see `AllocationConfig`."""

    bits: Quantity | None = None
    bytes: Quantity | None = None
    images: int = 64
    # None and not false: sweeps of before it was a key are the same.
    rounded: bool | None = None

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        self.as_allocation()
        return self

    def as_allocation(self) -> AllocationConfig:
        """Build the budget for `trainers`."""
        most = None if self.bytes is None else int(self.bytes)
        return AllocationConfig(
            bits=self.bits, bytes=most, images=self.images, rounded=bool(self.rounded)
        )


def check_sampled_bits(
    names: Collection[str], *, has_budget: bool, bits: int, fc_bits: int
) -> None:
    """Reject a space of which a budget would overrule a part.

    Args:
        names: The parameters of the space.
        has_budget: Whether the sweep file gives a budget.
        bits: Fixed bits of convolutions, 32 for none.
        fc_bits: Fixed bits of FC layers, 32 for none.

    Raises:
        ValueError: Bits are decided twice.

    >>> check_sampled_bits(["bits", "fc_bits"], has_budget=False, bits=32, fc_bits=32)
    """
    if not has_budget and ALLOCATED_BITS not in names:
        return
    twice = [name for name in ("bits", "fc_bits", *LAYER_BITS) if name in names]
    if twice:
        raise ValueError(
            f"space: {', '.join(twice)} would be overruled by the allocation, which decides the "
            f"bits of every layer: leave one of both out."
        )
    if min(bits, fc_bits) < FLOAT_BITS:
        raise ValueError(
            f"space: {ALLOCATED_BITS} decides the bits of every layer, and quantization gives "
            f"bits: {bits} and fc_bits: {fc_bits}: leave one of both out."
        )
