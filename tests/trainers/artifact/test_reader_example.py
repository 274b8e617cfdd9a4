"""The stand-alone reader in examples/ computes what paretune computes."""

import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trainers.artifact import load_artifact, read_quantized, write_artifact
from trainers.evaluators.accuracy import predict
from trainers.networks.inputs import to_unit
from trainers.networks.network import build_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.activations import calibrate_activations, quantize_activations
from trainers.quantization.config import QUANTIZERS, SCOPES
from trainers.quantization.packing_config import PackingConfig

EXAMPLE = Path(__file__).parents[3] / "examples" / "read_artifact.py"


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def same_logits(path: Path, pictures: np.ndarray) -> bool:
    found = runpy.run_path(str(EXAMPLE))["logits"](path, pictures)
    with torch.inference_mode():
        expected = load_artifact(path)(to_unit(torch.tensor(pictures)))
    return torch.equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(5, 1, 28, 28), (5, 1, 8, 8), (5, 3, 40, 32)])
@pytest.mark.parametrize(
    ("bits", "fc_bits", "widths"), [(2, 3, (9,)), (7, 32, ()), (8, 5, (9, 5))]
)
def test_the_readers_logits_are_those_of_the_loaded_network(
    tmp_path: Path, shape: tuple[int, ...], bits: int, fc_bits: int, widths: tuple[int, ...]
) -> None:
    network = build_network("digitnet", weights="scratch", widths=widths, classes=10)
    config = QuantizationConfig(bits=bits, fc_bits=fc_bits)
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    assert same_logits(tmp_path / "m", images(*shape))


@pytest.mark.parametrize("name", ["digitnet[depth=1]", "digitnet[depth=1,width=1.5]"])
def test_the_reader_knows_other_depths_and_widths(tmp_path: Path, name: str) -> None:
    network = build_network(name, weights="scratch", widths=(9,), classes=10)
    config = QuantizationConfig(bits=4, fc_bits=4)
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    assert same_logits(tmp_path / "m", images(2, 1, 28, 28))


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_the_reader_rounds_activations_as_the_loaded_network_does(
    tmp_path: Path, bits: int
) -> None:
    network = build_network("digitnet", weights="scratch", widths=(9, 5), classes=10).eval()
    pictures = images(4, 1, 28, 28)
    config = QuantizationConfig(4, 4)
    write_artifact(network, tmp_path / "float", quantization=config, classes=None)
    levels = calibrate_activations(
        network, lambda: iter([to_unit(torch.tensor(pictures))]), bits, "minmax"
    )
    quantize_activations(network, levels)
    few = replace(config, activation_bits=bits)
    write_artifact(network, tmp_path / "m", quantization=few, classes=None)
    assert same_logits(tmp_path / "m", pictures)
    found = runpy.run_path(str(EXAMPLE))["logits"]
    assert not torch.equal(found(tmp_path / "m", pictures), found(tmp_path / "float", pictures))


@pytest.mark.parametrize("vector_bits", [32, 16])
@pytest.mark.parametrize(("quantizer", "scope"), [("affine", "channel"), ("kmeans", "global")])
def test_the_reader_reads_compact_files(
    tmp_path: Path, quantizer: str, scope: str, vector_bits: int
) -> None:
    network = build_network("digitnet[depth=1]", weights="scratch", widths=(9, 5), classes=10)
    kept = torch.rand(5, 9, generator=torch.Generator().manual_seed(0)) > 0.9
    with torch.no_grad():
        network.head[2].weight.mul_(kept)
    form = PackingConfig(header="compact", vector_bits=vector_bits)
    config = QuantizationConfig(3, 32, quantizer, scope, layer_bits={2: 8}, packing=form)
    write_artifact(
        network, tmp_path / "m", quantization=config, classes=None, kept={"head.2.weight": kept}
    )
    reader = runpy.run_path(str(EXAMPLE))
    found = reader["weights"](*reader["read_file"](tmp_path / "m"))
    expected = load_artifact(tmp_path / "m").state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert same_logits(tmp_path / "m", images(2, 1, 28, 28))


@pytest.mark.slow
@pytest.mark.parametrize("scope", [*SCOPES, "channels:5"])
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_the_reader_decodes_every_quantizer_bit_for_bit(
    tmp_path: Path, quantizer: str, scope: str
) -> None:
    network = build_network("digitnet", weights="scratch", widths=(9, 5), classes=10)
    config = QuantizationConfig(3, 5, quantizer, scope, layer_bits={2: 8, 3: 32})
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    reader = runpy.run_path(str(EXAMPLE))
    found = reader["weights"](*reader["read_file"](tmp_path / "m"))
    expected = load_artifact(tmp_path / "m").state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert same_logits(tmp_path / "m", images(2, 1, 28, 28))


@pytest.mark.slow
def test_the_example_runs_alone_and_names_the_classes(tmp_path: Path) -> None:
    network = build_network("digitnet", weights="scratch", widths=(9,), classes=3)
    names = ("ant", "bee", "cat")
    write_artifact(
        network, tmp_path / "m", quantization=QuantizationConfig(bits=4, fc_bits=4), classes=names
    )
    pictures = images(3, 1, 28, 28)
    np.save(tmp_path / "images.npy", pictures)
    # -I: neither the working folder nor PYTHONPATH is searched, so no module of ours is found.
    command = [sys.executable, "-I", EXAMPLE, tmp_path / "m", tmp_path / "images.npy"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    classes = predict(load_artifact(tmp_path / "m"), pictures)
    lines = [f"image {number}: {names[label]}" for number, label in enumerate(classes)]
    assert answer.stdout.splitlines() == lines


def test_the_example_uses_nothing_of_this_project() -> None:
    source = EXAMPLE.read_text()
    assert "trainers" not in source
    assert "safetensors.torch" not in source
    assert len(source.splitlines()) <= 150


@pytest.mark.parametrize("step", ["mse", "percentile"])
def test_the_reader_decodes_the_lowest_code_of_symmetric_weights(
    tmp_path: Path, step: str
) -> None:
    network = build_network("digitnet", weights="scratch", widths=(), classes=10)
    config = QuantizationConfig(2, 2, step=step)
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    assert any((w.codes == -2).any() for w in read_quantized(tmp_path / "m").values())
    reader = runpy.run_path(str(EXAMPLE))
    found = reader["weights"](*reader["read_file"](tmp_path / "m"))
    expected = load_artifact(tmp_path / "m").state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
