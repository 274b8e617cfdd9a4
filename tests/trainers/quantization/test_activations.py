"""Activations in few bits: the levels, the gradient, and the file that keeps them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.trainers.trial.test_calibrated import run
from trainers.artifact import load_artifact, predict_bytes, write_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.errors import ArtifactError
from trainers.networks.network import Network, build_network
from trainers.quantization.activations import (
    ActivationLevels,
    activation_levels,
    calibrate_activations,
    float_activations,
    input_layers,
    quantize_activations,
)
from trainers.quantization.config import ACTIVATION_RANGES, QuantizationConfig

Config = Callable[..., TrialConfig]


@given(
    st.integers(2, 8),
    st.floats(-5, 0, width=32),
    st.floats(0, 5, width=32),
    st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=20),
)
def test_levels_hold_zero_and_are_half_a_step_away(
    bits: int, low: float, high: float, values: list[float]
) -> None:
    network = nn.Sequential(nn.Linear(1, 1))
    images = torch.tensor([[low], [high]])
    found = calibrate_activations(network, lambda: iter([images]), bits, "minmax")["0"]
    given_ = torch.tensor(values)
    rounded = found(given_)
    assert float(found(torch.zeros(1))) == 0
    inside = (given_ >= low) & (given_ <= high)
    # The code of zero is rounded too, so that an end may be cut by half a step more.
    assert ((rounded - given_).abs()[inside] <= 1.001 * found.scale + 1e-6).all()
    assert len(set(rounded.tolist())) <= 2**bits


def test_the_squared_error_is_least_with_mse() -> None:
    torch.manual_seed(0)
    images = torch.randn(4000, 1).relu() ** 3
    network = nn.Sequential(nn.Linear(1, 1))
    errors = {}
    for rule in ACTIVATION_RANGES:
        levels = calibrate_activations(network, lambda: iter([images]), 4, rule)["0"]
        errors[rule] = float((levels(images) - images).square().sum())
    assert errors["mse"] == min(errors.values())
    assert errors["mse"] < errors["minmax"]


def test_the_gradient_passes_through_inside_the_range_alone() -> None:
    values = torch.tensor([-0.3, 0.2, 1.4, 9.0], requires_grad=True)
    levels = ActivationLevels(2, scale=0.5, zero_point=0)
    levels(values).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0, 1, 1, 0]


def packed(tmp_path: Path, bits: int = 4, weight_bits: int = 32) -> tuple[Network, Path]:
    network = build_network("digitnet", weights="scratch", widths=(4,), classes=3, dropout=0.5)
    network.eval()
    images = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    found = calibrate_activations(network, lambda: iter([images]), bits, "minmax")
    assert tuple(found) == input_layers(network)
    quantize_activations(network, found)
    path = tmp_path / "model.safetensors"
    config = QuantizationConfig(bits=weight_bits, fc_bits=weight_bits, activation_bits=bits)
    info = write_artifact(network, path, quantization=config, classes=None)
    assert info.bytes == predict_bytes(network.spec, config, None)
    return network, path


def test_a_file_keeps_the_levels(tmp_path: Path) -> None:
    network, path = packed(tmp_path)
    read = load_artifact(path)
    images = torch.rand(3, 1, 28, 28)
    assert torch.equal(read(images), network(images))
    assert list(activation_levels(read).values()) == list(activation_levels(network).values())
    float_activations(read)
    assert not torch.equal(read(images), network(images))


def test_levels_that_are_missing_are_not_written(tmp_path: Path) -> None:
    network = build_network("digitnet", weights="scratch", widths=(), classes=3)
    with pytest.raises(ValueError, match="calibrate them first"):
        write_artifact(
            network,
            tmp_path / "model",
            quantization=QuantizationConfig(activation_bits=4),
            classes=None,
        )


@pytest.mark.parametrize(
    ("old", "new"), [(b'\\"layers\\":8', b'\\"layers\\":7'), (b"F32", b"I32")]
)
def test_a_damaged_file_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    _, path = packed(tmp_path)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(ArtifactError, match="cannot be read as a packed network"):
        load_artifact(path)


@pytest.mark.slow
def test_a_trial_measures_the_network_with_few_bits(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    plain = make_config(epochs=1, bits=8, fc_bits=8)
    found = {}
    for bits in (32, 8, 2):
        config = replace(plain, activation_bits=bits, activation_range="mse")
        found[bits] = run(config, bands, tmp_path / str(bits))
    assert activation_levels(load_artifact(found[2].artifact.path))
    assert not activation_levels(load_artifact(found[32].artifact.path))
    peaks = {bits: each.values["peak_inference_bytes"] for bits, each in found.items()}
    sizes = {bits: each.values["memory_bytes"] for bits, each in found.items()}
    activations = {bits: peaks[bits] - sizes[bits] for bits in found}
    assert activations[8] == -(-activations[32] // 4)
    assert found[2].values["nll"] != found[32].values["nll"]


def test_float_activations_leave_the_config_as_it_was(make_config: Config) -> None:
    assert not {"activation_bits", "activation_range"} & make_config().as_mapping().keys()
    config = make_config(activation_bits=4)
    assert TrialConfig.from_mapping(config.as_mapping()) == config


@pytest.mark.parametrize("bits", [1, 9, 16])
def test_other_bits_are_refused(bits: int, make_config: Config) -> None:
    with pytest.raises(ValueError, match="activation_bits"):
        make_config(activation_bits=bits)
