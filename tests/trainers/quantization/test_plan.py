"""Which tensors of a network are quantized, and which share their levels."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from trainers.networks.network import build_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.plan import planned_weights, quantize_network
from trainers.quantization.quantized import dequantize
from trainers.quantization.weights import quantize_weight

MIXED = QuantizationConfig(bits=4, fc_bits=8)


def small() -> nn.Sequential:
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)]
    return nn.Sequential(*layers)


def bits_of(network: nn.Module, config: QuantizationConfig) -> dict[str, int]:
    return {name: plan.bits for name, plan in planned_weights(network, config).items()}


def test_convolutions_get_bits_and_linear_layers_fc_bits() -> None:
    assert bits_of(small(), MIXED) == {"0.weight": 4, "2.weight": 4, "3.weight": 8}


def test_32_leaves_weights_in_float32() -> None:
    assert bits_of(small(), QuantizationConfig(bits=3)) == {"0.weight": 3, "2.weight": 3}
    assert bits_of(small(), QuantizationConfig(fc_bits=3)) == {"3.weight": 3}
    assert quantize_network(small(), QuantizationConfig()) == {}


def test_single_convolutions_have_bits_of_their_own() -> None:
    config = replace(MIXED, layer_bits={2: 8})
    assert bits_of(small(), config) == {"0.weight": 4, "2.weight": 8, "3.weight": 8}
    config = QuantizationConfig(bits=4, layer_bits={1: 32})
    assert bits_of(small(), config) == {"2.weight": 4}
    config = QuantizationConfig(layer_bits={1: 2})
    assert bits_of(small(), config) == {"0.weight": 2}


def test_a_convolution_that_is_not_there_is_refused() -> None:
    config = QuantizationConfig(layer_bits={1: 4, 3: 4})
    with pytest.raises(
        ValueError, match="bits_3 gives bits to convolution 3, and the network has"
    ):
        planned_weights(small(), config)


def test_a_layer_alone_is_a_network_too() -> None:
    assert bits_of(nn.Linear(3, 2), QuantizationConfig(fc_bits=5)) == {"weight": 5}


def test_levels_are_shared_in_the_global_scope_by_kind_and_bits() -> None:
    network = nn.Sequential(small(), nn.Conv2d(4, 4, 1))
    config = replace(MIXED, scope="global", layer_bits={3: 2})
    levels = {name: plan.levels for name, plan in planned_weights(network, config).items()}
    assert levels == {
        "0.0.weight": "features.conv_4",
        "0.2.weight": "features.conv_4",
        "0.3.weight": "head.fc_8",
        "1.weight": "features.conv_2",
    }
    quantized = quantize_network(network, config)
    assert quantized["0.0.weight"].levels is quantized["0.2.weight"].levels
    largest = max(float(network.state_dict()[f"0.{i}.weight"].abs().max()) for i in (0, 2))
    scale = quantized["0.0.weight"].scale
    assert scale is not None
    assert float(scale) == pytest.approx(largest / 7)


@pytest.mark.parametrize("scheme", ["symmetric", "affine", "kmeans", "entropy"])
@pytest.mark.parametrize("scope", ["channel", "layer"])
def test_a_network_is_quantized_weight_by_weight_and_stays_as_it_is(
    scheme: str, scope: str
) -> None:
    network = small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    quantized = quantize_network(network, replace(MIXED, quantizer=scheme, scope=scope))
    for name, bits in (("0.weight", 4), ("3.weight", 8)):
        weight = network.get_parameter(name)
        alone = quantize_weight(weight, bits, scheme=scheme, scope=scope)
        assert torch.equal(dequantize(quantized[name]), dequantize(alone))
        assert (quantized[name].bits, quantized[name].scheme) == (bits, scheme)
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


def test_learned_steps_go_to_their_weights() -> None:
    steps = {"3.weight": torch.tensor([0.5, 0.25])}
    quantized = quantize_network(small(), MIXED, steps=steps)
    scale = quantized["3.weight"].scale
    assert scale is not None
    assert scale.flatten().tolist() == [0.5, 0.25]


def test_learned_steps_of_other_weights_are_refused() -> None:
    step = torch.tensor([0.5])
    with pytest.raises(ValueError, match=r"steps were learned of \['1.weight'\]"):
        quantize_network(small(), MIXED, steps={"1.weight": step})
    with pytest.raises(ValueError, match=r"steps were learned of \['3.weight'\]"):
        quantize_network(small(), replace(MIXED, scope="global"), steps={"3.weight": step})


def test_the_plan_needs_no_weights() -> None:
    with torch.device("meta"):
        assert len(planned_weights(small(), MIXED)) == 3


def test_every_convolution_and_linear_layer_of_a_backbone_is_listed() -> None:
    with torch.device("meta"):
        network = build_network("digitnet", weights="scratch", widths=(8,), classes=3)
    names = {name for name, tensor in network.named_parameters() if tensor.ndim >= 2}
    assert planned_weights(network, MIXED).keys() == names
