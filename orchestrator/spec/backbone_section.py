"""The section `backbone` of a sweep file."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ValidationInfo, field_validator, model_validator

from orchestrator.spec.section import Section, with_name
from search_spaces import unknown
from trainers.config import TrialConfig
from trainers.doors import code_reference
from trainers.networks.backbone_table import (
    BACKBONES,
    WEIGHT_ENDINGS,
    WEIGHT_WORDS,
    backbone_info,
    backbone_names,
    is_weights_file,
)
from trainers.networks.brought.registry import (
    check_size,
    default_weights,
    is_brought,
)
from trainers.networks.reuse_config import ALL, JUDGED, ReuseConfig
from trainers.networks.variants import check_depth
from trainers.parameters import check_parameter

AUTO = "auto"
"""A `depth_cap` that the images decide."""
MOST_LAYERS = 1_000
"""More convolution layers than any stage has."""


def with_brought(given: object) -> object:
    """Fill in what the section leaves out of a backbone that is brought along: its weights.

    A function or a class is replaced by the reference to it.

    >>> with_brought({"name": "my_model:build"})
    {'weights': 'own', 'name': 'my_model:build'}
    """
    if not isinstance(given, Mapping) or "name" not in given:
        return given
    name = given["name"]
    if callable(name):
        name = code_reference(name)
    if not isinstance(name, str) or name in BACKBONES or not is_brought(name):
        return given
    return {"weights": default_weights(name), **given, "name": name}


class VerdictSection(Section):
    """What a judgement says of each layer; `paretune analyze reuse --format json` prints it.

    Attributes:
        backbone: The backbone that was judged.
        source_digest: SHA-256 of the weights that were judged.
        verdict: ``freeze``, ``tune`` or ``reinitialize``, by the name of the layer.
    """

    backbone: str
    source_digest: str
    verdict: dict[str, str]

    @model_validator(mode="after")
    def _is_a_verdict(self) -> Self:
        ReuseConfig(JUDGED, self.verdict)
        return self


class BackboneSection(Section):
    """The convolutional part and where its weights come from.

    Attributes:
        name: Name of the network; see docs/guides/add-a-backbone.md for others.
        weights: ``imagenet``, ``bundled`` (for digitnet), ``scratch``, or the path of a file.
        depth_cap: Convolution layers of a stage, at most, or ``auto``: what `paretune analyze
            depth` suggests for the images.
        depth_cap_as: What the cap is: a ``bound``, the default, or a ``prior`` of the parameter
            `depth`, which is then tried near the cap first.
        depth_cap_basis: Where a `depth_cap` is from; written where that was ``auto``.
        policy: Which pre-trained kernels are reused: ``all``, ``none``, or as the `verdict` says
            (``judged``).
        verdict: What `paretune analyze reuse --format json` found.
    """

    name: str
    weights: str = "imagenet"
    image_size: int | None = None
    depth: int | None = None
    depth_cap: int | Literal["auto"] | None = None
    depth_cap_as: Literal["bound", "prior"] | None = None
    depth_cap_basis: str | None = None
    depth_start: Literal["prefix", "fused"] | None = None
    width_multiplier: float | str | None = None
    policy: str | None = None
    verdict: VerdictSection | None = None

    @field_validator("policy")
    @classmethod
    def _is_a_policy(cls, policy: str | None) -> str | None:
        if policy is not None:
            check_parameter("policy", policy)
        return policy

    @model_validator(mode="after")
    def _is_of_this_backbone(self) -> Self:
        if self.verdict is not None and self.verdict.backbone != self.name:
            raise ValueError(
                f"the verdict is of {self.verdict.backbone}, and the backbone is {self.name}: "
                f"judge {self.name} with 'paretune analyze reuse'."
            )
        return self

    @property
    def reuse(self) -> ReuseConfig:
        """Which kernels trials reuse that sample no policy."""
        layers = {} if self.verdict is None else self.verdict.verdict
        return ReuseConfig(self.policy or ALL, layers)

    @model_validator(mode="before")
    @classmethod
    def _with_what_is_brought(cls, given: Any) -> Any:
        return with_brought(given)

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if is_brought(name) and name not in BACKBONES:
            backbone_info(name)
        elif name not in backbone_names():
            raise ValueError(unknown("backbone", name, backbone_names()))
        return name

    @model_validator(mode="after")
    def _fits_the_backbone(self) -> Self:
        info = backbone_info(self.name)
        if self.image_size is not None and self.image_size < info.min_image_size:
            raise ValueError(
                f"image_size is {self.image_size}, but {self.name} needs at least "
                f"{info.min_image_size} pixels."
            )
        if info.source and self.image_size is not None:
            check_size(info.name, self.image_size)
        # Without a global pool, another size would mean another number of features.
        if self.name == "digitnet" and self.image_size not in (None, info.image_size):
            raise ValueError(
                f"image_size is {self.image_size}, but digitnet sees images of {info.image_size} "
                f"by {info.image_size} pixels: leave it out."
            )
        if self.weights in WEIGHT_WORDS and self.weights not in info.weights:
            raise ValueError(
                f"there are no {self.weights} weights of {self.name}: use weights: "
                f"{', '.join(info.weights)}, or a path."
            )
        return self

    @field_validator("depth", "width_multiplier")
    @classmethod
    def _is_accepted(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            check_parameter(str(info.field_name), value)
        return value

    @model_validator(mode="after")
    def _has_stages_to_cap(self) -> Self:
        if self.depth_cap == AUTO:
            # Before images are read for a network that no cap fits.
            check_depth(backbone_info(self.name).base, None, MOST_LAYERS)
        return self

    @model_validator(mode="after")
    def _can_be_cut(self) -> Self:
        TrialConfig(backbone=self.name, weights=self.weights, **self.cut())
        return self

    def cut(self) -> dict[str, Any]:
        """Return the given depth and width by their names in `TrialConfig`."""
        names = {"depth", "depth_cap", "depth_start", "width_multiplier"}
        given = self.model_dump(include=names, exclude_none=True)
        # Known once the images are read: `orchestrator.driver.suggested_cap`.
        if self.depth_cap == AUTO or self.depth_cap_as == "prior":
            given.pop("depth_cap", None)
        return given

    def prior_problem(self, sampled: Collection[str], sampler: str) -> str:
        """Say why the cap cannot be a prior of a space's `depth`; empty if it can or is none.

        >>> section = BackboneSection(
        ...     name="cifar_resnet20", weights="scratch", depth_cap=4, depth_cap_as="prior"
        ... )
        >>> section.prior_problem(["depth"], "tpe")
        ''
        >>> section.prior_problem(["bits"], "tpe")
        'depth_cap_as is prior, but the space has no depth to be tried near the cap: change...'
        """
        if self.depth_cap_as is not None and self.depth_cap is None:
            return "depth_cap_as says what depth_cap is, and there is none: write depth_cap: auto."
        if self.depth_cap_as != "prior":
            return ""
        why = ""
        if "depth" not in sampled:
            why = "the space has no depth to be tried near the cap"
        elif "backbone" in sampled:
            why = "the space has several backbones, whose blocks have other numbers of layers"
        elif sampler == "grid":
            why = "a grid tries every depth anyway"
        elif sampler == "model":
            why = "the sampler model follows no prior, which tpe does"
        return why and f"depth_cap_as is prior, but {why}: change that, or write bound."

    @field_validator("weights")
    @classmethod
    def _is_word_or_path(cls, weights: str) -> str:
        if weights in WEIGHT_WORDS or is_weights_file(weights):
            return weights
        hint = unknown("weights", weights, WEIGHT_WORDS)
        raise ValueError(f"{hint} A path ends in {', '.join(WEIGHT_ENDINGS)}.")


Backbone = Annotated[
    BackboneSection, BeforeValidator(with_name, json_schema_input_type=str | BackboneSection)
]
