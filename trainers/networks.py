"""A backbone and a head, as one network on raw pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

from trainers.backbones.building import Backbone, build_backbone, input_spec
from trainers.backbones.table import backbone_info
from trainers.heads import build_head
from trainers.inputs import InputSpec, InputTransform

__all__ = [
    "InputSpec",
    "InputTransform",
    "Network",
    "NetworkSpec",
    "assemble_network",
    "build_network",
    "network_from_spec",
    "spec_of",
    "tuned_blocks",
]


@dataclass(frozen=True)
class NetworkSpec:
    """The architecture of a network, without its weights.

    Attributes:
        backbone: Name of the backbone.
        input: What the backbone wants to see.
        n_features: Inputs of the head.
        widths: Hidden widths of the head.
        classes: Outputs of the head.
    """

    backbone: str
    input: InputSpec
    n_features: int
    widths: tuple[int, ...]
    classes: int

    def as_mapping(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `from_mapping` is the inverse."""
        return {
            "backbone": self.backbone,
            "input": self.input.as_mapping(),
            "n_features": self.n_features,
            "widths": list(self.widths),
            "classes": self.classes,
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "NetworkSpec":
        """The spec that `as_mapping` described."""
        return cls(
            backbone=str(mapping["backbone"]),
            input=InputSpec.from_mapping(mapping["input"]),
            n_features=int(mapping["n_features"]),
            widths=tuple(int(width) for width in mapping["widths"]),
            classes=int(mapping["classes"]),
        )


class Network(nn.Module):
    """Pixels in [0, 1] to logits: `head(features(prepare(pixels)))`.

    What is frozen stays in eval mode whatever `train()` is told, so that the statistics of a
    frozen batch norm never move. The state dict holds `features.*` and `head.*` alone.

    Attributes:
        spec: The architecture.
        prepare: The input transform; it has no parameters and no buffers.
        features: The convolutional part.
        head: The fully connected part.
        blocks: Parts of `features` from input to output.
    """

    def __init__(self, spec: NetworkSpec, backbone: Backbone, head: nn.Sequential) -> None:
        super().__init__()
        self.spec = spec
        self.prepare = InputTransform(spec.input)
        self.features = backbone.features
        self.head = head
        # A plain list: these modules are children of `features`, and must not be so twice.
        self.blocks = backbone.blocks
        self._tune = "all"

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, classes) of float pixels (N, C, H, W) in [0, 1]."""
        logits: Tensor = self.head(self.feature_vectors(pixels))
        return logits

    def feature_vectors(self, pixels: Tensor) -> Tensor:
        """What the head sees of the pixels: float (N, n_features)."""
        vectors: Tensor = self.features(self.prepare(pixels))
        return vectors

    def set_trainable(self, tune: str) -> list[nn.Parameter]:
        """Freeze everything that `tune` does not name.

        Args:
            tune: `head`, `last_blocks:N` (the head and the last N blocks) or `all`.

        Returns:
            The parameters to train; they alone require a gradient.

        Raises:
            ValueError: `tune` is unknown, or N is not in 1 to the number of blocks.
        """
        count = tuned_blocks(tune, len(self.blocks))
        self._tune = tune
        self.requires_grad_(requires_grad=False)
        for part in (self.features if tune == "all" else None, *self._last(count), self.head):
            if part is not None:
                part.requires_grad_(requires_grad=True)
        self.train(self.training)
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's signature
        """Switch to training mode, but for what is frozen."""
        super().train(mode)
        if self._tune != "all":
            self.features.train(mode=False)
            for block in self._last(tuned_blocks(self._tune, len(self.blocks))):
                block.train(mode)
        return self

    def _last(self, count: int) -> list[nn.Module]:
        return self.blocks[len(self.blocks) - count :]


def tuned_blocks(tune: str, n_blocks: int) -> int:
    """How many of a backbone's blocks `tune` trains: 0 for `head`, all for `all`.

    Raises:
        ValueError: `tune` is unknown, or its N is not in 1 to `n_blocks`.
    """
    if tune in ("head", "all"):
        return 0 if tune == "head" else n_blocks
    kind, _, number = tune.partition(":")
    if kind != "last_blocks" or not (number.isascii() and number.isdigit()):
        raise ValueError(
            f"tune is {tune!r}; known are head, last_blocks:N (say, 2 for N) and all."
        )
    if not 1 <= int(number) <= n_blocks:
        raise ValueError(
            f"tune is {tune!r}, and this backbone has {n_blocks} blocks: N goes from 1 to "
            f"{n_blocks}."
        )
    return int(number)


def build_network(
    backbone: str,
    *,
    weights: str,
    widths: Sequence[int],
    classes: int,
    dropout: float = 0.0,
    seed: int = 0,
) -> Network:
    """Build a backbone and put a new head on it.

    Args:
        backbone: One of `backbone_names()` or an alias.
        weights: As `build_backbone` takes them.
        widths: Hidden widths of the head, 0 to 3 of them.
        classes: How many there are to tell apart.
        dropout: In the head, in [0, 1).
        seed: Decides the head, and the backbone if it is built from scratch.

    Raises:
        ValueError: A name or a value is out of range.
        WeightsError: The weights are absent, broken or of another architecture.
    """
    parts = build_backbone(backbone, weights, seed=seed)
    return assemble_network(parts, widths, classes, dropout=dropout, seed=seed)


def assemble_network(
    backbone: Backbone,
    widths: Sequence[int],
    classes: int,
    *,
    dropout: float = 0.0,
    seed: int = 0,
) -> Network:
    """Put a new head on a backbone that is there already; arguments as in `build_network`."""
    head = build_head(backbone.n_features, widths, classes, dropout, seed=seed)
    spec = NetworkSpec(backbone.name, backbone.input, backbone.n_features, tuple(widths), classes)
    return Network(spec, backbone, head)


def spec_of(
    backbone: str, widths: Sequence[int], classes: int, *, image_size: int | None = None
) -> NetworkSpec:
    """The spec that `assemble_network` would give, without building anything.

    Raises:
        ValueError: There is no such backbone, or `image_size` is too small for it.
    """
    info = backbone_info(backbone)
    spec = input_spec(info, image_size)
    return NetworkSpec(info.name, spec, info.n_features, tuple(widths), classes)


def network_from_spec(spec: NetworkSpec) -> Network:
    """The network of a spec with weights that mean nothing, to be loaded or to be measured.

    Under `torch.device("meta")` it takes no memory and no time.
    """
    backbone = build_backbone(spec.backbone, "scratch", image_size=spec.input.height)
    head = build_head(spec.n_features, spec.widths, spec.classes)
    return Network(spec, backbone, head)
