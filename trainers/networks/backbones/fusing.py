"""FuseInit: start a cut network from the fused layers of the full one, not from some of them.

After "MSE-optimal neural network initialization via layer fusion" (arXiv 2001.10509), which fuses
neighbouring layers of a deeper trained network into those of a shallower one. Its formulas are not
known to this project; the ones below are derived here and not confirmed by a source.

Two layers y = W2 relu(W1 x + b1) + b2 become the affine map y = W x + b with the least mean
squared error, for inputs x that are independent, with mean 0 and variance 1. Unit i before the
ReLU is then normal with mean b1_i and deviation s_i = |W1_i|, and by Stein's lemma

    W = W2 diag(Phi(r)) W1,    b = W2 (b1 Phi(r) + s phi(r)) + b2,    r = b1 / s,

Phi and phi being the normal distribution and its density. Of two convolutions the fused kernel is
their convolution, which is larger; its middle of the old size is kept, which among kernels of that
size is again the one with the least error. Batch norms are folded into their convolutions first.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from trainers.networks.backbone_table import BackboneInfo
from trainers.networks.backbones.cutting import stage_convolutions
from trainers.networks.variants import STAGES


def fuse_dropped(features: nn.Sequential, info: BackboneInfo) -> None:
    """Put into the last convolution that a cut keeps of a stage all that follow it there.

    Args:
        features: The full network of `info.base`, with its weights; it is changed.
        info: The variant to which it will be cut.

    >>> from trainers.networks.backbone_table import backbone_info
    >>> from trainers.networks.backbones.building import build_backbone
    >>> features = build_backbone("digitnet", "bundled").features
    >>> kept = stage_convolutions(features)[0][0].weight
    >>> before = kept.detach().clone()
    >>> fuse_dropped(features, backbone_info("digitnet[depth=1]"))
    >>> torch.equal(kept, before)
    False
    """
    if info.depth is None:
        return
    body = features if info.base == "digitnet" else features.get_submodule("features")
    norms = _norms(body)
    for convolutions, count in zip(
        stage_convolutions(body), STAGES[info.base].blocks, strict=True
    ):
        if count <= info.depth:
            continue
        kept, *others = convolutions[info.depth - 1 :]
        weight, bias = _folded(kept, norms)
        for layer in others:
            weight, bias = fused(weight, bias, *_folded(layer, norms))
        with torch.no_grad():
            kept.weight.copy_(weight)
            kept.get_parameter("bias").copy_(bias)
            if kept in norms:
                _make_identity(norms[kept])


def fused(
    first: Tensor, first_bias: Tensor, second: Tensor, second_bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Fuse two convolutions with a ReLU between them; see the module's docstring.

    Args:
        first: Kernels of the first one, (C1, C0, k, k), k odd.
        first_bias: Its biases, (C1,).
        second: Kernels of the second one, (C2, C1, k', k'), k' odd.
        second_bias: Its biases, (C2,).

    Returns:
        Kernels (C2, C0, k, k) and biases (C2,).

    >>> first, second = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 3.0)
    >>> bias = torch.tensor([100.0])  # so large that the ReLU passes every input
    >>> [each.item() for each in fused(first, bias, second, torch.tensor([1.0]))]
    [6.0, 301.0]
    """
    spread = first.flatten(1).norm(dim=1).clamp_min(torch.finfo(first.dtype).tiny)
    ratio = first_bias / spread
    passed = 0.5 * (1 + torch.erf(ratio / math.sqrt(2)))
    density = torch.exp(-0.5 * ratio**2) / math.sqrt(2 * math.pi)
    mean = first_bias * passed + spread * density
    bias = second.sum(dim=(2, 3)) @ mean + second_bias
    gated = first * passed[:, None, None, None]
    # torch's convolution is a correlation: composing two of them flips the second.
    margin = second.shape[2] // 2
    kernels = functional.conv2d(
        gated.transpose(0, 1), second.flip(2, 3), padding=margin
    ).transpose(0, 1)
    return kernels.contiguous(), bias


def _norms(body: nn.Module) -> dict[nn.Conv2d, nn.BatchNorm2d]:
    layers = list(body.children())
    return {
        layer: following
        for layer, following in pairwise(layers)
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d)
    }


def _folded(layer: nn.Conv2d, norms: dict[nn.Conv2d, nn.BatchNorm2d]) -> tuple[Tensor, Tensor]:
    norm = norms.get(layer)
    if norm is not None:
        layer = fuse_conv_bn_eval(layer.eval(), norm.eval())
    return layer.weight.detach(), layer.get_parameter("bias").detach()


def _make_identity(norm: nn.BatchNorm2d) -> None:
    norm.get_buffer("running_mean").zero_()
    norm.get_buffer("running_var").fill_(1 - norm.eps)
    norm.weight.fill_(1)
    norm.bias.zero_()
