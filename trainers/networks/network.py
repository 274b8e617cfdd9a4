"""A backbone and a head, as one network on raw pixels."""

from collections.abc import Collection, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from trainers.doors import FOREIGN_ERRORS, is_raised_here
from trainers.networks.backbones.building import Backbone, build_backbone
from trainers.networks.brought.facts import failed_call
from trainers.networks.brought.registry import is_brought
from trainers.networks.heads import build_head
from trainers.networks.inputs import InputTransform
from trainers.networks.narrowing import narrow
from trainers.networks.sharing import share_kernels
from trainers.networks.spec import InputSpec, NetworkSpec, spec_of, tuned_blocks

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


class Network(nn.Module):
    """Pixels in [0, 1] to logits: `head(features(prepare(pixels)))`.

    Frozen parts stay in eval mode even after `train()`, so that the running statistics of a
    frozen batch norm never change. The state dict holds only `features.*` and `head.*`.

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
        # A plain list: these modules are children of `features`, and must not be registered twice.
        self.blocks = backbone.blocks
        self._tune = "all"
        self._frozen: list[nn.Module] = []
        self.lay_out()

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute logits (N, classes) of float pixels (N, C, H, W) in [0, 1]."""
        logits: Tensor = self.head(self.feature_vectors(pixels))
        return logits

    def feature_vectors(self, pixels: Tensor) -> Tensor:
        """Compute the inputs of the head from pixels: float (N, n_features)."""
        return self.vectors_of(self.prepare(pixels))

    def vectors_of(self, prepared: Tensor) -> Tensor:
        """Compute the inputs of the head from pixels that the backbone takes as they are.

        Raises:
            BroughtError: A backbone that is brought along raised; the message says where.
        """
        try:
            vectors: Tensor = self.features(prepared)
        except FOREIGN_ERRORS as error:
            # What ends a pass on purpose, or is a sentence of ours, stays as it is.
            if not is_brought(self.spec.backbone) or is_raised_here(error):
                raise
            mode = "train" if self.features.training else "eval"
            raise failed_call(self.spec.backbone, mode, prepared.shape, error) from error
        return vectors

    def lay_out(self) -> None:
        """Bring new weights of `features` into the layout that all networks share.

        That is channels last, in which most convolutions are faster, also on a CPU.
        """
        self.features.to(memory_format=torch.channels_last)

    def set_trainable(self, tune: str, *, frozen: Collection[str] = ()) -> list[nn.Parameter]:
        """Freeze everything that `tune` does not name.

        Args:
            tune: `head`, `last_blocks:N` (the head and the last N blocks) or `all`.
            frozen: Names of modules of the backbone that stay as they are all the same.

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
        self._frozen = [self.features.get_submodule(name) for name in frozen]
        for module in self._frozen:
            module.requires_grad_(requires_grad=False)
        self.train(self.training)
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's signature
        """Switch to training mode, except for frozen parts."""
        super().train(mode)
        if self._tune != "all":
            self.features.train(mode=False)
            for block in self._last(tuned_blocks(self._tune, len(self.blocks))):
                block.train(mode)
        for module in self._frozen:
            module.train(mode=False)
        return self

    def _last(self, count: int) -> list[nn.Module]:
        return self.blocks[len(self.blocks) - count :]


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
        classes: Number of classes.
        dropout: In the head, in [0, 1).
        seed: Decides the head, and the backbone if it is built from scratch.

    Raises:
        ValueError: A name or a value is out of range.
        WeightsError: The weights are absent, broken or of another architecture.

    >>> network = build_network("digitnet", weights="scratch", widths=(16,), classes=10)
    >>> network(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
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
    """Put a new head on an existing backbone; arguments as in `build_network`.

    >>> network = assemble_network(build_backbone("digitnet", "scratch"), (), 10)
    >>> [tuple(each.shape) for each in network.head.parameters()]
    [(10, 576), (10,)]
    """
    head = build_head(backbone.n_features, widths, classes, dropout, seed=seed)
    spec = NetworkSpec(backbone.name, backbone.input, backbone.n_features, tuple(widths), classes)
    return Network(spec, backbone, head)


def network_from_spec(spec: NetworkSpec) -> Network:
    """Build the network of a spec with arbitrary weights, to be replaced or only to be sized.

    Under `torch.device("meta")` it takes no memory and hardly any time.

    >>> from trainers.networks.spec import spec_of
    >>> spec = spec_of("digitnet", (16,), 10)
    >>> network_from_spec(spec).spec == spec
    True
    """
    backbone = build_backbone(spec.backbone, "scratch", image_size=spec.input.height)
    narrow(backbone.features, dict(spec.narrowed))
    if spec.shared_kernels:
        share_kernels(backbone.features)
    head = build_head(spec.n_features, spec.widths, spec.classes)
    return Network(spec, backbone, head)
