"""The section `methods` of a sweep file."""

from collections.abc import Collection
from typing import Any

from pydantic import ValidationInfo, field_validator

from orchestrator.spec.section import Section
from trainers.methods import MethodsConfig
from trainers.methods.config import SETTINGS
from trainers.parameters import check_parameter


class MethodsSection(Section):
    """Methods of other papers that a training uses; see `trainers.methods.MethodsConfig`."""

    distillation: float | None = None
    temperature: float | None = None
    adversarial: str | None = None
    adversarial_epsilon: float | None = None
    adversarial_steps: int | None = None
    adversarial_share: float | None = None
    l2sp: float | None = None
    l2sp_head: float | None = None
    halo: float | None = None
    halo_shrinkage: float | None = None
    expand: str | None = None
    expand_rate: int | None = None
    adapter_rank: int | None = None
    adjoined: bool | None = None
    share_kernels: bool | None = None
    training_window: float | None = None

    @field_validator("*")
    @classmethod
    def _is_accepted(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            check_parameter(str(info.field_name), value)
        return value

    def of_trials(self) -> MethodsConfig:
        """Build the methods that all trials share."""
        return MethodsConfig(**self.model_dump(exclude_none=True))


def method_problem(sampled: Collection[str], section: MethodsSection | None) -> str:
    """Say which setting would do nothing, because its method is never switched on; else empty.

    Args:
        sampled: The parameters of the space.
        section: What all trials share.

    >>> method_problem(["bits"], MethodsSection(temperature=2.0))
    'temperature is a setting of distillation, which no trial has: switch distillation on, or ...'
    >>> method_problem(["bits"], MethodsSection(temperature=2.0, distillation=0.5))
    ''
    """
    fixed = (section or MethodsSection()).of_trials()
    # A stored section has every key: one that was not given is None there.
    given = set() if section is None else section.model_dump(exclude_none=True).keys()
    for setting, switch in SETTINGS.items():
        is_given = setting in sampled or setting in given
        if is_given and switch not in sampled and switch not in fixed.used():
            return (
                f"{setting} is a setting of {switch}, which no trial has: switch {switch} on, or "
                f"leave {setting} out."
            )
    return ""
