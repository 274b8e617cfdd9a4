"""Numbers of channels of a backbone's layers that differ from those of its architecture."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Sizes = Mapping[str, tuple[int, ...]]
"""By the name of a layer: channels of a batch norm, or outputs and inputs of a convolution."""

_NARROWED = (nn.Conv2d, nn.BatchNorm2d)


def layer_sizes(features: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the sizes of every convolution and batch norm.

    >>> layer_sizes(nn.Sequential(nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8)))
    {'0': (8, 3), '1': (8,)}
    """
    return {
        name: tuple(layer.get_parameter("weight").shape[:2])
        for name, layer in features.named_modules()
        if isinstance(layer, _NARROWED)
    }


def narrow(features: nn.Module, sizes: Sizes) -> None:
    """Reduce layers to these sizes, in place, so that the weights of narrower ones fit.

    Raises:
        ValueError: A layer is not there, or not larger.

    >>> features = nn.Sequential(nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8))
    >>> narrow(features, {"0": (4, 3), "1": (4,)})
    >>> layer_sizes(features)
    {'0': (4, 3), '1': (4,)}
    """
    known = layer_sizes(features)
    for name, size in sizes.items():
        before = known.get(name, ())
        pairs = list(zip(size, before, strict=False))
        if len(size) != len(before) or not all(0 < new <= old for new, old in pairs):
            raise ValueError(f"{name} was narrowed to {size}, and its layer has {before}")
        _reduce(features.get_submodule(name), size)


def _reduce(layer: nn.Module, size: tuple[int, ...]) -> None:
    for name, tensor in [*layer.named_parameters(), *layer.named_buffers()]:
        if tensor.ndim:
            setattr(layer, name, _cut(tensor, size))
    if isinstance(layer, nn.BatchNorm2d):
        layer.num_features = size[0]
    elif isinstance(layer, nn.Conv2d):
        # A depthwise convolution has a group for each channel; others have one.
        layer.groups = size[0] if layer.groups > 1 else 1
        layer.out_channels, layer.in_channels = size[0], size[1] * layer.groups


def _cut(tensor: Tensor, size: tuple[int, ...]) -> Tensor:
    cut = tensor.detach()[tuple(slice(end) for end in size[: tensor.ndim])].clone()
    return nn.Parameter(cut) if isinstance(tensor, nn.Parameter) else torch.as_tensor(cut)
