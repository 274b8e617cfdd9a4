"""A trial whose packed network has the form that its config names."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainers.trial.test_calibrated import run
from trainers.artifact import predict_bytes, read_header
from trainers.config import TrialConfig, reference_of
from trainers.data import ImageData
from trainers.networks.network import build_network
from trainers.quantization.allocation import AllocationConfig
from trainers.quantization.config import QuantizationConfig
from trainers.quantization.packing_config import PackingConfig
from trainers.quantization.sensitivity import Change, LayerSensitivity, layer_groups
from trainers.stages.cache import StageCache
from trainers.stages.keys import training_key
from trainers.trial.allocated import Allocations

Config = Callable[..., TrialConfig]
SMALLEST = PackingConfig(header="compact", merge_norms=True, vector_bits=16)


@pytest.mark.slow
def test_a_trial_measures_the_smaller_file_and_shares_its_training(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    cache = StageCache(str(tmp_path / "cache"), 1e9)
    plain = make_config(epochs=1, bits=4, fc_bits=4)
    small = replace(plain, packing=SMALLEST)
    found = [
        run(each, bands, tmp_path / name, cache) for each, name in ((plain, "a"), (small, "b"))
    ]
    header = read_header(found[1].artifact.path)
    assert header.version == 2
    assert header.quantized.vector_bits == 16
    predicted = predict_bytes(header.spec, small.quantization, bands.classes)
    assert found[1].values["memory_bytes"] == predicted < found[0].values["memory_bytes"]
    assert found[1].values["cached_stages"] >= 1


def test_the_form_survives_json_and_no_training_depends_on_it() -> None:
    plain = TrialConfig(backbone="digitnet", weights="bundled", bits=4)
    small = replace(plain, packing=SMALLEST)
    assert "packing" not in plain.as_mapping()
    assert TrialConfig.from_mapping(small.as_mapping()) == small
    assert training_key(small) == training_key(plain)
    assert reference_of(small).packing == PackingConfig()


@pytest.mark.slow
def test_an_allocation_counts_the_bytes_of_the_form() -> None:
    network = build_network("cifar_resnet20", weights="scratch", widths=(), classes=10)
    groups = layer_groups(network)
    layers = [
        LayerSensitivity(
            name=name,
            number=number,
            shapes=tuple(tuple(network.get_parameter(each).shape) for each in weights),
            alone={bits: Change(4.0**-bits, None) for bits in range(2, 9)},
        )
        for number, (name, weights) in enumerate(groups.items(), start=1)
    ]
    budget, chosen = AllocationConfig(bytes=110_000), {}
    for packing in (PackingConfig(), SMALLEST):
        config = QuantizationConfig(quantizer="kmeans", packing=packing)
        found = Allocations(network.spec, config, None, layers).within(budget)
        given = replace(config, bits=8, layer_bits=found.layer_bits, fc_bits=found.fc_bits)
        assert found.memory_bytes == predict_bytes(network.spec, given, None) <= budget.bytes
        chosen[packing] = found.mean_bits
        small = replace(config, scope="channels:4", codebook_bits=8)
        found = Allocations(network.spec, small, None, layers).within(budget)
        given = replace(small, bits=8, layer_bits=found.layer_bits, fc_bits=found.fc_bits)
        assert found.memory_bytes == predict_bytes(network.spec, given, None) <= budget.bytes
        assert found.mean_bits > chosen[packing]
    assert chosen[SMALLEST] > chosen[PackingConfig()] + 0.3


def test_an_activation_keeps_its_step_in_32_bits() -> None:
    from trainers.artifact.layout import layout_of

    network = build_network("digitnet", weights="scratch", widths=(), classes=2)
    config = QuantizationConfig(4, 4, activation_bits=8, packing=SMALLEST)
    types = {each.name: each.dtype for each in layout_of(network.spec, config, None).tensors}
    assert types["activations.scale"] == "F32"
    assert types["features.0.weight.scale"] == types["features.0.bias"] == "F16"
