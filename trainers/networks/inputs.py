"""Conversion of pixels to the input that a backbone expects."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.networks.spec import InputSpec

# ITU-R BT.601 luma, as Pillow's conversion to grey uses it.
_LUMA = (0.299, 0.587, 0.114)
_WHITE = np.float32(255)


class InputTransform(nn.Module):
    """Pixels in [0, 1] to what the backbone was trained on: channels, size, normalisation.

    It has no state, so that it works on the device of its input (also the meta device), and is
    differentiable, so that attacks can work on the pixels themselves.
    """

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, pixels: Tensor) -> Tensor:
        """Prepare a batch.

        Args:
            pixels: float (N, C, H, W) in [0, 1], of any size, C of 1 or 3.

        Returns:
            float (N, channels, height, width). Images of another aspect ratio are stretched, not
            cropped.
        """
        spec = self.spec
        pixels = self._with_channels(pixels)
        if pixels.shape[-2:] != (spec.height, spec.width):
            shrinks = pixels.shape[-2] > spec.height or pixels.shape[-1] > spec.width
            pixels = functional.interpolate(
                pixels,
                (spec.height, spec.width),
                mode="bilinear",
                align_corners=False,
                antialias=shrinks,
            )
        mean = pixels.new_tensor(spec.mean).view(-1, 1, 1)
        std = pixels.new_tensor(spec.std).view(-1, 1, 1)
        # In place: a batch is large, and the difference is used nowhere else.
        return (pixels - mean).div_(std)

    def _with_channels(self, pixels: Tensor) -> Tensor:
        given, wanted = pixels.shape[1], self.spec.channels
        if given == wanted:
            return pixels
        if (given, wanted) == (1, 3):
            return pixels.expand(-1, 3, -1, -1)
        if (given, wanted) == (3, 1):
            luma = pixels.new_tensor(_LUMA).view(3, 1, 1)
            return (pixels * luma).sum(dim=1, keepdim=True)
        raise ValueError(
            f"images have 1 or 3 channels; these have the shape {given, *pixels.shape[2:]}."
        )

    def extra_repr(self) -> str:
        """Describe the transform in `print(network)`."""
        spec = self.spec
        return f"{spec.channels}x{spec.height}x{spec.width}, mean={spec.mean}, std={spec.std}"


def to_unit(pixels: Tensor) -> Tensor:
    """Convert uint8 pixels to float32 in [0, 1].

    >>> to_unit(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
    [0.0, 1.0]
    """
    if pixels.device.type != "cpu":
        return torch.div(pixels, 255)
    # By numpy, which divides in one pass into huge pages; torch takes two, and twice the memory.
    return torch.as_tensor(np.true_divide(pixels.numpy(), _WHITE, dtype=np.float32))
