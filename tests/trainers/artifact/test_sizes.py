"""Bytes by layer are those of the file, and no other file is taken for a packed network."""

from pathlib import Path

import pytest

from trainers.artifact import write_artifact
from trainers.artifact.sizes import HEADER, read_sizes
from trainers.errors import ArtifactError
from trainers.networks.network import build_network
from trainers.quantization import QuantizationConfig


def test_the_layers_add_up_to_the_file_and_to_head_and_backbone(tmp_path: Path) -> None:
    network = build_network("digitnet", weights="scratch", widths=(9,), classes=10)
    config = QuantizationConfig(bits=3, fc_bits=5)
    names = tuple("abcdefghij")
    info = write_artifact(network, tmp_path / "m", quantization=config, classes=names)
    sizes = read_sizes(tmp_path / "m")
    assert sum(sizes.layers.values()) == info.bytes == (tmp_path / "m").stat().st_size
    head = sum(size for layer, size in sizes.layers.items() if layer.startswith("head."))
    assert head == info.head_bytes
    assert next(iter(sizes.layers)) == HEADER
    assert sizes.bits == {layer: 5 if layer.startswith("head.") else 3 for layer in sizes.bits}
    assert {"features.0", "head.0"} <= sizes.bits.keys()
    assert sizes.classes == names


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"\xff" * 64,
        b"\x02\0\0\0\0\0\0\0{}",
        b"\x04\0\0\0\0\0\0\0null",
        b"\x09" + b"\0" * 40,
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ArtifactError, match="not a packed network"):
        read_sizes(tmp_path / "m")


def test_an_absent_file_is_said_to_be_absent(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_sizes(tmp_path / "m")
