"""Which tensors of a network are quantized."""

import pytest
import torch
from torch import nn

from trainers.networks import build_network
from trainers.quantization import dequantize, planned_bits, quantize_network, quantize_weight


def small() -> nn.Sequential:
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)]
    return nn.Sequential(*layers)


def test_convolutions_get_bits_and_linear_layers_fc_bits() -> None:
    assert planned_bits(small(), 4, 8) == {"0.weight": 4, "4.weight": 8}


@pytest.mark.parametrize("off", [None, 32])
def test_none_and_32_leave_weights_in_float32(off: int | None) -> None:
    assert planned_bits(small(), 3, off) == {"0.weight": 3}
    assert planned_bits(small(), off, 3) == {"4.weight": 3}
    assert quantize_network(small(), off, off) == {}


def test_a_layer_alone_is_a_network_too() -> None:
    assert planned_bits(nn.Linear(3, 2), None, 5) == {"weight": 5}


@pytest.mark.parametrize("bits", [0, 1, 9, 16])
def test_other_bits_are_refused_by_their_name(bits: int) -> None:
    with pytest.raises(ValueError, match=f"^bits is {bits}; weights are quantized to 2 to 8"):
        planned_bits(small(), bits, None)
    with pytest.raises(ValueError, match=f"^fc_bits is {bits}"):
        planned_bits(small(), None, bits)


def test_a_network_is_quantized_weight_by_weight_and_stays_as_it_is() -> None:
    network = small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    quantized = quantize_network(network, 2, 6)
    for name, bits in (("0.weight", 2), ("4.weight", 6)):
        alone = quantize_weight(network.get_parameter(name), bits)
        assert torch.equal(dequantize(quantized[name]), dequantize(alone))
        assert quantized[name].bits == bits
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


def test_the_plan_needs_no_weights() -> None:
    with torch.device("meta"):
        assert planned_bits(small(), 4, 8) == {"0.weight": 4, "4.weight": 8}


def test_every_convolution_and_linear_layer_of_a_backbone_is_listed() -> None:
    with torch.device("meta"):
        network = build_network("digitnet", weights="scratch", widths=(8,), classes=3)
    names = {name for name, tensor in network.named_parameters() if tensor.ndim >= 2}
    assert planned_bits(network, 4, 4).keys() == names
