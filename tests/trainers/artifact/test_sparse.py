"""Pruned tensors are stored in the smallest form, and read back exactly."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.artifact import (
    compress_artifact,
    decompress_artifact,
    load_artifact,
    read_quantized,
    write_artifact,
)
from trainers.artifact.sparse import (
    Places,
    places_from,
    read_places,
    smallest_places,
    stored_places,
)
from trainers.errors import ArtifactError
from trainers.networks.network import Network, build_network
from trainers.pruning import PruningConfig
from trainers.pruning.masks import Masks
from trainers.quantization import QuantizationConfig
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import dequantize

EXAMPLE = Path(__file__).parents[3] / "examples" / "read_artifact.py"


@given(st.lists(st.booleans(), max_size=300), st.sampled_from([0, *range(2, 9)]))
def test_places_are_read_back(given: list[bool], bits: int) -> None:
    kept = np.array(given, np.bool_)
    before = np.diff(np.flatnonzero(kept), prepend=-1) - 1
    gaps = int((before // (2**bits - 1) + 1).sum()) if bits else 0
    places = Places(kept.size, int(kept.sum()), bits, gaps)
    stored = stored_places(kept, places)
    assert stored.nbytes == places.bytes
    assert np.array_equal(read_places(stored, places), kept)
    assert places_from(places.as_mapping(), kept.size) == places


def test_the_smallest_form_is_chosen() -> None:
    kept = np.zeros(100_000, np.bool_)
    kept[::2] = True
    assert smallest_places(np.ones_like(kept), 4) is None
    assert smallest_places(kept, 32) == Places(100_000, 50_000)
    kept[:] = False
    kept[::20] = True
    found = smallest_places(kept, 4)
    # Gaps of 19 in 5 bits: 25,000 bits in the place of 100,000.
    assert found == Places(100_000, 5_000, 5, 5_000)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"kept": 9}, "cannot be the places"),
        ({"kept": 2, "gap_bits": 1, "gaps": 2}, "cannot be the places"),
        ({"kept": "2"}, "cannot be the places"),
    ],
)
def test_entries_that_cannot_be_are_refused(entry: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        places_from(entry, 8)


def test_places_that_do_not_fit_their_description_are_refused() -> None:
    with pytest.raises(ValueError, match="3 places are stored, and 2 values are kept"):
        read_places(np.packbits([1, 1, 1, 0]), Places(4, 2))
    gaps = stored_places(np.array([0, 0, 0, 0, 1], np.bool_), Places(5, 1, 2, 2))
    with pytest.raises(ValueError, match="beyond the last of 4 values"):
        read_places(gaps, Places(4, 1, 2, 2))


def pruned(**settings: Any) -> tuple[Network, Masks]:
    network = build_network("digitnet", weights="scratch", widths=(60,), classes=10)
    network.requires_grad_(requires_grad=False)
    return network, Masks(network, PruningConfig(layers="all", **settings), seed=0)


@pytest.mark.parametrize("scope", ["channel", "channels:7", "layer", "global"])
@pytest.mark.parametrize("quantizer", ["symmetric", "affine", "kmeans"])
@pytest.mark.slow
def test_pruned_weights_are_zero_in_the_file_and_all_readers_agree(
    tmp_path: Path, quantizer: str, scope: str
) -> None:
    network, masks = pruned(sparsity=0.8)
    bits = 8 if scope == "channels:7" else 32
    config = QuantizationConfig(
        3, 5, quantizer, scope, layer_bits={2: 8, 3: 32}, codebook_bits=bits
    )
    path = tmp_path / "m"
    info = write_artifact(network, path, quantization=config, classes=None, kept=masks.kept)
    assert info.bytes == path.stat().st_size
    state = load_artifact(path).state_dict()
    expected = quantize_network(network, config)
    for name, kept in masks.kept.items():
        assert not state[name][~kept].any()
        exact = dequantize(expected[name]) if name in expected else network.state_dict()[name]
        assert torch.equal(state[name], exact)
    assert all(
        torch.equal(found.codes, expected[name].codes)
        for name, found in read_quantized(path).items()
    )
    reader = runpy.run_path(str(EXAMPLE))
    found = reader["weights"](*reader["read_file"](path))
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_the_download_of_a_pruned_network_is_restored(tmp_path: Path) -> None:
    network, masks = pruned(sparsity=0.9)
    config = QuantizationConfig(bits=4)
    write_artifact(network, tmp_path / "m", quantization=config, classes=None, kept=masks.kept)
    compress_artifact(tmp_path / "m", tmp_path / "s")
    decompress_artifact(tmp_path / "s", tmp_path / "n")
    assert (tmp_path / "n").read_bytes() == (tmp_path / "m").read_bytes()


def test_a_file_whose_places_are_damaged_is_refused(tmp_path: Path) -> None:
    network, masks = pruned(sparsity=0.9)
    config = QuantizationConfig(bits=4, fc_bits=4)
    write_artifact(network, tmp_path / "m", quantization=config, classes=None, kept=masks.kept)
    content = bytearray((tmp_path / "m").read_bytes())
    # The last tensor of the file holds the places of the last pruned weight.
    content[-1] ^= 0x10
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ArtifactError, match="cannot be read as a packed network"):
        load_artifact(tmp_path / "m")


def test_what_is_not_pruned_is_written_as_ever(tmp_path: Path) -> None:
    network = build_network("digitnet", weights="scratch", widths=(9,), classes=10)
    config = QuantizationConfig(bits=4)
    every = {"features.0.weight": torch.ones_like(network.state_dict()["features.0.weight"]) > 0}
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    write_artifact(network, tmp_path / "n", quantization=config, classes=None, kept=every)
    assert (tmp_path / "n").read_bytes() == (tmp_path / "m").read_bytes()
    assert b"sparse" not in (tmp_path / "m").read_bytes()
