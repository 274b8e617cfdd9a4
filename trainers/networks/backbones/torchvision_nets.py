"""torchvision's networks without their classifiers, under torchvision's own tensor names."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
import torchvision.models
from torch import Tensor, nn

from trainers.networks.backbones.cutting import split_after
from trainers.networks.brought.probing import found_blocks

# Their blocks are lists of lists of layers.
_FOUND = ("convnext", "mnasnet", "regnet", "shufflenet")


def torchvision_features(name: str) -> nn.Sequential:
    """Build the convolutional part of a network, flat at the end, with random weights.

    Its state dict is that of `torchvision.models.<name>()` without the classifier's tensors.

    >>> with torch.device("meta"):
    ...     features = torchvision_features("squeezenet1_1")
    >>> features[-1]
    Flatten(start_dim=1, end_dim=-1)
    """
    model = _built(name)
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        (key, child) for key, child in model.named_children() if key not in ("classifier", "fc")
    )
    # What torchvision computes in `forward` rather than in a child module, or in its classifier.
    if name.startswith("convnext"):
        parts["classifier"] = nn.Sequential(next(model.get_submodule("classifier").children()))
    if name.startswith("densenet"):
        parts["relu"] = nn.ReLU(inplace=True)
    if "avgpool" not in parts:
        parts["avgpool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    return nn.Sequential(parts)


def _built(name: str) -> nn.Module:
    if not name.startswith("regnet"):
        model: nn.Module = getattr(torchvision.models, name)(weights=None)
        return model
    device = torch.empty(0).device
    # Its widths are computed with tensors, which the meta device does not allow.
    with torch.device("cpu"):
        model = getattr(torchvision.models, name)(weights=None)
    return model.to(device)


def torchvision_blocks(name: str, features: nn.Sequential) -> list[nn.Module]:
    """Return the parts of a network that `last_blocks:N` counts, from input to output.

    VGG: the stages between pools. AlexNet: its convolutions. ResNet, ResNeXt: the stem and each
    residual block. DenseNet: the stem and each dense block with what follows it. MobileNet,
    EfficientNet, SqueezeNet: each child of `features` that has parameters. Others: as
    `found_blocks` finds them.

    >>> with torch.device("meta"):
    ...     features = torchvision_features("vgg11")
    >>> len(torchvision_blocks("vgg11", features))
    5
    """
    parts = dict(features.named_children())
    if name.startswith("resn"):
        stem = nn.Sequential(parts["conv1"], parts["bn1"])
        stages = (parts[f"layer{index}"] for index in range(1, 5))
        return [stem, *(block for stage in stages for block in stage.children())]
    if name.startswith(_FOUND):
        return found_blocks(features)
    body = parts["features"]
    if name.startswith("vgg"):
        return split_after(body, nn.MaxPool2d)
    if name.startswith("densenet"):
        return _densenet_blocks(body)
    return [child for child in body.children() if any(True for _ in child.parameters())]


def _densenet_blocks(body: nn.Module) -> list[nn.Module]:
    groups: list[list[nn.Module]] = [[]]
    for key, layer in body.named_children():
        if key.startswith("denseblock"):
            groups.append([])
        groups[-1].append(layer)
    return [nn.Sequential(*group) for group in groups]


def imagenet_state(name: str) -> Mapping[str, Tensor]:
    """Load torchvision's best ImageNet weights for `name`; download them if not cached.

    Raises:
        OSError: They could not be downloaded.
        RuntimeError: What was downloaded has a wrong checksum.
    """
    weights: Any = torchvision.models.get_model_weights(name).DEFAULT
    state: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    return state


def imagenet_file(name: str) -> tuple[Path, str, float | None]:
    """Locate torchvision's best ImageNet weights for `name`: its cache file and its URL.

    Returns:
        The file, which need not exist, its URL, and its size in units of 2^20 bytes, if
        torchvision gives it.

    >>> imagenet_file("resnet18")[0].name
    'resnet18-f37072fd.pth'
    """
    weights: Any = torchvision.models.get_model_weights(name).DEFAULT
    file = Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(weights.url).path).name)
    return file, weights.url, weights.meta.get("_file_size")
