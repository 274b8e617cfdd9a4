"""The section `sampler` of a sweep file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, field_validator

from orchestrator.spec.section import Section, with_kind, with_reference
from search_spaces import unknown
from trainers.doors import is_reference, resolved_reference

SAMPLER_KINDS = ("auto", "tpe", "nsga2", "gp", "random", "model", "grid")
OBJECT = "object:"
"""Begins the kind of a sampler that was passed to `run` as an object."""


class SamplerSection(Section):
    """The sampler, which proposes configurations: one of ours, or code of a user's own.

    Attributes:
        kind: ``tpe``, ``nsga2``, ``gp`` and ``model`` learn from what was measured. ``model`` also
            uses the sizes that are known before training and, where the sweep's time is limited,
            what trials took; ``auto`` is ``model``, or ``tpe`` for a space with conditions.
            ``random`` does not learn, and ``grid`` tries every configuration of a finite space. Or
            ``module:name``, a sampler of one's own or one of Optuna's.
        options: Arguments of the sampler, by their names.
    """

    kind: Annotated[str, with_reference("samplers", ours=SAMPLER_KINDS)] = "tpe"
    options: dict[str, Any] | None = None

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind.startswith(OBJECT):
            return kind
        if is_reference(kind):
            resolved_reference(kind, Path())
        elif kind not in SAMPLER_KINDS:
            raise ValueError(unknown("sampler", kind, SAMPLER_KINDS))
        return kind

    @field_validator("options")
    @classmethod
    def _can_be_stored(cls, options: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            json.dumps(options, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError(
                f"options are {options!r:.200}; numbers, words, yes and no, and lists of them can "
                f"be stored with a sweep. Set other arguments in a function of your own: kind: "
                f"'my_sampler:make'."
            ) from None
        return options or None

    @property
    def given(self) -> Mapping[str, Any]:
        """The options; empty if there are none."""
        return self.options or {}


Sampler = Annotated[
    SamplerSection, BeforeValidator(with_kind, json_schema_input_type=str | SamplerSection)
]
