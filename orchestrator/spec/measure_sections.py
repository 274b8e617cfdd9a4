"""Sections of a sweep file on what is measured: objectives, and attacks on trials or fronts."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, model_validator

from orchestrator.quantities import QUANTITIES, quantity
from orchestrator.spec.section import Quantity, Section, with_reference
from search_spaces import unknown
from trainers.doors import resolved_reference
from trainers.evaluators.config import (
    ATTACKED,
    CORRUPTED,
    MASKED,
    OWN_ATTACKS,
    PERTURBATION,
    AttackConfig,
    AttackName,
    Norm,
)


class MeasureSection(Section):
    """An attack that yields a value; see `trainers.evaluators.AttackConfig`."""

    attack: Annotated[str, with_reference("attacks", ours=get_args(AttackName))] = "pgd"
    epsilon: Quantity = 8 / 255
    norm: Norm = "linf"
    steps: int = 10
    step_size: Quantity | None = None
    restarts: int = 1
    samples: int = 200
    queries: int | None = None

    @model_validator(mode="after")
    def _attack_is_possible(self) -> Self:
        self.as_attack()
        return self

    def as_attack(self) -> AttackConfig:
        """Build the attack for `trainers`."""
        given = self.model_dump(include=set(MeasureSection.model_fields), exclude_none=True)
        return AttackConfig(**given)


# Must never change, even if the defaults do: fingerprints of stored sweeps were made with it.
FORMER_DEFAULTS: Mapping[str, str | float] = {
    "attack": "pgd",
    "epsilon": 8 / 255,
    "norm": "linf",
    "steps": 10,
    "restarts": 1,
    "samples": 200,
}


class ObjectiveSection(MeasureSection):
    """A direction and, for what an attack or a function yields, the attack or the function.

    Attributes:
        direction: ``maximize`` or ``minimize``.
        function: A function of one's own that measures the packed network, as ``module:name``.
    """

    direction: Literal["maximize", "minimize"]
    # Of a user's own: ``module:name``; see `trainers.doors`.
    function: Annotated[str | None, with_reference("functions")] = None

    @model_validator(mode="after")
    def _function_is_named(self) -> Self:
        if self.function is not None:
            resolved_reference(self.function, Path())
            spare = sorted(self.model_fields_set - {"direction", "function"})
            if spare:
                raise ValueError(f"a function takes no {', '.join(spare)}: leave that out.")
        return self


def with_own_attacks(sections: object) -> object:
    """Fill in the attack of values that one attack alone yields, and which need not name it.

    >>> with_own_attacks({"deepfool_perturbation": "maximize"})
    {'deepfool_perturbation': {'attack': 'deepfool', 'direction': 'maximize'}}
    """
    if not isinstance(sections, dict):
        return sections
    filled = dict(sections)
    for name, section in sections.items():
        # A single word under measures is the attack.
        given = with_direction(section) if section in ("maximize", "minimize") else section
        if isinstance(given, dict) and (own := _own_attack(str(name))):
            filled[name] = {"attack": own, **given}
    return filled


def _own_attack(name: str) -> str | None:
    return next((own for prefix, own in OWN_ATTACKS.items() if name.startswith(prefix)), None)


def fits_its_name(name: str, section: MeasureSection) -> None:
    """Reject an attack that cannot yield the value of this name.

    >>> fits_its_name("robust_accuracy", MeasureSection(attack="deepfool"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: robust_accuracy has attack: deepfool, ...
    """
    given = section.attack if section.attack in OWN_ATTACKS.values() else None
    if given != _own_attack(name):
        raise ValueError(
            f"{name} has attack: {section.attack}, but deepfool yields {PERTURBATION}, "
            f"corruptions yield {CORRUPTED}, and nothing else does; the other attacks yield "
            f"{ATTACKED}."
        )
    if name.startswith(MASKED) and section.attack not in ("bim", "pgd"):
        raise ValueError(
            f"{name} has attack: {section.attack}, but the checks for masked gradients vary the "
            f"steps of bim or pgd."
        )


def with_direction(value: object) -> object:
    """Convert a single word to a section with this direction.

    >>> with_direction("maximize")
    {'direction': 'maximize'}
    """
    return {"direction": value} if isinstance(value, str) else value


def with_attack(value: object) -> object:
    """Convert a single word, or a function that is one's own, to a section with this attack.

    >>> with_attack("pgd")
    {'attack': 'pgd'}
    """
    return {"attack": value} if isinstance(value, str) or callable(value) else value


def check_measured(name: str) -> str:
    """Reject a name that no trial measures.

    >>> check_measured("acuracy")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: Unknown objective 'acuracy'. Known: accuracy, backbone_bytes, ...
    """
    if quantity(name).of_front_alone:
        raise ValueError(
            f"{name} is measured of the front alone, when the sweep ends: write it under "
            f"front_measures."
        )
    if quantity(name).direction is None:
        raise ValueError(unknown("objective", name, QUANTITIES))
    return name


def _trial_measure(name: str) -> str:
    if not quantity(check_measured(name)).is_attack:
        raise ValueError(
            f"{name} is measured anyway. A measure is an attack: its name is {ATTACKED}, "
            f"{PERTURBATION} or {CORRUPTED}, with a word of its own behind it, as in "
            f"{ATTACKED}_eps2."
        )
    return name


def _front_measure(name: str) -> str:
    if not quantity(name).is_attack:
        hint = unknown("front measure", name, [q.name for q in QUANTITIES.values() if q.is_attack])
        raise ValueError(f"{hint} Each with a word of its own behind it, if there are several.")
    return name


MeasuredName = Annotated[str, AfterValidator(check_measured)]


TrialMeasureName = Annotated[str, AfterValidator(_trial_measure)]


FrontMeasureName = Annotated[str, AfterValidator(_front_measure)]

_Measure = Annotated[
    MeasureSection, BeforeValidator(with_attack, json_schema_input_type=str | MeasureSection)
]
_Objective = Annotated[
    ObjectiveSection,
    BeforeValidator(with_direction, json_schema_input_type=str | ObjectiveSection),
]
Objectives = Annotated[
    dict[MeasuredName, _Objective],
    BeforeValidator(with_own_attacks, json_schema_input_type=dict[str, _Objective]),
]
TrialMeasures = Annotated[
    dict[TrialMeasureName, _Measure],
    BeforeValidator(with_own_attacks, json_schema_input_type=dict[str, _Measure]),
]
FrontMeasures = Annotated[
    dict[FrontMeasureName, _Measure],
    BeforeValidator(with_own_attacks, json_schema_input_type=dict[str, _Measure]),
]


def with_attacks_where_possible(
    sections: dict[str, ObjectiveSection],
) -> dict[str, ObjectiveSection]:
    """Reject the settings of an attack on an objective that has none.

    >>> plain = {"accuracy": ObjectiveSection(direction="maximize")}
    >>> with_attacks_where_possible(plain) == plain
    True

    Raises:
        ValueError: Of the first such objective.
    """
    for name, section in sections.items():
        # A spec that an older version stored has defaults filled in; they mean nothing here.
        plain = ObjectiveSection(direction=section.direction).model_dump().items()
        given = section.model_dump().items() - plain - FORMER_DEFAULTS.items()
        extra = sorted(key for key, _ in given if key != "function")
        if quantity(name).is_attack:
            fits_its_name(name, section)
        elif extra:
            raise ValueError(
                f"{name} has no attack, so that {', '.join(extra)} would do nothing: write "
                f"'{name}: {section.direction}'."
            )
    return sections


def without_idle_attacks(written: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Leave the settings of an attack out of objectives that have none.

    >>> without_idle_attacks({"macs": {"direction": "minimize", "steps": 10, "function": None}})
    {'macs': {'direction': 'minimize'}}
    """
    return {
        name: {
            key: value
            for key, value in values.items()
            if (value is not None if key == "function" else quantity(name).is_attack)
            or key == "direction"
        }
        for name, values in written.items()
    }


def check_own_names(
    sections: Mapping[str, MeasureSection], taken: Mapping[str, Collection[str]]
) -> None:
    """Reject measures whose name does not fit, or is another section's already.

    >>> check_own_names({"robust_accuracy": MeasureSection()}, {"objectives": ["accuracy"]})

    Args:
        sections: The measures.
        taken: Names by the section that has them.

    Raises:
        ValueError: Of the first such measure.
    """
    for name, section in sections.items():
        fits_its_name(name, section)
        for place, names in taken.items():
            if name in names:
                raise ValueError(
                    f"{name} is under {place} already: values of different budgets never share a "
                    f"name. Give one of them a suffix of its own, as in {name}_strong."
                )
