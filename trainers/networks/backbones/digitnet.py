"""digitnet: a small VGG-style network that ships with pre-trained weights.

After Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", 2015, section 2.1 (https://arxiv.org/abs/1409.1556): stacks of two 3x3 convolutions
between pools, here three stacks of 16, 32 and 64 channels on 28x28 grey pixels.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from trainers.networks.backbones.cutting import split_after

_STAGES = (16, 32, 64)
# Convolution, (batch norm,) ReLU, twice; then the pool.
_CONVOLUTIONS_A_STAGE = 2


def digitnet_features(*, batch_norm: bool = False) -> nn.Sequential:
    """Build the convolutional part: (N, 1, 28, 28) to flat features (N, 576).

    Args:
        batch_norm: Whether to add batch norms, as in training. The bundled form has none; `folded`
            makes it.

    >>> sum(each.numel() for each in digitnet_features().parameters())
    71792
    """
    layers: list[nn.Module] = []
    channels = 1
    for width in _STAGES:
        for _ in range(_CONVOLUTIONS_A_STAGE):
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            channels = width
        layers.append(nn.MaxPool2d(2))
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            # Without this initialization the form without batch norm does not train from scratch.
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.get_parameter("bias"))
    return nn.Sequential(*layers, nn.Flatten())


def digitnet_blocks(features: nn.Sequential) -> list[nn.Module]:
    """Return the three stages, from input to output.

    >>> len(digitnet_blocks(digitnet_features()))
    3
    """
    return split_after(features, nn.MaxPool2d)


def folded(features: nn.Module) -> nn.Sequential:
    """Fold the batch norms into the convolutions; the result equals `features` in eval mode.

    Args:
        features: `digitnet_features(batch_norm=True)`, trained; afterwards it is in eval mode.
    """
    with torch.device("meta"):
        plain = digitnet_features()
    layers = list(features.eval().children())
    fused = [
        fuse_conv_bn_eval(layer, following)
        for layer, following in pairwise(layers)
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d)
    ]
    targets = [layer for layer in plain if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        for target, source in zip(targets, fused, strict=True):
            target.load_state_dict(source.state_dict(), assign=True)
    return plain.eval()
