"""Windows: parts of the images as they are, at places that torch's generator draws."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.methods.windows import windows


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 1.0), st.integers(0, 99))
def test_a_window_is_a_part_of_the_images(
    height: int, width: int, share: float, seed: int
) -> None:
    images = torch.arange(2.0 * height * width).reshape(2, 1, height, width)
    torch.manual_seed(seed)
    found = windows(images, share)
    assert found.shape[2:] == (max(1, round(share * height)), max(1, round(share * width)))
    first = int(found[0, 0, 0, 0])
    row, column = divmod(first, width)
    tall, wide = found.shape[2:]
    assert torch.equal(found, images[..., row : row + tall, column : column + wide])


def test_every_place_is_drawn() -> None:
    images = torch.arange(16.0).reshape(1, 1, 4, 4)
    corners = {int(windows(images, 0.5)[0, 0, 0, 0]) for _ in range(300)}
    assert corners == {0, 1, 2, 4, 5, 6, 8, 9, 10}
