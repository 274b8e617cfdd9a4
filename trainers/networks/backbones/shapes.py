"""Shapes of the tensors of built networks, in the form of `trainers.networks.shapes`."""

from functools import lru_cache

from torch import nn

from trainers.networks.backbones.building import build_backbone
from trainers.networks.conv_layers import conv_layers
from trainers.networks.meta import without_memory
from trainers.networks.shapes import BackboneShapes, Shape, TensorShapes, is_counter
from trainers.quantization.plan import weight_kinds


def stored_shapes(network: nn.Module) -> dict[str, Shape]:
    """Return the shapes of the tensors of a packed network, in the order of the state dict.

    A tensor that several layers share is named once, by the first of them.

    >>> stored_shapes(nn.Linear(3, 2))
    {'weight': (2, 3), 'bias': (2,)}
    """
    seen = set[int]()
    shapes = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        if not is_counter(name) and id(tensor) not in seen:
            shapes[name] = tuple(tensor.shape)
        seen.add(id(tensor))
    return shapes


@lru_cache(maxsize=32)
def backbone_shapes(name: str) -> BackboneShapes:
    """Compute the shapes that determine the sizes of all networks with this backbone.

    Raises:
        ValueError: There is no such backbone.

    >>> backbone_shapes("digitnet").params
    71792
    """
    with without_memory():
        backbone = build_backbone(name, "scratch")
    whole = nn.ModuleDict({"features": backbone.features})
    tensors = TensorShapes(stored_shapes(whole), weight_kinds(whole))
    counts = (sum(p.numel() for p in block.parameters()) for block in backbone.blocks)
    learnable = {name: p.numel() for name, p in backbone.features.named_parameters()}
    layers = {
        layer.name: sum(learnable.get(name, 0) for name in layer.tensors)
        for layer in conv_layers(backbone.features)
    }
    return BackboneShapes(tensors, tuple(counts), layers)
