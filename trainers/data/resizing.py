"""Bringing pictures to one square size."""

import numpy as np
from PIL import Image, ImageOps

from trainers.data.image_data import Images


def square(image: Image.Image, side: int) -> Image.Image:
    """The largest centred square of a picture, at `side` pixels (bilinear, antialiased)."""
    return ImageOps.fit(image, (side, side), method=Image.Resampling.BILINEAR)


def resized(images: Images, side: int) -> Images:
    """Every image of a uint8 array (N, C, H, W) at `side` by `side`; itself if it already is."""
    count, channels, height, width = images.shape
    if height == width == side:
        return images
    result = np.empty((count, channels, side, side), dtype=np.uint8)
    for index, image in enumerate(images):
        for channel in range(channels):
            plane = Image.fromarray(np.ascontiguousarray(image[channel]))
            result[index, channel] = np.asarray(square(plane, side))
    return result
