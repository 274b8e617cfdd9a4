"""A network in ONNX is the network of the packed file."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from trainers.artifact import load_artifact, read_quantized, write_artifact
from trainers.errors import ArtifactError
from trainers.networks.backbones import build_backbone
from trainers.networks.network import assemble_network
from trainers.onnx import export as onnx_export
from trainers.onnx import latency as onnx_runtime
from trainers.onnx.export import export_onnx
from trainers.onnx.latency import OnnxError, OnnxNetwork, cpu_latency, random_pixels
from trainers.quantization.config import CODEBOOKS, QuantizationConfig
from trainers.quantization.packing_config import PackingConfig

onnx = pytest.importorskip("onnx", reason="needs paretune[onnx]")
CLASSES = tuple("abcdefghij")


def packed(
    folder: Path, quantization: QuantizationConfig, backbone: str = "digitnet", size: int = 28
) -> Path:
    path = folder / "model.safetensors"
    parts = build_backbone(backbone, "scratch", seed=1, image_size=size)
    generator = torch.Generator().manual_seed(0)
    for name, buffer in parts.features.named_buffers():
        # Fresh statistics are 0 and 1, and would hide a batch norm that is folded or lost.
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5, generator=generator)
    network = assemble_network(parts, (16,), len(CLASSES), seed=1)
    write_artifact(network, path, quantization=quantization, classes=CLASSES)
    return path


def initializers(path: Path) -> dict[str, np.ndarray]:
    graph = onnx.load(path).graph
    return {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}


def what_it_decodes_to(path: Path, name: str) -> np.ndarray:
    """The weight, by the definition of DequantizeLinear in onnx's own reference."""
    model = onnx.load(path)
    (node,) = (each for each in model.graph.node if name in each.output)
    output = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    parts = [each for each in model.graph.initializer if each.name in node.input]
    graph = onnx.helper.make_graph([node], "weight", [], [output], parts)
    alone = onnx.helper.make_model(graph, opset_imports=model.opset_import)
    (weight,) = onnx.reference.ReferenceEvaluator(alone).run(None, {})
    return weight


@pytest.mark.slow
def test_the_smallest_form_of_a_file_is_exported_as_any_other(tmp_path: Path) -> None:
    form = PackingConfig(header="compact", merge_norms=True, vector_bits=16)
    artifact = packed(tmp_path, QuantizationConfig(4, 4, packing=form), "cifar_resnet20", 32)
    info = export_onnx(artifact, tmp_path / "model.onnx")
    network = load_artifact(artifact)
    pixels = random_pixels(network.spec.input, 2)
    expected = network(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(
        OnnxNetwork(info.path).logits(pixels), expected, atol=info.tolerance
    )
    assert len(info.int8_weights) == 21


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "quantizer", "scope", "bits"),
    [
        ("cifar_resnet20", "symmetric", "channel", 8),
        ("digitnet", "affine", "layer", 3),
        ("digitnet", "affine", "channels:6", 4),
    ],
)
def test_evenly_spaced_weights_are_int8_and_decode_to_those_of_the_packed_file(
    backbone: str, quantizer: str, scope: str, bits: int, tmp_path: Path
) -> None:
    size = 28 if backbone == "digitnet" else 16
    config = QuantizationConfig(bits, 8, quantizer, scope)
    artifact = packed(tmp_path, config, backbone, size)
    info = export_onnx(artifact, tmp_path / "model.onnx")
    stored, weights = initializers(info.path), load_artifact(artifact).state_dict()
    quantized = read_quantized(artifact)
    assert info.int8_weights == tuple(quantized)
    assert info.float_weights == ()
    assert info.max_difference <= info.tolerance <= 1e-3
    for name in info.int8_weights:
        assert name not in stored
        assert stored[f"{name}.codes"].dtype == np.int8
        assert np.array_equal(stored[f"{name}.codes"], quantized[name].codes.numpy())
        assert np.array_equal(what_it_decodes_to(info.path, name), weights[name].numpy())
    assert [each.name for each in onnx.load(info.path).graph.input] == ["pixels"]
    float_bytes = 4 * sum(weight.numel() for weight in weights.values())
    assert info.bytes < 0.4 * float_bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("quantizer", "scope", "bits"),
    [*((q, "channel", 32) for q in CODEBOOKS), ("kmeans", "channels:6", 8)],
)
def test_levels_of_a_codebook_stay_in_float32_and_are_named(
    quantizer: str, scope: str, bits: int, tmp_path: Path
) -> None:
    config = QuantizationConfig(4, 4, quantizer, scope, codebook_bits=bits)
    artifact = packed(tmp_path, config)
    info = export_onnx(artifact, tmp_path / "model.onnx")
    assert info.int8_weights == ()
    assert info.float_weights == tuple(read_quantized(artifact))
    stored, weights = initializers(info.path), load_artifact(artifact).state_dict()
    for name in info.float_weights:
        assert np.array_equal(stored[name], weights[name].numpy())


@pytest.mark.slow
def test_any_batch_gives_the_logits_of_torch_and_the_file_says_what_it_is(tmp_path: Path) -> None:
    artifact = packed(tmp_path, QuantizationConfig())
    info = export_onnx(artifact, tmp_path / "model.onnx")
    assert info.int8_weights == info.float_weights == ()
    network, spec = load_artifact(artifact), load_artifact(artifact).spec.input
    for fold in (False, True):
        exported = OnnxNetwork(info.path, fold=fold)
        for count in (1, 5):
            pixels = random_pixels(spec, count)
            expected = network(torch.from_numpy(pixels)).numpy()
            np.testing.assert_allclose(exported.logits(pixels), expected, atol=info.tolerance)
    model = onnx.load(info.path)
    assert {each.key: json.loads(each.value) for each in model.metadata_props} == {
        "classes": list(CLASSES)
    }
    # Of torch's own export: the paths of the machine that it ran on.
    assert str(Path(onnx_export.__file__).parent).encode() not in info.path.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.onnx", "model.safetensors"]
    latency = cpu_latency(OnnxNetwork(info.path), spec, seconds=0.0)
    assert latency.runs == 20
    assert latency.latency_ms > 0


@pytest.mark.slow
def test_a_file_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = packed(tmp_path, QuantizationConfig(4, 4))
    to = tmp_path / "model.onnx"
    to.write_bytes(b"the last one")
    whole = onnx_export._levels
    monkeypatch.setattr(onnx_export, "_levels", lambda scale: np.float32(1.01) * whole(scale))
    with pytest.raises(OnnxError, match="other logits"):
        export_onnx(artifact, to)
    assert to.read_bytes() == b"the last one"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("missing", onnx_runtime.PACKAGES)
def test_an_absent_package_is_one_sentence(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(OnnxError, match=rf"{missing} is not installed.*paretune\[onnx\]"):
        export_onnx(tmp_path / "model.safetensors", tmp_path / "model.onnx")


def test_what_is_no_packed_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match=r"model\.safetensors"):
        export_onnx(tmp_path / "model.safetensors", tmp_path / "model.onnx")
