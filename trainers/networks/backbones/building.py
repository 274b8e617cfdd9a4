"""Build a backbone from its name and a source of weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from trainers.determinism import borrowed_generators, derive_seed
from trainers.doors import DoorError
from trainers.errors import WeightsError
from trainers.networks.backbone_table import (
    BackboneInfo,
    backbone_info,
    bundled_file,
    refuse_unknown,
)
from trainers.networks.backbones.cifar_resnet import (
    cifar_resnet_blocks,
    cifar_resnet_features,
    is_cifar_resnet,
)
from trainers.networks.backbones.cutting import resized
from trainers.networks.backbones.digitnet import digitnet_blocks, digitnet_features
from trainers.networks.backbones.fusing import fuse_dropped
from trainers.networks.backbones.weight_files import load_features, read_state
from trainers.networks.brought.registry import brought_blocks, brought_features
from trainers.networks.meta import without_memory
from trainers.networks.spec import InputSpec, input_spec

# Where networks keep their classifiers: torchvision's, published CIFAR ResNets', timm's.
_CLASSIFIERS = ("classifier.", "fc.", "linear.", "head.")


@dataclass(frozen=True, eq=False)
class Backbone:
    """The convolutional part of a network.

    Attributes:
        name: One of `backbone_names()`.
        features: Prepared images (N, C, H, W) to flat features (N, n_features).
        n_features: Inputs of the first fully connected layer.
        blocks: Parts of `features` from input to output, which together hold every parameter.
        input: Input that `features` expects.
        reference_widths: Hidden widths of the full-size head.
    """

    name: str
    features: nn.Module
    n_features: int
    blocks: list[nn.Module]
    input: InputSpec
    reference_widths: tuple[int, ...]


def build_backbone(
    name: str,
    weights: str,
    *,
    seed: int = 0,
    image_size: int | None = None,
    depth_start: str = "prefix",
) -> Backbone:
    """Build a backbone in float32, on the CPU.

    From scratch it is on the default device, so that it can be sized on `torch.device("meta")`.

    Args:
        name: One of `backbone_names()`, an alias, or a variant (`trainers.networks.variants`).
        weights: `scratch` (random by `seed`), `bundled` (digitnet), `imagenet` (torchvision's
            best, downloaded if not cached), `own` (what a user's own function returns),
            `pretrained` (timm's, downloaded if not cached), or the path of a file that
            `read_state` reads, with the state dict of the backbone or of the whole network, whose
            classifier is then ignored.
        seed: For `scratch` alone; the global generators are left as they were.
        image_size: Side in pixels that images are resized to; default: the one at which the
            pre-trained weights were measured. The number of features is the same at any size.
        depth_start: What a cut network begins with: `prefix` for the weights of the layers that
            are kept, or `fused` (`trainers.networks.backbones.fusing`).

    Raises:
        ValueError: There is no such backbone, or `image_size` is too small for it.
        WeightsError: The weights are absent, broken or of another architecture.

    >>> backbone = build_backbone("digitnet", "scratch", seed=1)
    >>> backbone.n_features, backbone.input.height
    (576, 28)
    """
    info = backbone_info(name)
    spec = input_spec(info, image_size)
    if info.source:
        features, blocks = _brought(info, weights, seed)
        return Backbone(info.name, features, info.n_features, blocks, spec, info.reference_widths)
    if weights == "scratch":
        with borrowed_generators():
            torch.manual_seed(derive_seed(seed, "backbone", info.base))
            features = resized(_features(info.base), info)
    elif info.width != 1:
        raise WeightsError(
            f"{info.name} is wider or narrower than {info.base}, and the weights {weights} fit "
            f"{info.base} alone: use weights: scratch."
        )
    else:
        features = _loaded_features(info, weights)
        if depth_start == "fused":
            fuse_dropped(features, info)
        features = resized(features, info)
    blocks = _blocks(info.base, features)
    return Backbone(info.name, features, info.n_features, blocks, spec, info.reference_widths)


def _brought(info: BackboneInfo, weights: str, seed: int) -> tuple[nn.Module, list[nn.Module]]:
    """Build a backbone that is brought along, and load weights of a file into it."""
    refuse_unknown(info, weights)
    drawn = derive_seed(seed, "backbone", info.name) if weights == "scratch" else 0
    word = weights if weights in info.weights else "scratch"
    try:
        features = brought_features(info.source, seed=drawn, weights=word)
    except DoorError as error:
        raise WeightsError(str(error)) from error
    if weights not in info.weights:
        path = Path(weights).expanduser()
        _load(features, read_state(path), f"weights file {path}")
    return features, brought_blocks(info.source, features)


def _features(name: str) -> nn.Sequential:
    if name == "digitnet":
        return digitnet_features()
    if is_cifar_resnet(name):
        return cifar_resnet_features(name)
    # Imported late: torchvision takes seconds and hundreds of megabytes.
    from trainers.networks.backbones.torchvision_nets import torchvision_features

    return torchvision_features(name)


def _blocks(name: str, features: nn.Sequential) -> list[nn.Module]:
    if name == "digitnet":
        return digitnet_blocks(features)
    if is_cifar_resnet(name):
        return cifar_resnet_blocks(features)
    from trainers.networks.backbones.torchvision_nets import torchvision_blocks

    return torchvision_blocks(name, features)


def _loaded_features(info: BackboneInfo, weights: str) -> nn.Sequential:
    refuse_unknown(info, weights)
    if weights == "bundled":
        path = bundled_file(info.base)
        state, source = read_state(path), f"the bundled weights of {info.name}"
    elif weights == "imagenet":
        state, source = _imagenet_state(info), f"torchvision's weights of {info.name}"
    else:
        path = Path(weights).expanduser()
        state, source = read_state(path), f"weights file {path}"
    with without_memory():
        features = _features(info.base)
    _load(features, state, source)
    return features


def _load(features: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Load a state dict without the classifier that it may hold."""
    known = features.state_dict().keys()
    kept = {k: v for k, v in state.items() if k in known or not k.startswith(_CLASSIFIERS)}
    load_features(features, kept, source=source)


def _imagenet_state(info: BackboneInfo) -> dict[str, torch.Tensor]:
    from trainers.networks.backbones.torchvision_nets import imagenet_state

    try:
        return dict(imagenet_state(info.base))
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"ImageNet weights of {info.name} are not in the cache of torch.hub and could not be "
            f"downloaded ({error}). On a machine without internet give the path of a .safetensors "
            f"or .pth file with torchvision's state dict, use weights: scratch, or the backbone "
            f"digitnet with weights: bundled."
        ) from error
