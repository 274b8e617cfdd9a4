"""Convolutions that share one kernel, after DACNN."""

from torch import nn

from trainers.networks.shapes import Shape, shared_with

_WEIGHT = ".weight"


def share_kernels(features: nn.Module) -> dict[str, str]:
    """Let all convolutions of one shape use the kernel of the first of them, in place.

    DACNN uses one kernel of a width in all its layers, each with batch norms (and biases) of its
    own, so that `L` layers of a width need the memory of one. A kernel is shared here where the
    shape of the weights is the same, whatever the stride: *mixed* sharing, within each width. The
    paper's regulators, whose form was not available, are left out. Its networks are trained
    from scratch, since pre-trained kernels differ from layer to layer.

    References:
        DACNN, 2019. https://arxiv.org/abs/1904.09764

    Args:
        features: Backbone; the kernels of all but the first convolution of a shape are dropped.

    Returns:
        The first layer by the name of each layer that now uses its kernel; also those that did
        so already.

    Raises:
        ValueError: No two convolutions have the same shape.

    >>> layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
    >>> share_kernels(layers)
    {'2': '1'}
    >>> layers[2].weight is layers[1].weight, sum(each.numel() for each in layers.parameters())
    (True, 192)
    """
    layers = {
        f"{name}{_WEIGHT}": layer
        for name, layer in features.named_modules()
        if isinstance(layer, nn.Conv2d)
    }
    shapes: dict[str, Shape] = {name: tuple(layer.weight.shape) for name, layer in layers.items()}
    shared = shared_with(shapes)
    for name, first in shared.items():
        layers[name].weight = layers[first].weight
    return {
        name.removesuffix(_WEIGHT): first.removesuffix(_WEIGHT) for name, first in shared.items()
    }
