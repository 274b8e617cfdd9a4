"""The compressed artifact: as small as its codings make it, and the same bytes again."""

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainers.artifact import write_artifact
from trainers.artifact.codings import Piece, compressed, decoded, decompressed, smallest_coding
from trainers.artifact.storage import compress_artifact, decompress_artifact, read_storage
from trainers.errors import ArtifactError
from trainers.networks.network import Network, build_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.config import QUANTIZERS, SCOPES
from trainers.quantization.packing import pack_codes, packed_bytes


@pytest.fixture(scope="module")
def network() -> Network:
    return build_network("digitnet", weights="scratch", widths=(6,), classes=3).eval()


@pytest.fixture(scope="module")
def artifact(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "m"
    config = QuantizationConfig(bits=3, fc_bits=5)
    write_artifact(network, path, quantization=config, classes=["a", "b", "c"])
    return path


@pytest.fixture(scope="module")
def content(artifact: Path) -> bytes:
    compress_artifact(artifact, artifact.with_name("c"))
    return artifact.with_name("c").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("bits", [2, 5, 8, 32])
def test_the_artifact_comes_back_byte_for_byte(
    tmp_path: Path, network: Network, quantizer: str, scope: str, bits: int
) -> None:
    config = QuantizationConfig(bits, bits, quantizer, scope)
    info = write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    stored = compress_artifact(info.path, tmp_path / "c")
    decompress_artifact(tmp_path / "c", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == info.path.read_bytes()
    assert stored.bytes == (tmp_path / "c").stat().st_size < info.bytes
    assert read_storage(tmp_path / "c") == stored


def test_every_tensor_has_a_coding(artifact: Path, content: bytes) -> None:
    stored = read_storage(artifact.with_name("c"))
    assert stored.bytes == len(content)
    assert "features.0.weight.codes" in stored.codings
    assert stored.codings["head.0.bias"] in ("plain", "zstd", "zstd_planes")


def test_pruned_weights_are_stored_by_their_places(tmp_path: Path, network: Network) -> None:
    sizes = []
    for kept in (1.0, 0.3, 0.02):
        twin = build_network("digitnet", weights="scratch", widths=(6,), classes=3)
        with torch.no_grad():
            for parameter in twin.parameters():
                draw = torch.rand(parameter.shape, generator=torch.Generator().manual_seed(0))
                parameter.mul_(draw < kept)
        config = QuantizationConfig(bits=8, fc_bits=8)
        info = write_artifact(twin, tmp_path / "m", quantization=config, classes=None)
        stored = compress_artifact(info.path, tmp_path / "c")
        sizes.append(stored.bytes)
        decompress_artifact(tmp_path / "c", tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == info.path.read_bytes()
    assert sizes[1] < 0.6 * sizes[0]
    assert sizes[2] < 0.2 * sizes[0]
    assert {"bitmap", "positions"} & set(stored.codings.values())


@pytest.mark.slow
def test_levels_that_cost_less_weigh_less(tmp_path: Path, network: Network) -> None:
    sizes = []
    for weight in (0.0, 8.0, 64.0):
        config = QuantizationConfig(6, 6, "entropy", "layer", rate_weight=weight)
        info = write_artifact(network, tmp_path / "m", quantization=config, classes=None)
        sizes.append(compress_artifact(info.path, tmp_path / "c").bytes)
        assert info.bytes == (tmp_path / "m").stat().st_size
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.8 * sizes[0]


@given(st.data())
@pytest.mark.slow
def test_every_coding_gives_the_codes_again(data: st.DataObject) -> None:
    bits = data.draw(st.integers(2, 8))
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    elements = st.sampled_from([0, low, high]) | st.integers(low, high)
    fill = st.sampled_from([0, low, high])
    # Long runs of one code have gaps that a byte does not hold.
    codes = data.draw(hnp.arrays(np.int8, st.integers(0, 900), elements=elements, fill=fill))
    piece = Piece("w", packed_bytes(codes.size, bits), "U8", bits, codes.size)
    packed = pack_codes(codes, bits).tobytes()
    coding, coded = smallest_coding(piece, packed)
    assert decoded(piece, coding, coded) == packed
    assert len(coded) <= len(packed)


@pytest.mark.parametrize("gap", [0, 253, 254, 255, 256, 509, 510, 511, 70_000])
def test_gaps_of_any_length_come_back(gap: int) -> None:
    codes = np.zeros(gap + 2, np.int8)
    codes[gap] = -3
    piece = Piece("w", packed_bytes(codes.size, 3), "U8", 3, codes.size)
    packed = pack_codes(codes, 3).tobytes()
    coding, coded = smallest_coding(piece, packed)
    assert decoded(piece, coding, coded) == packed
    if gap == 70_000:
        assert len(coded) < 100


@given(st.binary(max_size=200).map(lambda data: data[: len(data) // 4 * 4]))
def test_floats_come_back_whatever_they_are(data: bytes) -> None:
    piece = Piece("w", len(data), "F32")
    coding, coded = smallest_coding(piece, data)
    assert decoded(piece, coding, coded) == data


def test_float_weights_are_smaller_by_planes() -> None:
    weights = np.random.default_rng(0).normal(0, 0.02, 10_000).astype(np.float32).tobytes()
    coding, coded = smallest_coding(Piece("w", len(weights), "F32"), weights)
    assert coding == "zstd_planes"
    assert len(coded) < 0.94 * len(weights)


def test_a_frame_that_would_fill_the_memory_is_refused_beforehand() -> None:
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(10_000_000))
    with pytest.raises(ValueError, match="claims to hold more than 100 bytes"):
        decompressed(bomb, 100)
    with pytest.raises(zstandard.ZstdError):
        decompressed(compressed(bytes(10_000_000)), 100)


def test_a_network_that_is_too_large_is_refused(artifact: Path, content: bytes) -> None:
    path, again = artifact.with_name("c"), artifact.with_name("again")
    with pytest.raises(ArtifactError, match="no more than 1,000 are wanted"):
        decompress_artifact(path, again, most_bytes=1000)
    assert not again.exists()


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read as a compressed network"):
        decompress_artifact(tmp_path / "absent", tmp_path / "again")
    with pytest.raises(ArtifactError, match="cannot be read as a compressed network"):
        read_storage(tmp_path / "absent")
    with pytest.raises(ArtifactError, match="cannot be read as a packed network"):
        compress_artifact(tmp_path / "absent", tmp_path / "c")


def test_what_is_no_artifact_is_not_compressed(tmp_path: Path, artifact: Path) -> None:
    whole = artifact.read_bytes()
    for broken in (b"", b"nothing", whole[:-1], whole + b"\0", whole[:40]):
        (tmp_path / "m").write_bytes(broken)
        with pytest.raises(ArtifactError, match="cannot be read as a packed network"):
            compress_artifact(tmp_path / "m", tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_an_artifact_itself_is_not_taken_for_a_compressed_one(artifact: Path) -> None:
    with pytest.raises(ArtifactError, match="a file of another program"):
        decompress_artifact(artifact, artifact.with_name("again"))


def indexed(content: bytes, old: bytes, new: bytes) -> bytes:
    """The file with another index."""
    magic, digest, length = struct.unpack_from("<8s32sI", content)
    index = decompressed(content[44 : 44 + length], 1 << 20)
    if old not in index:
        # In the artifact's own header, JSON stands within JSON.
        old, new = old.replace(b'"', b'\\"'), new.replace(b'"', b'\\"')
    assert old in index
    frame = compressed(index.replace(old, new, 1))
    return struct.pack("<8s32sI", magic, digest, len(frame)) + frame + content[44 + length :]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'[["', b'[["nothing",1],["', "tensors in the place of"),
        (b'"plain"', b'"gzip"', "unknown coding 'gzip'"),
        (b'"bits":3', b'"bits":4', "codes of 4 bits"),
        (b'"bits":3', b'"bits":0', "codes of 0 bits"),
        (b'"bits":3', b'"bits":-3', "-3 stands in the place of a number"),
        (b'"data_offsets":[0,', b'"data_offsets":[4,', "no place"),
        (b"\n", b"", "cannot be read as a compressed network"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(
    tmp_path: Path, content: bytes, old: bytes, new: bytes, reason: str
) -> None:
    (tmp_path / "c").write_bytes(indexed(content, old, new))
    with pytest.raises(ArtifactError, match=reason):
        decompress_artifact(tmp_path / "c", tmp_path / "again")
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.slow
@given(st.data())
def test_damage_is_refused_or_harmless(
    tmp_path: Path, artifact: Path, content: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(content)
    place = st.integers(0, 800) | st.integers(0, 8 * len(content) - 1)
    for bit in data.draw(st.lists(place, min_size=1, max_size=4)):
        damaged[bit // 8] ^= 1 << bit % 8
    (tmp_path / "c").write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        decompress_artifact(tmp_path / "c", tmp_path / "again")
    except ArtifactError:
        return
    assert (tmp_path / "again").read_bytes() == artifact.read_bytes()


def test_the_file_names_the_artifact_it_was_made_of(artifact: Path, content: bytes) -> None:
    assert content[8:40] == hashlib.sha256(artifact.read_bytes()).digest()
    altered = bytearray(content)
    altered[8] ^= 1
    artifact.with_name("altered").write_bytes(altered)
    with pytest.raises(ArtifactError, match="not what was written"):
        decompress_artifact(artifact.with_name("altered"), artifact.with_name("again"))


def test_the_index_is_one_line_of_json(content: bytes) -> None:
    length = int.from_bytes(content[40:44], "little")
    line = decompressed(content[44 : 44 + length], 1 << 20).split(b"\n")[0]
    assert sum(size for _, size in json.loads(line)) == len(content) - 44 - length
