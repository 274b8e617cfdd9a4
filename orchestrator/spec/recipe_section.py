"""The recipe of a training as a part of the section ``training`` of a sweep file."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ValidationInfo, field_validator, model_validator

from orchestrator.spec.section import Section
from search_spaces import Choice, SearchSpace
from trainers.parameters import check_parameter
from trainers.recipes.config import RECIPE_NAMES, RecipeConfig


def _as_text(value: object) -> object:
    """Convert a list of augmentations to its text form."""
    if not isinstance(value, list):
        return value
    return ", ".join(map(_item, value))


def _item(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((name, amount),) = value.items()
        if not isinstance(amount, bool) and isinstance(amount, int | float):
            return f"{name}:{amount:g}"
    raise ValueError(
        f"augment: {value!r} is neither a name nor a name with a number: write for example "
        f"'augment: [flip, {{rotation: 10}}]'."
    )


def _as_numbers(value: object) -> object:
    """Convert a list of class weights to numbers with a point."""
    if not isinstance(value, list):
        return value
    return [float(each) if type(each) is int else each for each in value]


class RecipeSection(Section):
    """What is trained how; keys that are left out have the defaults of `RecipeConfig`."""

    augment: (
        Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | list[Any])] | None
    ) = None
    views: int | None = None
    erasing: float | None = None
    mixup: float | None = None
    cutmix: float | None = None
    schedule: str | None = None
    warmup: float | None = None
    momentum: float | None = None
    clip: float | None = None
    ema: float | None = None
    backbone_rate_factor: float | None = None
    layer_decay: float | None = None
    freeze_batch_norm: bool | None = None
    class_weights: (
        Annotated[
            str | list[float],
            BeforeValidator(_as_numbers),
        ]
        | None
    ) = None
    balanced_sampling: bool | None = None
    precision: str | None = None
    parts: int | None = None
    compile: bool | None = None
    best: bool | None = None
    patience: int | None = None

    @field_validator("*")
    @classmethod
    def _is_accepted(cls, value: Any, info: ValidationInfo) -> Any:
        # The recipe itself says more of a wrong augmentation.
        if value is not None and not isinstance(value, list) and info.field_name != "augment":
            check_parameter(str(info.field_name), value)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self.recipe()
        return self

    def recipe(self) -> RecipeConfig:
        """Build the recipe for `trainers`."""
        given = self.model_dump(include=set(RECIPE_NAMES), exclude_none=True)
        return RecipeConfig.from_mapping(given)


def momentum_problem(space: SearchSpace, training: Mapping[str, object]) -> str:
    """Say why a momentum would do nothing; empty if there is none, or an optimizer that reads it.

    Args:
        space: The search space.
        training: The settings that all trials share, as in a sweep file.

    >>> space = SearchSpace({"momentum": Choice((0.8, 0.9))})
    >>> momentum_problem(space, {"optimizer": "sgd"})
    ''
    >>> momentum_problem(space, {"optimizer": "adamw"})
    "momentum is for sgd, and no trial has it: ..."
    """
    domain = space.domains.get("optimizer")
    possible = domain.values() if isinstance(domain, Choice) else ()
    given = "momentum" in space.domains or training.get("momentum") is not None
    if not given or "sgd" in (*possible, training.get("optimizer")):
        return ""
    return (
        "momentum is for sgd, and no trial has it: write 'training: {optimizer: sgd}', sample the "
        "optimizer, or leave momentum out."
    )
