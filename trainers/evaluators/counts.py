"""The size of a network before packing: parameters and multiplications."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainers.evaluators.accuracy import under_test

_COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def count_parameters(network: nn.Module) -> int:
    """Count learnable values, trained or not; statistics are not counted.

    >>> count_parameters(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
    12
    """
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, image_shape: Sequence[int]) -> int:
    """Count multiply-accumulate operations of convolutions and linear layers for one image.

    Tests compare it with torch's FlopCounterMode, which counts two operations for each of these.
    It is not used here because it imports torch's compiler, for seconds in each new process.

    Args:
        network: As for `trainers.evaluators.accuracy.predict`, on any device.
        image_shape: (C, H, W).

    >>> count_macs(nn.Conv2d(3, 8, 3, padding=1), (3, 10, 10)) == 8 * 3 * 3 * 3 * 10 * 10
    True
    """
    macs = 0

    def count(layer: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal macs
        weight = layer.get_parameter("weight")
        # Each output value is a sum of as many products as one output channel has weights.
        macs += output.numel() * weight[0].numel()

    layers = [layer for layer in network.modules() if isinstance(layer, _COUNTED)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    device = next((parameter.device for parameter in network.parameters()), "cpu")
    try:
        with under_test(network, device), torch.inference_mode():
            network(torch.zeros(1, *image_shape, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return macs
