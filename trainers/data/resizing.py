"""Make pictures square and of one size, by the rule that `resize` names."""

import numpy as np
from PIL import Image, ImageOps

from trainers.data.config import RESIZES
from trainers.data.image_data import Images

CROP, SQUASH, PAD = RESIZES

WORDS = {
    CROP: "the largest centred square of each picture is kept",
    SQUASH: "the sides of each picture are stretched or shrunk to a square",
    PAD: "each picture is made a square by black along its shorter sides",
}
"""What each rule does, in words for the user."""


def fitted(image: Image.Image, side: int | None, resize: str = CROP) -> Image.Image:
    """Resize a picture to a square of `side` pixels (bilinear, antialiased).

    Args:
        image: Of mode L or RGB.
        side: None crops or pads without scaling, and leaves `squash` to the network.
        resize: One of `RESIZES`.

    >>> fitted(Image.new("L", (8, 6)), 4).size, fitted(Image.new("L", (8, 6)), None).size
    ((4, 4), (6, 6))
    """
    if side is None:
        plain = np.asarray(image)
        return Image.fromarray(np.ascontiguousarray(_unscaled(plain, resize)))
    if resize == SQUASH:
        return image.resize((side, side), Image.Resampling.BILINEAR)
    fit = ImageOps.fit if resize == CROP else ImageOps.pad
    return fit(image, (side, side), method=Image.Resampling.BILINEAR)


def resized(images: Images, side: int | None, resize: str = CROP) -> Images:
    """Resize images (N, C, H, W) as `fitted` does; return the array itself if all fit.

    >>> images = np.zeros((1, 3, 8, 6), np.uint8)
    >>> resized(images, None, PAD).shape, resized(images, 4).shape
    ((1, 3, 8, 8), (1, 3, 4, 4))
    """
    count, channels, height, width = images.shape
    if height == width and side in (None, height):
        return images
    if side is None:
        channels_last = _unscaled(images.transpose(2, 3, 0, 1), resize)
        return np.ascontiguousarray(channels_last.transpose(2, 3, 0, 1))
    result = np.empty((count, channels, side, side), dtype=np.uint8)
    for index, image in enumerate(images):
        for channel in range(channels):
            plane = Image.fromarray(np.ascontiguousarray(image[channel]))
            result[index, channel] = np.asarray(fitted(plane, side, resize))
    return result


def _unscaled(pixels: Images, resize: str) -> Images:
    """Pixels (H, W, ...) cut or padded to a square."""
    height, width = pixels.shape[:2]
    if resize == SQUASH or height == width:
        return pixels
    if resize == CROP:
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return pixels[top : top + side, left : left + side]
    side = max(height, width)
    around = [
        ((side - given) // 2, side - given - (side - given) // 2) for given in (height, width)
    ]
    return np.pad(pixels, [*around, *[(0, 0)] * (pixels.ndim - 2)])
