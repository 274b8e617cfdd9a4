"""What the inputs of a layer are like, before and after the layers in front were quantized."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

# More inputs a weight row would take more memory for their second moments than the images do.
MAX_INPUTS = 8192
# Positions of all images together at which a convolution is looked at.
_POSITIONS = 1 << 16


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of the inputs of a layer with g groups of d inputs, and of its outputs.

    x are the inputs in the float network, and z those in the quantized one; an input of a
    convolution is what one output is computed from.

    Attributes:
        mean: E z, float64 `(g, d)`.
        second: Second moments of z about their mean, float64 `(g, d, d)`.
        cross: Those of x - z with z, float64 `(g, d, d)`.
        output_mean: Mean of each output in the float network without its bias, float64 `(out,)`.
        output_variance: Variance of each, float64 `(out,)`.
    """

    mean: Tensor
    second: Tensor
    cross: Tensor
    output_mean: Tensor
    output_variance: Tensor

    @property
    def are_finite(self) -> bool:
        """Whether no activation overflowed."""
        return bool(torch.isfinite(self.second).all() and torch.isfinite(self.cross).all())


def groups_of(layer: nn.Module) -> int:
    """Return the number of groups of a convolution; 1 for a linear layer."""
    return layer.groups if isinstance(layer, nn.Conv2d) else 1


def is_supported(layer: nn.Module) -> bool:
    """Return whether moments of the layer's inputs can be computed."""
    if isinstance(layer, nn.Linear):
        return layer.in_features <= MAX_INPUTS
    if not isinstance(layer, nn.Conv2d) or layer.padding_mode != "zeros":
        return False
    return not isinstance(layer.padding, str) and layer.weight[0].numel() <= MAX_INPUTS


def moments_of(layer: nn.Module, pairs: Iterator[tuple[Tensor, Tensor]], images: int) -> Moments:
    """Compute the moments of a layer's inputs.

    Args:
        layer: A supported layer of the float network.
        pairs: Batches of its inputs in the float network and in the quantized one.
        images: How many images there are in all batches.
    """
    groups, draws = groups_of(layer), torch.Generator().manual_seed(0)
    weight = layer.get_parameter("weight")
    rows = weight.reshape(groups, weight.shape[0] // groups, -1)
    keep, total = max(1, _POSITIONS // max(1, images)), 0
    sums: list[Tensor] = []
    shift = torch.zeros(())
    for before, after in pairs:
        (x, z), count = _inputs(layer, before, after, groups, keep, draws)
        output, change = torch.bmm(rows, x), x - z
        if not sums:
            shift = z.mean(2, keepdim=True)
        # About some mean first and in float64 afterwards: differences of large sums follow.
        z = z - shift
        parts = [
            z.sum(2, dtype=torch.float64),
            torch.bmm(z, z.mT).double(),
            torch.bmm(change, z.mT).double(),
            change.sum(2, dtype=torch.float64),
            output.sum(2, dtype=torch.float64),
            output.square().sum(2, dtype=torch.float64),
        ]
        sums = [a + b for a, b in zip(sums, parts, strict=True)] if sums else parts
        total += count
    z, zz, dz, d, y, yy = (each / total for each in sums)
    return Moments(
        mean=z + shift.squeeze(2),
        second=zz - z.unsqueeze(2) * z.unsqueeze(1),
        cross=dz - d.unsqueeze(2) * z.unsqueeze(1),
        output_mean=y.reshape(-1),
        output_variance=(yy - y.square()).clamp(min=0).reshape(-1),
    )


def _inputs(
    layer: nn.Module, before: Tensor, after: Tensor, groups: int, keep: int, draws: torch.Generator
) -> tuple[list[Tensor], int]:
    """Return both inputs as float32 `(g, d, positions)`, and the number of positions."""
    if isinstance(layer, nn.Linear):
        flat = [each.reshape(1, -1, layer.in_features).mT for each in (before, after)]
        return flat, flat[0].shape[2]
    assert isinstance(layer, nn.Conv2d)  # noqa: S101 - the other supported layer
    assert not isinstance(layer.padding, str)  # noqa: S101 - it would not be supported
    shape = (layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    found, chosen = [], None
    for each in (before, after):
        columns = functional.unfold(each, *shape)
        if chosen is None:
            chosen = torch.randperm(columns.shape[2], generator=draws)[:keep].to(each.device)
        columns = columns[:, :, chosen]
        columns = columns.reshape(len(each), groups, -1, len(chosen))
        found.append(columns.permute(1, 2, 0, 3).reshape(groups, columns.shape[2], -1))
    return found, found[0].shape[2]
