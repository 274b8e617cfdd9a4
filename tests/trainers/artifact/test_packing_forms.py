"""Compact headers and vectors of 16 bits: smaller files that hold the same network."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.artifact import (
    compress_artifact,
    decompress_artifact,
    load_artifact,
    predict_bytes,
    read_header,
    read_quantized,
    write_artifact,
)
from trainers.artifact.compact import leaves_of, nodes_of
from trainers.artifact.packed_layout import KEY
from trainers.errors import ArtifactError
from trainers.networks.network import Network, build_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.config import QUANTIZERS, SCOPES
from trainers.quantization.packing_config import PackingConfig

COMPACT = PackingConfig(header="compact")
SMALLEST = PackingConfig(header="compact", merge_norms=True, vector_bits=16)
WORDS = st.text("abc", min_size=1, max_size=2)
LEAVES = st.tuples(st.sampled_from(["F32", "F16", "U8"]), st.integers(0, 3))
TREES = st.recursive(
    LEAVES, lambda part: st.dictionaries(WORDS, part, min_size=1, max_size=4), max_leaves=20
)


def trained() -> Network:
    network = build_network("cifar_resnet20", weights="scratch", widths=(16,), classes=10).eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif name.endswith("running_mean"):
                tensor.normal_()
    return network


def named(tree: object, name: str = "") -> dict[str, tuple[object, ...]]:
    if isinstance(tree, tuple):
        return {name[1:]: tree}
    assert isinstance(tree, dict)
    return {
        n: leaf for word, part in tree.items() for n, leaf in named(part, f"{name}.{word}").items()
    }


@pytest.mark.slow
@given(st.dictionaries(WORDS, TREES, min_size=1))
def test_the_leaves_of_a_tree_are_what_it_was_built_from(tree: dict[str, object]) -> None:
    leaves = named(tree)
    nodes = json.loads(json.dumps(nodes_of(leaves)))
    assert list(leaves_of(nodes).items()) == list(leaves.items())
    texts = [json.dumps(node) for node in nodes]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    "nodes",
    [
        [{"a": 0}],
        [{"a": 1}, ["F32", 1]],
        [["F32", 1], {"a": -1}],
        [["F32", 1], {"a": "0"}],
        [["F32", 1], *({"a": n, "b": n} for n in range(40))],
        [["F32", 1], *({"a": n} for n in range(200))],
    ],
)
def test_what_is_no_tree_or_would_not_end_is_refused(nodes: list[object]) -> None:
    with pytest.raises(ValueError, match="tree"):
        leaves_of(nodes)


@pytest.mark.slow
@pytest.mark.parametrize(("quantizer", "scope"), list(product(QUANTIZERS, SCOPES)))
def test_a_compact_file_holds_the_same_network_in_fewer_bytes(
    tmp_path: Path, quantizer: str, scope: str
) -> None:
    network = build_network("digitnet", weights="scratch", widths=(9, 5), classes=10)
    config = QuantizationConfig(3, 5, quantizer, scope, layer_bits={2: 8, 3: 32})
    compact = replace(config, packing=COMPACT)
    whole = write_artifact(network, tmp_path / "a", quantization=config, classes=None)
    short = write_artifact(network, tmp_path / "b", quantization=compact, classes=None)
    assert short.bytes == (tmp_path / "b").stat().st_size
    assert short.bytes == predict_bytes(network.spec, compact, None) < whole.bytes
    assert (short.head_bytes, short.backbone_bytes) == (whole.head_bytes, whole.backbone_bytes)
    one, other = (load_artifact(tmp_path / name).state_dict() for name in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)
    headers = [read_header(tmp_path / name) for name in "ab"]
    assert [each.version for each in headers] == [1, 2]
    assert headers[0].quantized == headers[1].quantized
    codes = [read_quantized(tmp_path / name) for name in "ab"]
    assert all(torch.equal(codes[0][name].codes, codes[1][name].codes) for name in codes[0])
    again = write_artifact(network, tmp_path / "c", quantization=compact, classes=None)
    assert again.sha256 == short.sha256


def test_pruned_weights_and_classes_stand_in_a_compact_file(tmp_path: Path) -> None:
    network = build_network("digitnet", weights="scratch", widths=(9,), classes=2)
    weight = network.features[2].weight
    kept = torch.rand(weight.shape, generator=torch.Generator().manual_seed(0)) > 0.9
    floating = torch.rand((9, 576), generator=torch.Generator().manual_seed(1)) > 0.9
    with torch.no_grad():
        weight.mul_(kept)
        network.head[0].weight.mul_(floating)
    masks = {"features.2.weight": kept, "head.0.weight": floating}
    config = QuantizationConfig(4, packing=COMPACT)
    write_artifact(network, tmp_path / "m", quantization=config, classes=("no", "yes"), kept=masks)
    header = read_header(tmp_path / "m")
    assert header.classes == ("no", "yes")
    assert set(header.sparse) == set(masks)
    found = load_artifact(tmp_path / "m").state_dict()
    assert torch.equal(found["head.0.weight"], network.head[0].weight)
    assert torch.equal(found["features.2.weight"] != 0, kept & (found["features.2.weight"] != 0))


def test_every_file_can_be_stored_compressed_and_restored(tmp_path: Path) -> None:
    network = trained()
    config = QuantizationConfig(2, 3, "affine", packing=SMALLEST)
    write_artifact(network, tmp_path / "a", quantization=config, classes=None)
    compress_artifact(tmp_path / "a", tmp_path / "b")
    decompress_artifact(tmp_path / "b", tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()


def test_a_deep_network_is_a_quarter_smaller_and_answers_alike(tmp_path: Path) -> None:
    network = trained()
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    answers, sizes = [], []
    for packing in (PackingConfig(), SMALLEST):
        config = QuantizationConfig(2, 2, "affine", packing=packing)
        info = write_artifact(network, tmp_path / "m", quantization=config, classes=None)
        assert info.bytes == predict_bytes(network.spec, config, None)
        sizes.append(info.bytes)
        with torch.inference_mode():
            answers.append(load_artifact(tmp_path / "m")(images))
    assert sizes[1] < 0.78 * sizes[0]
    off = (answers[0] - answers[1]).norm() / answers[0].norm()
    assert 0 < off < 0.05


def test_sixteen_bits_hold_what_they_can_and_never_a_step_of_zero(tmp_path: Path) -> None:
    network = build_network("digitnet", weights="scratch", widths=(), classes=2)
    with torch.no_grad():
        network.head[0].bias.copy_(torch.tensor([1e9, -1e9]))
        network.features[0].weight[0].fill_(1e-12)
    config = QuantizationConfig(4, packing=PackingConfig(vector_bits=16))
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    found = load_artifact(tmp_path / "m")
    assert found.head[0].bias.tolist() == [65504, -65504]
    assert read_quantized(tmp_path / "m")["features.0.weight"].levels.scale.min() > 0


def with_facts(path: Path, **changed: object) -> None:
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    facts = json.loads(header["__metadata__"][KEY]) | changed
    header["__metadata__"][KEY] = json.dumps(facts)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[start:])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"version": 3}, "version 3"),
        ({"vector_bits": 8}, "vectors have 8 bits"),
        ({"nodes": []}, "describes 0 bytes"),
        ({"nodes": [["F32", 3], {"a": 0}]}, "describes 12 bytes"),
        ({"nodes": [["F99", 3], {"a": 0}]}, "type 'F99'"),
        ({"nodes": 7}, "another form"),
    ],
)
def test_a_damaged_compact_header_is_refused_with_a_sentence(
    tmp_path: Path, changed: dict[str, object], why: str
) -> None:
    network = build_network("digitnet", weights="scratch", widths=(), classes=2)
    config = QuantizationConfig(4, packing=COMPACT)
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    with_facts(tmp_path / "m", **changed)
    with pytest.raises(ArtifactError, match=why):
        load_artifact(tmp_path / "m")


def test_names_of_other_tensors_are_refused(tmp_path: Path) -> None:
    network = build_network("digitnet", weights="scratch", widths=(), classes=2)
    config = QuantizationConfig(4, packing=COMPACT)
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    content = (tmp_path / "m").read_bytes()
    (tmp_path / "m").write_bytes(content.replace(b'\\"bias\\"', b'\\"bies\\"'))
    with pytest.raises(ArtifactError, match="bias"):
        load_artifact(tmp_path / "m")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"vector_bits": 8}, "32 or 16"),
        ({"header": "zip"}, "json and compact"),
        ({"merge_norms": 1}, "true or false"),
    ],
)
def test_unknown_forms_are_refused(given: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        PackingConfig(**given)  # type: ignore[arg-type]


def test_float_weights_stay_in_32_bits(tmp_path: Path) -> None:
    network = build_network("digitnet", weights="scratch", widths=(), classes=2)
    config = QuantizationConfig(packing=PackingConfig(vector_bits=16))
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    found = load_artifact(tmp_path / "m").state_dict()
    given_state = network.state_dict()
    for name, tensor in given_state.items():
        expected = tensor if tensor.ndim > 1 else tensor.half().float()
        assert torch.equal(found[name], expected)
        assert np.isfinite(found[name].numpy()).all()
