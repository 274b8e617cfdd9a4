"""The packed file: its size, its content, and that it appears whole or not at all."""

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trainers.artifact import load_artifact, predict_bytes, read_quantized, write_artifact
from trainers.errors import ArtifactError
from trainers.networks.network import Network, build_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import QuantizedWeight

CLASSES = tuple("abc")
FOUR = QuantizationConfig(bits=4, fc_bits=4)


def digitnet(widths: tuple[int, ...] = (8,), *, dropout: float = 0.0, seed: int = 0) -> Network:
    return build_network(
        "digitnet", weights="scratch", widths=widths, classes=3, dropout=dropout, seed=seed
    )


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8, 32])
@pytest.mark.parametrize("fc_bits", [32, 3])
def test_the_predicted_size_is_the_size_on_disk(tmp_path: Path, bits: int, fc_bits: int) -> None:
    network = digitnet((5, 7))
    config = QuantizationConfig(bits=bits, fc_bits=fc_bits)
    info = write_artifact(network, tmp_path / "m", quantization=config, classes=CLASSES)
    assert info.bytes == (tmp_path / "m").stat().st_size
    assert info.bytes == predict_bytes(network.spec, config, CLASSES)


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone", ["mobilenet_v2", "squeezenet1_1", "resnet18", "densenet121", "efficientnet_b0"]
)
def test_torchvision_backbones_have_the_predicted_size_and_come_back(
    tmp_path: Path, backbone: str
) -> None:
    network = build_network(backbone, weights="scratch", widths=(6,), classes=3)
    config = QuantizationConfig(bits=3, fc_bits=8)
    info = write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    assert info.bytes == info.path.stat().st_size == predict_bytes(network.spec, config, None)
    loaded = load_artifact(info.path)
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert bool(torch.isfinite(loaded(images)).all())


def test_the_size_does_not_depend_on_the_weights(tmp_path: Path) -> None:
    sizes = {
        write_artifact(
            digitnet(seed=seed), tmp_path / f"{seed}", quantization=FOUR, classes=CLASSES
        ).bytes
        for seed in range(3)
    }
    assert len(sizes) == 1


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    infos = [
        write_artifact(digitnet(), tmp_path / name, quantization=FOUR, classes=CLASSES)
        for name in ("a", "b")
    ]
    assert infos[0].sha256 == infos[1].sha256
    assert infos[0].sha256 == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()


def test_data_weigh_what_the_formula_says(tmp_path: Path) -> None:
    network = digitnet()
    info = write_artifact(
        network,
        tmp_path / "m",
        quantization=QuantizationConfig(bits=3, fc_bits=5),
        classes=CLASSES,
    )
    expected = {"head": 0, "features": 0}
    for name, tensor in network.named_parameters():
        part = name.partition(".")[0]
        bits = {"head": 5, "features": 3}[part]
        if tensor.ndim >= 2:
            expected[part] += math.ceil(tensor.numel() * bits / 8) + 4 * len(tensor)
        else:
            expected[part] += 4 * tensor.numel()
    assert (info.head_bytes, info.backbone_bytes) == (expected["head"], expected["features"])
    assert info.head_bytes + info.backbone_bytes + info.header_bytes == info.bytes


def test_the_library_reads_the_container(tmp_path: Path) -> None:
    network = digitnet()
    write_artifact(network, tmp_path / "m", quantization=QuantizationConfig(), classes=None)
    stored = load_file(tmp_path / "m")
    assert stored.keys() == network.state_dict().keys()
    assert all(torch.equal(stored[name], t) for name, t in network.state_dict().items())


@pytest.mark.parametrize("name", ["c", "cc", "ccc", "cccc"])
def test_tensors_are_aligned(tmp_path: Path, name: str) -> None:
    write_artifact(
        digitnet((5,)),
        tmp_path / "m",
        quantization=QuantizationConfig(bits=3, fc_bits=7),
        classes=["a", "b", name],
    )
    content = (tmp_path / "m").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    header.pop("__metadata__")
    assert all(t["data_offsets"][0] % 4 == 0 for t in header.values() if t["dtype"] == "F32")


def test_nothing_varies_from_place_to_place_or_time_to_time(tmp_path: Path) -> None:
    write_artifact(
        digitnet(),
        tmp_path / "m",
        quantization=QuantizationConfig(bits=2),
        classes=["ä", '"', "c"],
    )
    content = (tmp_path / "m").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    facts = json.loads(header["__metadata__"]["paretune"])
    assert facts.keys() == {"version", "spec", "classes", "scheme", "scope", "tensors"}
    assert (facts["scheme"], facts["scope"]) == ("symmetric", "channel")
    assert facts["classes"] == ["ä", '"', "c"]
    assert facts["tensors"]["features.0.weight"] == {"bits": 2, "shape": [16, 1, 3, 3]}


def test_dropout_changes_neither_file_nor_answers(tmp_path: Path) -> None:
    plain, dropped = digitnet((8, 8)), digitnet((8, 8), dropout=0.5)
    infos = [
        write_artifact(network, tmp_path / name, quantization=FOUR, classes=CLASSES)
        for name, network in (("plain", plain), ("dropped", dropped))
    ]
    assert infos[0].sha256 == infos[1].sha256


@pytest.mark.slow
def test_batch_counters_are_left_out(tmp_path: Path) -> None:
    network = build_network("mobilenet_v3_small", weights="scratch", widths=(4,), classes=3)
    write_artifact(
        network, tmp_path / "m", quantization=QuantizationConfig(bits=8, fc_bits=8), classes=None
    )
    assert not [name for name in load_file(tmp_path / "m") if "num_batches" in name]
    state = load_artifact(tmp_path / "m").state_dict()
    assert state.keys() == network.state_dict().keys()


def test_the_network_is_not_changed_by_writing_it(tmp_path: Path) -> None:
    network = digitnet().train()
    network.set_trainable("head")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    write_artifact(
        network, tmp_path / "m", quantization=QuantizationConfig(bits=2, fc_bits=2), classes=None
    )
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert network.head.training
    assert [p.requires_grad for p in network.head.parameters()] == [True] * 4


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["features.0.weight", "head.0.bias"])
def test_what_is_not_finite_is_named_and_leaves_no_file(
    tmp_path: Path, value: float, name: str
) -> None:
    network = digitnet()
    with torch.no_grad():
        network.get_parameter(name).view(-1)[:2] = value
    with pytest.raises(ArtifactError, match=rf"2 of \d+ values of {name} are NaN or infinite"):
        write_artifact(network, tmp_path / "m", quantization=FOUR, classes=None)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_is_not_what_its_spec_says_is_refused(tmp_path: Path) -> None:
    network = digitnet((8,))
    network.spec = replace(network.spec, widths=(9,))
    with pytest.raises(ArtifactError, match="tensors of other shapes"):
        write_artifact(network, tmp_path / "m", quantization=FOUR, classes=None)
    with pytest.raises(ArtifactError, match="tensors of other shapes or types"):
        write_artifact(digitnet().half(), tmp_path / "m", quantization=FOUR, classes=None)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "m"
    target.write_bytes(b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_artifact(digitnet(), target, quantization=FOUR, classes=None)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert target.read_bytes() == b"before"


def test_what_was_there_is_replaced(tmp_path: Path) -> None:
    for bits in (8, 2):
        info = write_artifact(
            digitnet(),
            tmp_path / "m",
            quantization=QuantizationConfig(bits=bits, fc_bits=bits),
            classes=None,
        )
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [info.bytes]


def test_names_of_classes_must_be_as_many_as_outputs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 names of classes were given for a network with 3"):
        write_artifact(digitnet(), tmp_path / "m", quantization=FOUR, classes=["a", "b"])


def test_bits_of_a_convolution_that_is_not_there_are_refused(tmp_path: Path) -> None:
    config = QuantizationConfig(layer_bits={6: 4, 7: 2})
    with pytest.raises(ValueError, match=r"bits_7 .* the network has 6 convolutions"):
        write_artifact(digitnet(), tmp_path / "m", quantization=config, classes=None)
    with pytest.raises(ValueError, match="bits_7 "):
        predict_bytes(digitnet().spec, config, None)
    assert list(tmp_path.iterdir()) == []


def test_the_size_of_the_largest_network_is_known_without_its_weights() -> None:
    network = digitnet()
    spec = replace(network.spec, widths=(65_536, 65_536, 65_536))
    weights = 576 * 65_536 + 2 * 65_536**2 + 65_536 * 3
    size = predict_bytes(spec, FOUR, CLASSES)
    assert 0 < size - weights / 2 < 2_000_000


def test_weights_that_are_quantized_already_are_written_as_they_are(tmp_path: Path) -> None:
    network = digitnet(dropout=0.5)
    found = quantize_network(network, FOUR)
    given = {name: QuantizedWeight(-weight.codes, weight.levels) for name, weight in found.items()}
    write_artifact(network, tmp_path / "m", quantization=FOUR, classes=None, rounded=given)
    written = read_quantized(tmp_path / "m")
    for stored, weight in zip(written.values(), given.values(), strict=True):
        assert torch.equal(stored.codes, weight.codes)
    given.popitem()
    with pytest.raises(ValueError, match="rounded weights were given of"):
        write_artifact(network, tmp_path / "m", quantization=FOUR, classes=None, rounded=given)
