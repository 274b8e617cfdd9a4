"""The claim of a sweep, fixed in its file before the first trial is trained."""

import re
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from orchestrator.quantities import parse_quantity, quantity
from orchestrator.spec.section import Section, as_problem
from search_spaces import Condition

_POINTS = re.compile(r"\s*([\d.]+)\s*(?:points?|%)\s*", re.ASCII)


def parse_margin(text: str) -> float:
    """Read a margin: ``2 points``, ``2 %`` or ``0.02``.

    Raises:
        UsageError: The text is none of these.

    >>> parse_margin("2 points")
    0.02
    """
    match = _POINTS.fullmatch(text)
    return parse_quantity(match.group(1)) / 100 if match else parse_quantity(text)


def _margin(value: object) -> object:
    return as_problem(parse_margin, value) if isinstance(value, str) else value


def _listed(value: object) -> object:
    """Convert a single name to a list of one."""
    return [value] if isinstance(value, str) else value


class ClaimSection(Section):
    """The claim that the smallest network that keeps some accuracies is not worse.

    It is part of the sweep's identity, and cannot change once the sweep has begun.

    Attributes:
        keep: Accuracies none of which may be worse than the reference's by the margin or more.
        margin: Largest loss that counts as none: ``2 points`` or ``0.02``.
        alpha: Accepted probability of at least one wrong "not worse".
        family: A condition on parameters, such as ``bits <= 4``, for the configurations that the
            claim is about; without it, all.
    """

    keep: Annotated[
        list[str],
        BeforeValidator(_listed, json_schema_input_type=str | list[str]),
        Field(min_length=1),
    ] = Field(default=["accuracy"])
    margin: Annotated[float, BeforeValidator(_margin, json_schema_input_type=float | str)] = 0.02
    alpha: float = Field(default=0.05, gt=0, lt=1)
    family: str | None = None

    @field_validator("margin")
    @classmethod
    def _is_a_fraction(cls, margin: float) -> float:
        if not 0 < margin < 1:
            raise ValueError(
                f"a margin of {margin:g} is more than accuracies can differ: write '2 points', or "
                f"0.02."
            )
        return margin

    @model_validator(mode="after")
    def _can_be_tested(self) -> Self:
        for name in self.keep:
            if not quantity(name).paired_by_image:
                raise ValueError(
                    f"claim.keep: {name} is not measured image by image, so that it cannot be "
                    f"compared in pairs: name accuracy, or an accuracy under attack."
                )
        if self.family is not None:
            _ = Condition.parse(self.family)
        return self

    @property
    def condition(self) -> Condition | None:
        """Which configurations the claim is about; None for all."""
        return None if self.family is None else Condition.parse(self.family)

    def problem(self, measured: set[str], params: set[str], *, has_reference: bool) -> str:
        """Explain why a sweep could not support its claim; empty if it can.

        Args:
            measured: Accuracies that are measured for every trial.
            params: Names of its parameters.
            has_reference: Whether the reference is measured too.
        """
        if not has_reference:
            return "a claim compares with the full-size network: write 'reference: true'"
        for name in self.keep:
            if name not in measured:
                return f"keep: no trial is measured by {name}: make it an objective or a measure"
        condition = self.condition
        for name in condition.names if condition else ():
            if name not in params:
                return (
                    f"family: {name} is no parameter of the space: what is measured chooses no "
                    f"family, for then the results would"
                )
        return ""
