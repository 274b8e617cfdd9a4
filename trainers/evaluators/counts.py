"""How large a network is before it is packed: parameters and multiplications."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from trainers.evaluators.accuracy import under_test


def count_parameters(network: nn.Module) -> int:
    """Learnable values, whether or not they were trained; statistics are not counted."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, image_shape: Sequence[int]) -> int:
    """Multiply-accumulate operations of convolutions and linear layers for one image.

    Args:
        network: As for `trainers.evaluators.accuracy.predict`, on any device.
        image_shape: (C, H, W).
    """
    device = next((parameter.device for parameter in network.parameters()), "cpu")
    counter = FlopCounterMode(display=False)
    with under_test(network, device), torch.inference_mode(), counter:
        network(torch.zeros(1, *image_shape, device=device))
    # The counter takes a multiplication and an addition as two.
    return int(counter.get_total_flops()) // 2
