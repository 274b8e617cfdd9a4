"""The packed file is hardly larger than its codes, levels and floating-point remainder."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from torch import nn

from trainers.artifact import predict_bytes
from trainers.artifact.layout import empty_network
from trainers.networks.network import Network, NetworkSpec, spec_of
from trainers.quantization import QuantizationConfig
from trainers.quantization.config import QUANTIZERS, SCOPES

MOST = 1.02
# With heads of the sizes that a sweep ends with: at the full one, nothing but codes counts.
VGG = spec_of("vgg11", (128,), 10)
DIGITNET = spec_of("digitnet", (256, 128), 10)


@dataclass(frozen=True)
class Weight:
    """One quantized weight: how many codes, of how many bits, in how many channels."""

    count: int
    bits: int
    channels: int


def ideal_bytes(spec: NetworkSpec, config: QuantizationConfig) -> float:
    """What the formula gives, computed from the layers and not from the layout."""
    network = empty_network(spec)
    layers = {nn.Conv2d: config.bits, nn.Linear: config.fc_bits}
    quantized = {kind: list(_weights(network, kind, bits)) for kind, bits in layers.items()}
    remainder = sum(parameter.numel() for parameter in network.parameters())
    total = 0.0
    for weights in quantized.values():
        codes = sum(weight.count * weight.bits for weight in weights)
        total += codes / 8 + _level_bytes(weights, config)
        remainder -= sum(weight.count for weight in weights)
    return total + 4 * remainder


def _weights(network: Network, kind: type[nn.Module], bits: int) -> Iterator[Weight]:
    for module in network.modules():
        if isinstance(module, kind):
            shape = module.get_parameter("weight").shape
            yield Weight(math.prod(shape), bits, shape[0])


def _level_bytes(weights: list[Weight], config: QuantizationConfig) -> int:
    bits = weights[0].bits
    one = {"symmetric": 4, "affine": 5}.get(config.quantizer, 4 * 2**bits)
    groups = {"global": 1, "layer": len(weights)}
    return one * groups.get(config.scope, sum(weight.channels for weight in weights))


@pytest.mark.slow
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("bits", range(2, 9))
def test_a_vgg_is_at_most_a_fiftieth_larger_than_the_ideal(
    quantizer: str, scope: str, bits: int
) -> None:
    config = QuantizationConfig(bits, bits, quantizer, scope)
    size, ideal = predict_bytes(VGG, config, None), ideal_bytes(VGG, config)
    assert ideal < size <= MOST * ideal


@pytest.mark.slow
@pytest.mark.parametrize("bits", range(2, 9))
def test_what_is_not_ideal_is_the_header_which_is_the_same_for_all_bits(bits: int) -> None:
    for spec in (VGG, DIGITNET):
        over = [
            predict_bytes(spec, config, None) - ideal_bytes(spec, config)
            for config in (QuantizationConfig(bits, bits), QuantizationConfig(2, 2))
        ]
        # Offsets have a few digits more; a stream ends at a whole byte.
        assert abs(over[0] - over[1]) < 100
        assert over[0] < 200 * len(list(empty_network(spec).parameters()))
