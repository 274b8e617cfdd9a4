"""Edges of images by wavelets: what is left without the coarse part of a decomposition."""

from collections.abc import Iterator

import numpy as np

from trainers.data.image_data import Images
from trainers.errors import DataError

WAVELETS = ("haar", *(f"db{n}" for n in range(2, 9)), *(f"sym{n}" for n in range(2, 9)))
"""Names of orthogonal wavelets, as PyWavelets has them."""
_MOST_LEVELS = 8
# Images that are transformed at once, so that their float copies stay small.
_AT_ONCE = 256


def wavelet_of(text: str) -> tuple[str, int]:
    """Read a wavelet and the number of levels from ``NAME`` or ``NAME:LEVELS``.

    >>> wavelet_of("haar"), wavelet_of("db2:3")
    (('haar', 1), ('db2', 3))

    Raises:
        ValueError: It names no wavelet, or the levels are not 1 to 8.
    """
    name, _, levels = text.partition(":")
    count = int(levels or 1) if levels.isascii() and (levels.isdigit() or not levels) else 0
    if name not in WAVELETS or not 1 <= count <= _MOST_LEVELS:
        raise ValueError(
            f"data: edges is {text!r}; a wavelet is needed (haar, db2 to db8, sym2 to sym8), "
            f"alone or with a number of levels from 1 to {_MOST_LEVELS}, as in 'db2:3'."
        )
    return name, count


def edge_images(images: Images, text: str) -> Images:
    """Replace images by their edges.

    Each channel is decomposed by a discrete wavelet transform, and reconstructed from its details
    alone: the coarse part of the last level is left out (a limited reconstruction). A pixel is the
    magnitude of the result, scaled so that the largest of an image is 255; an image without edges
    is black. It is the first method of D. D. N. De Silva et al. Wavelet based edge feature
    enhancement for convolutional neural networks (2018, https://arxiv.org/abs/1809.00982), whose
    scaling was not available.

    Args:
        images: uint8 (N, C, H, W).
        text: As `wavelet_of` reads it.

    Raises:
        DataError: PyWavelets is not installed, or the images are too small for so many levels.

    >>> step = np.zeros((1, 1, 4, 4), np.uint8)
    >>> step[..., 1:] = 100
    >>> edge_images(step, "haar")[0, 0, 0].tolist()
    [255, 255, 0, 0]
    """
    wavelet, levels = wavelet_of(text)
    try:
        # Imported here: only data with edges needs it.
        import pywt
    except ModuleNotFoundError:
        raise DataError(
            "edges need the package PyWavelets: install paretune with the extra 'wavelets'."
        ) from None
    side = min(images.shape[2:])
    most = pywt.dwt_max_level(side, wavelet)
    if levels > most:
        raise DataError(
            f"edges: images with a side of {side} pixels have {most} levels of {wavelet}, not "
            f"{levels}: ask for fewer levels, a shorter wavelet (haar), or a larger image_size."
        )

    def blocks() -> Iterator[Images]:
        for first in range(0, len(images), _AT_ONCE):
            block = images[first : first + _AT_ONCE].astype(np.float32)
            coarse, *details = pywt.wavedec2(block, wavelet, mode="symmetric", level=levels)
            found = pywt.waverec2([np.zeros_like(coarse), *details], wavelet, mode="symmetric")
            height, width = images.shape[2:]
            edges = np.abs(found[..., :height, :width])
            largest = edges.max(axis=(1, 2, 3), keepdims=True)
            # Rounding leaves a trace of what is constant.
            scale = np.where(largest > 1e-3, largest, np.inf)
            yield np.rint(255 * edges / scale).astype(np.uint8)

    return np.concatenate(list(blocks())) if len(images) else images
