"""Residual networks for images of 32 by 32 pixels: 20 to 56 layers, three stages, few weights.

After He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2015, section 4.2
(https://arxiv.org/abs/1512.03385): 6n + 2 layers, the last one being the classifier. Tensors are
named as torchvision names those of its ResNets, and as most published checkpoints do.
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

_STAGES = (16, 32, 64)
_PREFIX = "cifar_resnet"


def is_cifar_resnet(name: str) -> bool:
    """Return whether the name of a backbone is that of a CIFAR ResNet.

    >>> is_cifar_resnet("cifar_resnet20"), is_cifar_resnet("resnet18")
    (True, False)
    """
    return name.startswith(_PREFIX)


def cifar_resnet_features(name: str) -> nn.Sequential:
    """Build the convolutional part: (N, 3, H, W) to flat features (N, 64), with random weights.

    Args:
        name: `cifar_resnet` and the number of layers, 6n + 2.

    >>> features = cifar_resnet_features("cifar_resnet20")
    >>> sum(each.numel() for each in features.parameters())  # He et al. give 0.27 million
    269072
    """
    blocks_a_stage = (int(name.removeprefix(_PREFIX)) - 2) // 6
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, _STAGES[0], 3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(_STAGES[0]),
        relu=nn.ReLU(inplace=True),
    )
    channels = _STAGES[0]
    for index, width in enumerate(_STAGES, start=1):
        first = _BasicBlock(channels, width)
        others = [_BasicBlock(width, width) for _ in range(blocks_a_stage - 1)]
        parts[f"layer{index}"] = nn.Sequential(first, *others)
        channels = width
    parts["avgpool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    features = nn.Sequential(parts)
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d):
            # The initialisation of the paper, which is not torch's default.
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return features


def cifar_resnet_blocks(features: nn.Sequential) -> list[nn.Module]:
    """Return the stem and each residual block, from input to output.

    >>> len(cifar_resnet_blocks(cifar_resnet_features("cifar_resnet8")))
    4
    """
    parts = dict(features.named_children())
    stem = nn.Sequential(parts["conv1"], parts["bn1"])
    stages = (parts[f"layer{index}"] for index in range(1, len(_STAGES) + 1))
    return [stem, *(block for stage in stages for block in stage.children())]


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut without parameters (option A of the paper).

    Where the channels double, height and width are halved: the shortcut takes every second pixel
    and adds channels of zeros, half of them before and half after its own. The paper does not say
    where they go; this is where published weights have them.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        stride = 1 if width == channels else 2
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, width, ceil(H / stride), ceil(W / stride))."""
        residual = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(residual)) + self.shortcut(x))

    def shortcut(self, x: Tensor) -> Tensor:
        """Return the input in the shape of the output."""
        (step, _), added = self.conv1.stride, self.conv2.out_channels - self.conv1.in_channels
        if step == 1:
            return x
        # The numbers of channels of a scaled network may differ by an odd one.
        before = added // 2
        return functional.pad(x[:, :, ::step, ::step], (0, 0, 0, 0, before, added - before))
