"""Layers of a backbone: a convolution each, with the norms that follow it, by parameter group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from trainers.quantization.plan import CONVOLUTIONS

GROUPS = ("conv_weight", "conv_bias", "norm_affine", "norm_statistics")
"""Parameter groups of a layer: those that Wang et al. 2020 (arXiv 2008.03414) tell apart."""


@dataclass(frozen=True, slots=True)
class ConvLayer:
    """One convolution, and the norms between it and the next one.

    Attributes:
        name: Name of the convolution's module within the backbone.
        norms: Names of the norms' modules.
        groups: Tensor names by parameter group; groups without a tensor are left out.
    """

    name: str
    norms: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of its modules, the convolution first."""
        return (self.name, *self.norms)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of all its tensors."""
        return tuple(name for names in self.groups.values() for name in names)


def conv_layers(features: nn.Module) -> tuple[ConvLayer, ...]:
    """List the layers of a backbone in the order in which they are registered.

    A norm belongs to the convolution before it, so that a layer can be moved as a whole.

    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 1))
    >>> [(layer.name, layer.norms) for layer in conv_layers(net)]
    [('0', ('1',)), ('3', ())]
    """
    found: list[tuple[str, list[str]]] = []
    for name, module in features.named_modules():
        if isinstance(module, CONVOLUTIONS):
            found.append((name, []))
        elif found and isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001
            found[-1][1].append(name)
    state = features.state_dict()
    return tuple(
        ConvLayer(name, tuple(norms), _groups(name, norms, state)) for name, norms in found
    )


def _groups(
    name: str, norms: Sequence[str], state: Mapping[str, Tensor]
) -> dict[str, tuple[str, ...]]:
    candidates = {
        "conv_weight": [f"{name}.weight"],
        "conv_bias": [f"{name}.bias"],
        "norm_affine": [f"{norm}.{part}" for norm in norms for part in ("weight", "bias")],
        "norm_statistics": [
            f"{norm}.{part}" for norm in norms for part in ("running_mean", "running_var")
        ],
    }
    there = {group: [key for key in keys if key in state] for group, keys in candidates.items()}
    return {group: tuple(keys) for group, keys in there.items() if keys}


@torch.no_grad()
def transplant(features: nn.Module, state: Mapping[str, Tensor], names: Sequence[str]) -> None:
    """Copy the named tensors of a state dict into a backbone of the same architecture.

    Raises:
        ValueError: A tensor is absent or of another shape; the message names it and both shapes.

    >>> source, target = nn.Linear(2, 2), nn.Linear(2, 2)
    >>> transplant(target, source.state_dict(), ["weight"])
    >>> torch.equal(target.weight, source.weight), torch.equal(target.bias, source.bias)
    (True, False)
    """
    targets = features.state_dict()
    for name in names:
        ours, theirs = targets.get(name), state.get(name)
        if ours is None or theirs is None or ours.shape != theirs.shape:
            shapes = ["absent" if t is None else tuple(t.shape) for t in (theirs, ours)]
            raise ValueError(
                f"the tensor {name} cannot be transplanted: it is {shapes[0]} in the source and "
                f"{shapes[1]} in the target. Both need the same architecture."
            )
        ours.copy_(theirs)
