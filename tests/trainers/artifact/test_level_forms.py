"""Groups of channels and levels of 8 bits in a file: what is read is what was written."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainers.artifact.test_packing_forms import with_facts
from trainers.artifact import (
    compress_artifact,
    decompress_artifact,
    load_artifact,
    predict_bytes,
    read_header,
    read_quantized,
    write_artifact,
)
from trainers.errors import ArtifactError
from trainers.networks.network import Network, build_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.config import QUANTIZERS
from trainers.quantization.packing_config import PackingConfig
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import dequantize

SCOPES = st.sampled_from(["channel", "channels:2", "channels:5", "channels:64", "layer", "global"])
EIGHT = QuantizationConfig(4, 4, "kmeans", "channels:4", codebook_bits=8)


def network() -> Network:
    return build_network("digitnet[depth=1]", weights="scratch", widths=(9,), classes=3)


@pytest.mark.slow
@settings(max_examples=20)
@given(
    quantizer=st.sampled_from(QUANTIZERS),
    scope=SCOPES,
    bits=st.integers(2, 8),
    codebook_bits=st.sampled_from([8, 32]),
    header=st.sampled_from(["json", "compact"]),
    step=st.sampled_from(["absmax", "kl"]),
)
def test_what_is_unpacked_is_what_was_packed(
    bits: int, quantizer: str, scope: str, codebook_bits: int, header: str, step: str
) -> None:
    given_network, packing = network(), PackingConfig(header=header)
    config = QuantizationConfig(
        bits, 3, quantizer, scope, step=step, codebook_bits=codebook_bits, packing=packing
    )
    expected = quantize_network(given_network, config)
    with TemporaryDirectory() as folder:
        path = Path(folder, "m")
        info = write_artifact(given_network, path, quantization=config, classes=None)
        assert info.bytes == path.stat().st_size
        assert info.bytes == predict_bytes(given_network.spec, config, None)
        found, state = read_quantized(path), load_artifact(path).state_dict()
        compress_artifact(path, path.with_suffix(".small"))
        decompress_artifact(path.with_suffix(".small"), path.with_suffix(".again"))
        assert path.with_suffix(".again").read_bytes() == path.read_bytes()
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        assert torch.equal(found[name].codes, weight.codes)
        # Bit for bit, the sign of zero included.
        values = dequantize(weight).view(torch.int32)
        assert torch.equal(dequantize(found[name]).view(torch.int32), values)
        assert torch.equal(state[name].view(torch.int32), values)


def test_a_level_takes_a_byte_and_its_group_a_step(tmp_path: Path) -> None:
    given_network = network()
    names = quantize_network(given_network, EIGHT)
    wide = write_artifact(
        given_network, tmp_path / "a", quantization=replace(EIGHT, codebook_bits=32), classes=None
    )
    small = write_artifact(given_network, tmp_path / "b", quantization=EIGHT, classes=None)
    groups = sum(-(-len(given_network.get_parameter(name)) // 4) for name in names)
    saved = groups * (16 * 4 - (16 + 4))
    assert wide.head_bytes + wide.backbone_bytes - small.head_bytes - small.backbone_bytes == saved


def test_steps_of_16_bits_are_what_levels_are_read_with(tmp_path: Path) -> None:
    config = replace(EIGHT, packing=PackingConfig(vector_bits=16))
    info = write_artifact(network(), tmp_path / "m", quantization=config, classes=None)
    assert info.bytes == predict_bytes(network().spec, config, None)
    for weight in read_quantized(tmp_path / "m").values():
        step, entries = weight.levels.entry_step, weight.levels.entries
        assert torch.equal(step.half().float(), step)
        assert torch.equal(entries * step.unsqueeze(1), weight.codebook)


def test_a_file_of_floats_says_nothing_of_the_bits_of_its_levels(tmp_path: Path) -> None:
    # So that files of earlier versions are read, and new ones of these forms are what they were.
    config = QuantizationConfig(4, 4, "kmeans")
    write_artifact(network(), tmp_path / "m", quantization=config, classes=None)
    assert b"codebook_bits" not in (tmp_path / "m").read_bytes()
    assert read_header(tmp_path / "m").quantized.codebook_bits == 32
    spaced = replace(EIGHT, quantizer="affine")
    write_artifact(network(), tmp_path / "n", quantization=spaced, classes=None)
    assert b"codebook_bits" not in (tmp_path / "n").read_bytes()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"codebook_bits": 4}, "unknown 4 bits"),
        ({"codebook_bits": 32}, "it holds"),
        ({"scope": "channels:1"}, "unknown scope 'channels:1'"),
        ({"scope": "channels:3"}, "it holds"),
        ({"scheme": "symmetric"}, "'symmetric' have the unknown 8 bits"),
        ({"scope": ["channel"]}, "another form"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(
    tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    write_artifact(network(), tmp_path / "m", quantization=EIGHT, classes=None)
    with_facts(tmp_path / "m", **changed)
    with pytest.raises(ArtifactError, match=why):
        load_artifact(tmp_path / "m")
