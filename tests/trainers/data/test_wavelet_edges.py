"""Edges by wavelets: nothing where an image is constant, and what a reconstruction lacks."""

import numpy as np
import pytest
import pywt

from trainers.data import DataConfig, load_data
from trainers.data.wavelet_edges import WAVELETS, edge_images, wavelet_of
from trainers.errors import DataError


@pytest.mark.parametrize("wavelet", ["haar", "db2", "sym4"])
def test_edges_and_the_coarse_part_make_the_image(wavelet: str) -> None:
    """The two oracles: the transform is linear, so that both parts sum up to what there was."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 1, 32, 32), dtype=np.uint8)
    found = edge_images(images, f"{wavelet}:2").astype(float)
    coarse, *details = pywt.wavedec2(images.astype(float), wavelet, level=2)
    without = [tuple(np.zeros_like(part) for part in level) for level in details]
    rest = np.abs(images - pywt.waverec2([coarse, *without], wavelet))
    expected = 255 * rest / rest.max(axis=(1, 2, 3), keepdims=True)
    assert np.abs(found - expected).max() <= 0.51


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_a_constant_image_has_no_edges(wavelet: str) -> None:
    assert not edge_images(np.full((2, 3, 64, 48), 200, np.uint8), wavelet).any()


def test_images_of_any_size_keep_their_shape() -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, 3, 9, 7), dtype=np.uint8)
    assert edge_images(images, "haar").shape == images.shape
    assert edge_images(images[:0], "haar").shape == (0, 3, 9, 7)


@pytest.mark.parametrize("text", ["", "wave", "haar:0", "haar:9", "haar:x", "db2:-1", "db2:1:1"])
def test_what_names_no_wavelet_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"haar, db2 to db8, sym2 to sym8"):
        wavelet_of(text)
    with pytest.raises(ValueError, match="data: edges is"):
        DataConfig(name="digits", edges=text)


def test_more_levels_than_an_image_has_are_refused() -> None:
    with pytest.raises(DataError, match="side of 8 pixels have 3 levels of haar, not 4"):
        edge_images(np.zeros((1, 1, 8, 8), np.uint8), "haar:4")


def test_a_data_set_of_edges_is_another_one() -> None:
    plain, edges = (load_data(DataConfig(name="digits", edges=e)) for e in (None, "haar:2"))
    assert edges.content() != plain.content()
    assert edges.train_images.shape == plain.train_images.shape
    assert (edges.train_labels == plain.train_labels).all()
