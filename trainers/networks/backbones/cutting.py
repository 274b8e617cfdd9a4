"""Cut a built backbone in depth, and scale it in width; see `trainers.networks.variants`."""

from collections import OrderedDict
from collections.abc import Container, Mapping
from itertools import chain
from typing import Any, Literal

from torch import nn

from trainers.networks.backbone_table import BackboneInfo
from trainers.networks.variants import STAGES, scaled

# Networks that torch's `kaiming_normal_` initialises by the outputs of a layer, as torchvision
# does; the others by the inputs.
_BY_OUTPUTS = ("vgg", "resn", "mobilenet", "efficientnet")


def resized(features: nn.Sequential, info: BackboneInfo) -> nn.Sequential:
    """Cut a full network to a variant's depth, and scale it to its width.

    A cut keeps the tensors of the layers that it keeps, under their names. DenseNet concatenates:
    what read the output of a dropped layer loses these inputs and keeps the others. Another width
    draws all weights anew, from the global generator.

    Args:
        features: The network of `info.base`; it is changed.
        info: The variant.

    >>> from trainers.networks.backbone_table import backbone_info
    >>> from trainers.networks.backbones.building import build_backbone
    >>> full = build_backbone("digitnet", "scratch").features
    >>> cut = resized(full, backbone_info("digitnet[depth=1]"))
    >>> [len(stage) for stage in stage_convolutions(cut)]
    [1, 1, 1]
    """
    if info.depth is not None:
        features = _cut(features, info.base, info.depth)
    if info.width != 1:
        _scale(features, info)
    return features


def split_after(body: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    """Split the layers of a network into groups, each of which ends with a layer of that kind.

    >>> body = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2), nn.Flatten())
    >>> [len(block) for block in split_after(body, nn.MaxPool2d)]
    [2, 1]
    """
    blocks: list[nn.Module] = []
    current: list[nn.Module] = []
    for layer in body.children():
        current.append(layer)
        if isinstance(layer, kind):
            blocks.append(nn.Sequential(*current))
            current = []
    return blocks


def stage_convolutions(features: nn.Module) -> list[list[nn.Conv2d]]:
    """Return the convolutions of each stage of a network whose stages end with a pool.

    >>> body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.MaxPool2d(2))
    >>> [len(stage) for stage in stage_convolutions(body)]
    [2]
    """
    stages = split_after(features, nn.MaxPool2d)
    return [[layer for layer in stage.children() if _is_conv(layer)] for stage in stages]  # type: ignore[misc]


def _cut(features: nn.Sequential, base: str, depth: int) -> nn.Sequential:
    if base == "digitnet":
        return _without(features, _after_convolution(features, depth))
    if base.startswith(("cifar_resnet", "resn")):
        layers = dict(features.named_children())
        for index in range(1, len(STAGES[base].blocks) + 1):
            _shorten(layers[f"layer{index}"], depth)
        return features
    body = features.get_submodule("features")
    if not isinstance(body, nn.Sequential):
        raise TypeError(f"the layers of {base} are no sequence: {type(body).__name__}")
    features.add_module("features", _cut_body(body, base, depth))
    return features


def _cut_body(body: nn.Sequential, base: str, depth: int) -> nn.Sequential:
    if base == "mobilenet_v2":
        return _without(body, _late_blocks(base, depth))
    if base.startswith("vgg"):
        return _without(body, _after_convolution(body, depth))
    if base == "densenet121":
        _cut_densenet(body, depth)
    else:
        for stage in list(body.children())[1:-1]:
            _shorten(stage, depth)
    return body


def _shorten(stage: nn.Module, depth: int) -> None:
    for name in [name for name, _ in stage.named_children()][depth:]:
        delattr(stage, name)


def _without(layers: nn.Sequential, dropped: Container[str]) -> nn.Sequential:
    """Leave layers out; the others keep their names."""
    kept = ((name, layer) for name, layer in layers.named_children() if name not in dropped)
    return nn.Sequential(OrderedDict(kept))


def _after_convolution(body: nn.Module, depth: int) -> set[str]:
    """Name what follows the first `depth` convolutions of a stage, up to its pool."""
    dropped, seen = set(), 0
    for name, layer in body.named_children():
        seen += _is_conv(layer)
        if isinstance(layer, nn.MaxPool2d | nn.Flatten):
            seen = 0
        elif seen > depth:
            dropped.add(name)
    return dropped


def _late_blocks(base: str, depth: int) -> set[str]:
    places = chain.from_iterable(range(count) for count in STAGES[base].blocks)
    # The first child is the stem.
    return {str(number) for number, place in enumerate(places, start=1) if place >= depth}


def _cut_densenet(body: nn.Sequential, depth: int) -> None:
    parts = dict(body.named_children())
    for number, count in enumerate(STAGES["densenet121"].blocks, start=1):
        if count <= depth:
            continue
        block = parts[f"denseblock{number}"]
        growth = block.get_submodule("denselayer1.conv2").get_parameter("weight").shape[0]
        _shorten(block, depth)
        after = parts.get(f"transition{number}")
        holder, name = (body, "norm5") if after is None else (after, "norm")
        norm = holder.get_submodule(name)
        kept = norm.get_parameter("weight").shape[0] - growth * (count - depth)
        setattr(holder, name, _with_first_inputs(norm, kept, dim=0))
        if after is not None:
            conv = after.get_submodule("conv")
            setattr(after, "conv", _with_first_inputs(conv, kept, dim=1))  # noqa: B010


def _with_first_inputs(layer: nn.Module, count: int, *, dim: int) -> nn.Module:
    """Build a layer that reads only the first `count` inputs of another one."""
    given: dict[str, Any] = {"num_features": count} if dim == 0 else {"in_channels": count}
    new = _like(layer, given).to(layer.get_parameter("weight").device)
    state = {
        name: tensor.narrow(dim, 0, count).clone() if tensor.dim() else tensor
        for name, tensor in layer.state_dict().items()
    }
    new.load_state_dict(state, assign=True)
    return new


def _scale(features: nn.Sequential, info: BackboneInfo) -> None:
    is_first = True
    for parent in list(features.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d):
                new = _scaled_convolution(layer, info, is_first=is_first)
                _draw(new, by_outputs=info.base.startswith(_BY_OUTPUTS))
                setattr(parent, name, new)
                is_first = False
            elif isinstance(layer, nn.BatchNorm2d):
                width = scaled(info.base, layer.num_features, info.width)
                setattr(parent, name, _like(layer, {"num_features": width}))


def _draw(layer: nn.Module, *, by_outputs: bool) -> None:
    mode: Literal["fan_out", "fan_in"] = "fan_out" if by_outputs else "fan_in"
    for name, parameter in layer.named_parameters():
        if name == "bias":
            nn.init.zeros_(parameter)
        else:
            nn.init.kaiming_normal_(parameter, mode=mode, nonlinearity="relu")


def _scaled_convolution(layer: nn.Conv2d, info: BackboneInfo, *, is_first: bool) -> nn.Module:
    inputs, outputs = (
        scaled(info.base, channels, info.width)
        for channels in (layer.in_channels, layer.out_channels)
    )
    if is_first:
        # Those of the image.
        inputs = layer.in_channels
    is_depthwise = layer.groups > 1 and layer.groups == layer.in_channels
    groups = inputs if is_depthwise else layer.groups
    return _like(layer, {"in_channels": inputs, "out_channels": outputs, "groups": groups})


def _like(layer: nn.Module, changed: Mapping[str, Any]) -> nn.Module:
    """Build a convolution or a batch norm with the settings of another one, but for some."""
    if isinstance(layer, nn.BatchNorm2d):
        return nn.BatchNorm2d(eps=layer.eps, momentum=layer.momentum, **changed)
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
    given = {name: getattr(layer, name) for name in (*names, "groups")}
    return nn.Conv2d(**{**given, "bias": layer.bias is not None, **changed})


def _is_conv(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d)
