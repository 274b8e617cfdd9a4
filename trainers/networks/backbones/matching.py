"""Find the width at which a cut backbone is as large as the full one again."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainers.networks.backbone_table import backbone_info
from trainers.networks.backbones.building import build_backbone
from trainers.networks.meta import without_memory
from trainers.networks.variants import STAGES, WIDEST, scaled, variant_name

_STEPS = 1000  # widths between one multiple of the channels and the next


@dataclass(frozen=True, slots=True)
class _Layer:
    """What the size of a layer at another width follows from.

    Attributes:
        inputs: Channels that it reads.
        outputs: Channels that it writes.
        kernel: Weights of one pair of channels.
        groups: Of its channels; as many as inputs if it is depthwise.
        per_channel: Further learnable values of an output channel.
        pixels: At which it is computed; 0 for a batch norm, whose work does not count.
    """

    inputs: int
    outputs: int
    kernel: int
    groups: int
    per_channel: int
    pixels: int


def matched_widths(base: str) -> list[tuple[float, float]]:
    """Compute the multipliers of each depth that match the full parameters and operations.

    Args:
        base: A name of `STAGES`.

    Returns:
        By depth, from 1: for `match_params` and `match_macs`.
    """
    full = _layers(base)
    found = []
    for depth in range(1, STAGES[base].most + 1):
        cut = _layers(variant_name(base, depth))
        found.append((_matched(base, cut, full, _params), _matched(base, cut, full, _macs)))
    return found


def _matched(
    base: str,
    cut: list[_Layer],
    full: list[_Layer],
    size: Callable[[str, list[_Layer], float], int],
) -> float:
    wanted = size(base, full, 1.0)
    grid = range(_STEPS, int(WIDEST * _STEPS) + 1)
    low, high = grid.start, grid.stop - 1
    # Sizes never fall with the width: halve until two widths that are next to each other are left.
    while high - low > 1:
        middle = (low + high) // 2
        if size(base, cut, middle / _STEPS) < wanted:
            low = middle
        else:
            high = middle
    off = {each: abs(size(base, cut, each / _STEPS) - wanted) for each in (low, high)}
    return (low if off[low] <= off[high] else high) / _STEPS


def _params(base: str, layers: list[_Layer], width: float) -> int:
    return sum(
        _weights(base, each, width) + each.per_channel * _out(base, each, width) for each in layers
    )


def _macs(base: str, layers: list[_Layer], width: float) -> int:
    return sum(_weights(base, each, width) * each.pixels for each in layers)


def _weights(base: str, layer: _Layer, width: float) -> int:
    if not layer.kernel:
        return 0
    outputs = _out(base, layer, width)
    # Those of an image stay; no other layer reads so few.
    inputs = layer.inputs if layer.inputs <= 3 else scaled(base, layer.inputs, width)
    groups = inputs if layer.groups == layer.inputs else layer.groups
    return layer.kernel * outputs * (inputs // groups)


def _out(base: str, layer: _Layer, width: float) -> int:
    return scaled(base, layer.outputs, width)


def _layers(name: str) -> list[_Layer]:
    with without_memory():
        features = build_backbone(name, "scratch").features
        entry = backbone_info(name)
        image = torch.zeros(1, len(entry.mean), entry.image_size, entry.image_size)
    layers: list[_Layer] = []

    def note(layer: nn.Module, _: object, output: Tensor) -> None:
        if isinstance(layer, nn.BatchNorm2d):
            layers.append(_Layer(layer.num_features, layer.num_features, 0, 1, 2, 0))
        elif isinstance(layer, nn.Conv2d):
            kernel, bias = layer.weight[0, 0].numel(), int(layer.bias is not None)
            # A dense layer has one group, however few inputs it has.
            groups = layer.groups if layer.groups > 1 else 1
            pixels = output[0, 0].numel()
            layers.append(
                _Layer(layer.in_channels, layer.out_channels, kernel, groups, bias, pixels)
            )

    for module in features.modules():
        module.register_forward_hook(note)
    features.eval()(image)
    return layers
