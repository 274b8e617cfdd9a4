"""A large kernel that is trained as several of 3x3, one after the other (ExpandNet-CK)."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class ExpandedKernel(nn.Module):
    """A k x k convolution as `l = (k - 1) / 2` convolutions of 3x3, with `r in` channels between.

    This is the paper's ExpandNet-CK, for odd `k` of 5 and more. Its kernel is the convolution of
    the `l` kernels, summed over the channels between them, so that the layer computes what the
    `l` layers would if the first of them alone padded the image. Few channels between cannot give
    every kernel: they start at random, with the spread of the kernel that the layer had, whose
    values are lost. From scratch alone, therefore. The paper's numbers of channels between were
    not available; `r in` is ours.

    Args:
        rate: `r`, at least 1.
        seed: Decides the start.

    References:
        S. Guo, J. M. Alvarez, M. Salzmann. ExpandNets: linear over-parameterization to train
        compact convolutional networks. NeurIPS 2020, section 3. https://arxiv.org/abs/1811.10495

    >>> rule = ExpandedKernel(2, 0)
    >>> kernels = rule.right_inverse(torch.randn(4, 3, 7, 7))
    >>> [tuple(each.shape) for each in kernels]
    [(6, 3, 3, 3), (6, 6, 3, 3), (4, 6, 3, 3)]
    >>> tuple(rule(*kernels).shape)
    (4, 3, 7, 7)
    """

    def __init__(self, rate: int, seed: int) -> None:
        super().__init__()
        self._rate = rate
        self._seed = seed

    def forward(self, *kernels: Tensor) -> Tensor:
        """Contract the kernels."""
        found = kernels[0]
        for kernel in kernels[1:]:
            found = _in_turn(found, kernel)
        return found

    @torch.no_grad()
    def right_inverse(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Draw kernels whose contraction has the shape and the spread of the weight."""
        outputs, inputs, side = weight.shape[:3]
        layers, between = (side - 1) // 2, self._rate * inputs
        channels = [inputs, *[between] * (layers - 1), outputs]
        drawn = torch.Generator().manual_seed(self._seed)
        kernels = [
            torch.randn((after, before, 3, 3), generator=drawn) / math.sqrt(9 * before)
            for before, after in pairwise(channels)
        ]
        spread = float(weight.square().mean()) / float(self.forward(*kernels).square().mean())
        return tuple(each.mul(spread ** (0.5 / layers)).to(weight) for each in kernels)


def _in_turn(first: Tensor, second: Tensor) -> Tensor:
    """Return the kernel (out, in, a + 2, a + 2) of two layers, one after the other."""
    # Correlating twice is correlating with the convolution of both; torch correlates.
    turned = second.flip(2, 3)
    return functional.conv2d(first.transpose(0, 1), turned, padding=2).transpose(0, 1)
