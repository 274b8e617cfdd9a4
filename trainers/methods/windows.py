"""Training on a window of each image, smaller than the images that are tested."""

import torch
from torch import Tensor


def windows(images: Tensor, share: float) -> Tensor:
    """Cut the same window out of all images of a batch, at a random place.

    A network that pools globally takes images of any size, so that it may be trained on windows
    of `round(share side)` pixels and used on whole images: after the training on small windows of
    D. Owerko et al. (Solving large-scale spatial problems with convolutional neural networks,
    2023, https://arxiv.org/abs/2306.08191), whose network is fully convolutional. The window is
    cut from the image as the backbone sees it, so that nothing is resized.

    Args:
        images: (N, C, H, W).
        share: Of each side, in (0, 1].

    Returns:
        (N, C, round(share H), round(share W)), each side at least 1. The place comes from torch's
        global generator.

    >>> windows(torch.zeros(2, 1, 8, 6), 0.5).shape
    torch.Size([2, 1, 4, 3])
    """
    chosen = []
    for side in images.shape[-2:]:
        size = max(1, round(share * side))
        first = int(torch.randint(side - size + 1, ()))
        chosen.append(slice(first, first + size))
    return images[..., chosen[0], chosen[1]]
