import numpy as np
from PIL import Image

from trainers.data.resizing import fitted, resized


def test_images_of_the_right_size_are_not_touched() -> None:
    images = np.zeros((2, 3, 8, 8), dtype=np.uint8)
    assert resized(images, 8) is images


def test_every_channel_is_resized_as_pillow_does_it() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 12, 20), dtype=np.uint8)
    result = resized(images, 6)
    assert result.shape == (3, 3, 6, 6)
    picture = Image.fromarray(np.ascontiguousarray(images[1].transpose(1, 2, 0)))
    assert np.array_equal(result[1], np.asarray(fitted(picture, 6)).transpose(2, 0, 1))


def test_the_middle_is_kept() -> None:
    picture = Image.new("L", (30, 10), 0)
    picture.paste(255, (10, 0, 20, 10))
    assert np.asarray(fitted(picture, 10)).min() == 255
