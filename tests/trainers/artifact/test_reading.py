"""What comes back from a packed file, and what is refused."""

import json
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from trainers.artifact import (
    load_artifact,
    predict_bytes,
    read_header,
    read_quantized,
    write_artifact,
)
from trainers.errors import ArtifactError
from trainers.networks.network import Network, build_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.config import QUANTIZERS, SCOPES
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import dequantize

Facts = dict[str, Any]


@pytest.fixture(scope="module")
def network() -> Network:
    return build_network("digitnet", weights="scratch", widths=(6,), classes=3).eval()


@pytest.fixture(scope="module")
def content(network: Network, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("written") / "m"
    write_artifact(
        network, path, quantization=QuantizationConfig(bits=3, fc_bits=5), classes=["a", "b", "c"]
    )
    return path.read_bytes()


@pytest.fixture
def altered(content: bytes, tmp_path: Path) -> Callable[..., Path]:
    """Writes the file again with another header, other facts or other tensors."""

    def write(
        facts: Callable[[Facts], object] = lambda _: None,
        tensors: Callable[[dict[str, np.ndarray]], object] = lambda _: None,
        content: bytes = content,
    ) -> Path:
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        described = json.loads(header.pop("__metadata__")["paretune"])
        arrays = {}
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            dtype = {"F32": np.float32, "I8": np.int8, "U8": np.uint8}[entry["dtype"]]
            array = np.frombuffer(content[start + first : start + last], dtype)
            arrays[name] = array.reshape(entry["shape"]).copy()
        facts(described)
        tensors(arrays)
        save_file(arrays, tmp_path / "m", {"paretune": json.dumps(described)})
        return tmp_path / "m"

    return write


@pytest.mark.slow
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_weights_come_back_bit_for_bit(
    tmp_path: Path, network: Network, quantizer: str, scope: str, bits: int
) -> None:
    config = QuantizationConfig(bits, 10 - bits, quantizer, scope, layer_bits={2: 3, 5: 32})
    info = write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    assert info.bytes == predict_bytes(network.spec, config, None)
    loaded = load_artifact(tmp_path / "m")
    quantized = quantize_network(network, config)
    expected = network.state_dict() | {k: dequantize(q) for k, q in quantized.items()}
    state = loaded.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


@pytest.mark.slow
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_codes_and_levels_come_back_as_they_are(
    tmp_path: Path, network: Network, quantizer: str, scope: str
) -> None:
    config = QuantizationConfig(3, 5, quantizer, scope)
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    found, expected = read_quantized(tmp_path / "m"), quantize_network(network, config)
    assert list(found) == list(expected)
    for name, quantized in expected.items():
        assert torch.equal(found[name].codes, quantized.codes)
        assert (found[name].bits, found[name].scheme) == (quantized.bits, quantizer)
        for part in ("scale", "zero_point", "codebook"):
            there, wanted = getattr(found[name], part), getattr(quantized, part)
            assert (there is None) == (wanted is None)
            assert there is None or torch.equal(there, wanted)


def test_codes_of_a_damaged_file_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").write_bytes(content[:-1])
    with pytest.raises(ArtifactError, match="cannot be read as a packed network"):
        read_quantized(tmp_path / "m")


def test_logits_are_those_of_the_quantized_network(tmp_path: Path, network: Network) -> None:
    config = QuantizationConfig(bits=3, fc_bits=4)
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    twin = build_network("digitnet", weights="scratch", widths=(6,), classes=3, seed=9).eval()
    weights = {name: dequantize(q) for name, q in quantize_network(network, config).items()}
    twin.load_state_dict(network.state_dict() | weights)
    images = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(load_artifact(tmp_path / "m")(images), twin(images))


def test_float32_networks_come_back_unchanged(tmp_path: Path, network: Network) -> None:
    write_artifact(network, tmp_path / "m", quantization=QuantizationConfig(), classes=None)
    state = load_artifact(tmp_path / "m").state_dict()
    assert all(torch.equal(state[name], t) for name, t in network.state_dict().items())


def test_what_is_loaded_is_ready_to_be_measured(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m"
    path.write_bytes(content)
    loaded = load_artifact(path)
    # What was loaded is independent of the file.
    path.write_bytes(bytes(len(content)))
    assert not any(module.training for module in loaded.modules())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert {tensor.device.type for tensor in loaded.state_dict().values()} == {"cpu"}
    assert bool(torch.isfinite(loaded(torch.zeros(1, 1, 28, 28))).all())


def test_what_is_loaded_can_be_written_again_without_loss(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    first = load_artifact(tmp_path / "a")
    write_artifact(first, tmp_path / "b", quantization=QuantizationConfig(), classes=None)
    second = load_artifact(tmp_path / "b").state_dict()
    assert all(torch.equal(second[name], t) for name, t in first.state_dict().items())


def test_the_header_says_what_was_written(
    tmp_path: Path, network: Network, content: bytes
) -> None:
    (tmp_path / "m").write_bytes(content)
    header = read_header(tmp_path / "m")
    assert (header.version, header.spec, header.classes) == (1, network.spec, ("a", "b", "c"))
    assert (header.quantized.scheme, header.quantized.scope) == ("symmetric", "channel")
    assert {plan.bits for plan in header.quantized.weights.values()} == {3, 5}
    assert header.shapes["head.0.weight"] == (6, 576)


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        for read in (load_artifact, read_header):
            with pytest.raises(ArtifactError, match="cannot be read as a packed network"):
                read(path)


def test_truncated_and_overlong_files_are_refused(tmp_path: Path, content: bytes) -> None:
    for broken in (b"", content[:7], content[:100], content[:-1], content + b"\0", content * 2):
        (tmp_path / "m").write_bytes(broken)
        with pytest.raises(ArtifactError, match="cannot be read as a packed network"):
            load_artifact(tmp_path / "m")


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "m").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ArtifactError):
        load_artifact(tmp_path / "m")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "m")
    with pytest.raises(ArtifactError):
        load_artifact(tmp_path / "m")
    assert not (tmp_path / "ran").exists()


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "m", metadata)
        with pytest.raises(ArtifactError, match="of another program"):
            load_artifact(tmp_path / "m")


def set_spec(**values: Any) -> Callable[[Facts], None]:
    return lambda facts: facts["spec"].update(values)


CONV = "features.0.weight"


def set_entry(**values: Any) -> Callable[[Facts], None]:
    return lambda facts: facts["tensors"][CONV].update(values)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f.update(version=3), "version 3, and this program reads 1 and 2"),
        (lambda f: f.pop("version"), "another form than expected .*version"),
        (lambda f: f.pop("spec"), "another form than expected .*spec"),
        (lambda f: f.update(spec=[]), ""),
        (lambda f: f.update(tensors=[1]), ""),
        (lambda f: f.update(classes="abc"), "not a list of texts"),
        (lambda f: f.update(classes=[1, 2, 3]), "not a list of texts"),
        (lambda f: f.update(classes=["a"]), "names 1 classes and tells 3 apart"),
        (set_spec(backbone="resnet18"), "too small for resnet18"),
        (set_spec(backbone="nosuchnet"), "no backbone named 'nosuchnet'"),
        (set_spec(widths=[7]), "architecture"),
        (set_spec(widths=[6, 6]), "architecture"),
        (set_spec(widths=[6] * 100_000), "at most 3 hidden layers"),
        (set_spec(widths=[10**12]), "architecture"),
        (set_spec(widths=[10**18, 10**18]), ""),
        (set_spec(widths=[10**30]), ""),
        (set_spec(widths=[-6]), "at least one unit"),
        (set_spec(widths="x"), ""),
        (set_spec(widths=[1e999]), "Infinity"),
        (set_spec(classes=10**12), "names 3 classes"),
        (lambda f: f["spec"]["input"].update(mean=[float("nan")]), "NaN"),
        (set_spec(n_features=10**12), "architecture"),
        (set_spec(n_features=None), ""),
        (set_spec(input=None), ""),
        (lambda f: f.update(scheme="codebook"), "unknown scheme 'codebook'"),
        (lambda f: f.update(scope="row"), "unknown scope 'row'"),
        (lambda f: f.pop("scope"), "another form than expected .*scope"),
        (set_entry(levels=3), "the levels 3"),
        (set_entry(levels="else"), "under else.scale it holds nothing"),
        (set_entry(levels="features.2.weight"), "features.0.weight.scale"),
        (set_entry(levels="head.0.weight"), "shares .*with a weight of other levels"),
        (set_entry(bits=4), "features.0.weight.codes"),
        (set_entry(bits=0), "has 0 bits"),
        (set_entry(bits=True), "has True bits"),
        (set_entry(bits="3"), ""),
        (set_entry(shape=[16, 1, 9]), "features.0.weight of shape"),
        (set_entry(shape=[10**12, 1, 3, 3]), "features.0.weight of shape"),
        (set_entry(shape=3), ""),
        (lambda f: f["tensors"].pop(CONV), "features.0.weight"),
        (lambda f: f["tensors"].update(more=f["tensors"][CONV]), "no such tensor"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(
    altered: Callable[..., Path], change: Callable[[Facts], object], reason: str
) -> None:
    path = altered(facts=change)
    with pytest.raises(ArtifactError, match=rf"cannot be read as a packed network: .*{reason}"):
        load_artifact(path)


def test_a_number_too_large_for_a_float_is_refused(tmp_path: Path, content: bytes) -> None:
    broken = content.replace(b'\\"std\\":[0.353]', b'\\"std\\":[9e999]')
    assert broken != content
    (tmp_path / "m").write_bytes(broken)
    with pytest.raises(ArtifactError, match="its header holds the number 9e999"):
        load_artifact(tmp_path / "m")


def put(name: str, value: float) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda arrays: arrays[name].__setitem__((0,) * arrays[name].ndim, value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: a.pop("head.0.bias"), "under head.0.bias it holds nothing"),
        (lambda a: a.pop(CONV + ".scale"), "under features.0.weight.scale it holds nothing"),
        (lambda a: a.update(more=np.zeros(3)), "under more it holds"),
        (lambda a: a.update({"head.0.bias": np.zeros(7, np.float32)}), r"\(7,\)"),
        (lambda a: a.update({"head.0.bias": np.zeros(6, np.float16)}), "F16"),
        (lambda a: a.update({"head.0.bias": np.zeros((6, 1), np.float32)}), r"\(6, 1\)"),
        (lambda a: a.update({CONV + ".codes": np.zeros(53, np.uint8)}), r"\(53,\)"),
        (lambda a: a.update({CONV + ".codes": np.zeros(54, np.int8)}), "I8"),
        (put("head.0.bias", np.nan), "1 of 6 values of head.0.bias are NaN or infinite"),
        (put("head.2.bias", -np.inf), "1 of 3 values of head.2.bias"),
        (put(CONV + ".scale", np.nan), "1 of 16 values of features.0.weight.scale"),
        (put(CONV + ".scale", 0), "steps that are not positive"),
        (put(CONV + ".scale", -1), "steps that are not positive"),
        (put(CONV + ".scale", 3e38), "overflows float32"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    altered: Callable[..., Path], change: Callable[[dict[str, np.ndarray]], object], reason: str
) -> None:
    path = altered(tensors=change)
    with pytest.raises(ArtifactError, match=f"cannot be read as a packed network: .*{reason}"):
        load_artifact(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "change", "reason"),
    [
        (("affine", "channel"), put(CONV + ".zero_point", 4), "codes that 3 bits do not hold"),
        (("affine", "layer"), put(CONV + ".zero_point", -5), "codes that 3 bits do not hold"),
        (("affine", "layer"), put(CONV + ".scale", np.inf), "1 of 1 values of .*scale are NaN"),
        (
            ("affine", "layer"),
            lambda a: a.pop(CONV + ".zero_point"),
            "zero_point it holds nothing",
        ),
        (("kmeans", "layer"), put(CONV + ".codebook", 9), "levels that do not ascend"),
        (("kmeans", "layer"), put(CONV + ".codebook", np.nan), "1 of 8 values of .*codebook"),
        (("entropy", "layer"), lambda a: a.pop(CONV + ".codebook"), "codebook it holds nothing"),
        (("kmeans", "global"), lambda a: a.pop("head.fc_5.codebook"), "codebook it holds nothing"),
        (("kmeans", "global"), put("features.conv_3.codebook", 9), "levels that do not ascend"),
    ],
)
def test_levels_that_do_not_fit_are_refused(
    altered: Callable[..., Path],
    tmp_path: Path,
    network: Network,
    config: tuple[str, str],
    change: Callable[[dict[str, np.ndarray]], object],
    reason: str,
) -> None:
    quantization = QuantizationConfig(3, 5, *config)
    info = write_artifact(network, tmp_path / "q", quantization=quantization, classes=None)
    path = altered(tensors=change, content=info.path.read_bytes())
    for read in (load_artifact, read_quantized):
        with pytest.raises(ArtifactError, match=f"cannot be read as a packed network: .*{reason}"):
            read(path)


def test_a_few_bytes_that_claim_a_huge_network_take_no_memory(tmp_path: Path) -> None:
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}
    ).encode()
    for length in (len(header), 10**12, 2**64 - 1):
        (tmp_path / "m").write_bytes(struct.pack("<Q", length) + header)
        with pytest.raises(ArtifactError):
            load_artifact(tmp_path / "m")


def test_a_deeply_nested_header_is_refused(tmp_path: Path) -> None:
    nested = "[" * 100_000 + "]" * 100_000
    save_file({"w": np.zeros(1)}, tmp_path / "m", {"paretune": nested})
    with pytest.raises(ArtifactError):
        load_artifact(tmp_path / "m")


def _loads_or_is_refused(path: Path) -> None:
    try:
        loaded = load_artifact(path)
    except ArtifactError:
        return
    assert all(bool(torch.isfinite(t).all()) for t in loaded.state_dict().values())


@pytest.fixture(scope="module")
def contents(
    network: Network, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> list[bytes]:
    """Files of several quantizers."""
    path = tmp_path_factory.mktemp("several") / "m"
    found = [content]
    for quantizer, scope in (("affine", "channel"), ("affine", "global"), ("kmeans", "global")):
        config = QuantizationConfig(2, 3, quantizer, scope)
        write_artifact(network, path, quantization=config, classes=None)
        found.append(path.read_bytes())
    return found


@pytest.mark.slow
@given(st.data())
def test_flipped_bits_are_refused_or_harmless(
    tmp_path: Path, contents: list[bytes], data: st.DataObject
) -> None:
    content = data.draw(st.sampled_from(contents))
    damaged = bytearray(content)
    header_bits = 8 * (8 + int.from_bytes(content[:8], "little"))
    # Half of the flips go to the header, which is a twentieth of the file.
    place = st.integers(0, header_bits - 1) | st.integers(0, 8 * len(content) - 1)
    for bit in data.draw(st.lists(place, min_size=1, max_size=4)):
        damaged[bit // 8] ^= 1 << bit % 8
    (tmp_path / "m").write_bytes(damaged)
    _loads_or_is_refused(tmp_path / "m")


@given(st.data())
def test_every_truncation_is_refused(tmp_path: Path, content: bytes, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(content) - 1))
    (tmp_path / "m").write_bytes(content[:length])
    with pytest.raises(ArtifactError):
        load_artifact(tmp_path / "m")


@given(st.binary(max_size=200))
@example(b"\x02\0\0\0\0\0\0\0{}")
@example(b"\x14\0\0\0\0\0\0\0" + b'{"__metadata__":{}} ')
def test_any_bytes_are_refused(tmp_path: Path, noise: bytes) -> None:
    (tmp_path / "m").write_bytes(noise)
    with pytest.raises(ArtifactError):
        load_artifact(tmp_path / "m")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.mark.slow
@given(st.data())
def test_any_json_in_the_place_of_a_fact_is_refused_or_harmless(
    altered: Callable[..., Path], contents: list[bytes], data: st.DataObject
) -> None:
    def change(facts: Facts) -> None:
        target = facts
        while True:
            key = data.draw(st.sampled_from(sorted(target)))
            if not isinstance(target[key], dict) or data.draw(st.booleans()):
                break
            target = target[key]
        target[key] = data.draw(_JSON)

    _loads_or_is_refused(altered(facts=change, content=data.draw(st.sampled_from(contents))))


@pytest.mark.slow
def test_a_new_process_reads_an_artifact_without_torchs_compiler(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "m").write_bytes(content)
    # Its import takes seconds, which every worker of a sweep would pay.
    script = (
        "import sys; from pathlib import Path; from trainers.artifact import load_artifact;"
        "load_artifact(Path(sys.argv[1])); print('torch._dynamo' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "m")]
    folder = Path(__file__).parents[3]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
