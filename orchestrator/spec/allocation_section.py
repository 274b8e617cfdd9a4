"""The budget of bits or bytes in the section ``quantization`` of a sweep file."""

from typing import Self

from pydantic import model_validator

from orchestrator.spec.section import Quantity, Section
from trainers.quantization.allocation import AllocationConfig


class AllocationSection(Section):
    """A budget from which the bits of each layer follow; see `AllocationConfig`."""

    bits: Quantity | None = None
    bytes: Quantity | None = None
    images: int = 64

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        self.as_allocation()
        return self

    def as_allocation(self) -> AllocationConfig:
        """Build the budget for `trainers`."""
        most = None if self.bytes is None else int(self.bytes)
        return AllocationConfig(bits=self.bits, bytes=most, images=self.images)
