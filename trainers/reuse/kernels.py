"""Distance of two kernels of the same shape, and what it would be by chance."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_PERMUTATIONS = 8


@dataclass(frozen=True, slots=True)
class KernelDistance:
    """Root mean squared error of two kernels, and its null.

    Attributes:
        rmse: sqrt(mean((source - target)^2)); the form is standard, and its being the paper's is
            inferred from the name.
        normalized: `rmse` over the standard deviation of the target's kernel; NaN if that is 0.
        null_permuted: Mean RMSE of the target and the source's values in random order.
        null_seeded: RMSE of the target and a kernel drawn at random, as from scratch.
    """

    rmse: float
    normalized: float
    null_permuted: float
    null_seeded: float

    @property
    def ratio(self) -> float:
        """`rmse` over `null_permuted`: 0 for equal kernels, about 1 for unrelated ones.

        >>> KernelDistance(0.5, 1.0, 1.0, 1.0).ratio, KernelDistance(0.0, 0.0, 0.0, 1.0).ratio
        (0.5, 0.0)
        """
        if self.null_permuted == 0:
            return 0.0 if self.rmse == 0 else math.inf
        return self.rmse / self.null_permuted


def kernel_rmse(source: Tensor, target: Tensor, *, layer: str) -> float:
    """Compute the RMSE of two kernels.

    >>> kernel_rmse(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), layer="conv1")
    2.0

    Args:
        source: Kernel of the source.
        target: Kernel of the target.
        layer: Name of the layer, for errors.

    Raises:
        ValueError: Their shapes differ; the message names the layer and both.
    """
    if source.shape != target.shape:
        raise ValueError(
            f"the RMSE of layer {layer} cannot be computed: its kernel is {tuple(source.shape)} "
            f"({source.numel()} numbers) in the source and {tuple(target.shape)} "
            f"({target.numel()} numbers) in the target. Give two networks of one architecture."
        )
    return float((source.double() - target.double()).square().mean().sqrt())


def kernel_distance(
    source: Tensor, target: Tensor, seeded: Tensor, *, layer: str, seed: int = 0
) -> KernelDistance:
    """Compute the RMSE of two kernels beside the RMSE of kernels that have nothing in common.

    Args:
        source: Kernel of the source.
        target: Kernel of the target.
        seeded: Kernel drawn at random.
        layer: Name of the layer, for errors.
        seed: Decides the permutations.

    Raises:
        ValueError: As `kernel_rmse`.

    >>> source, seeded = torch.tensor([1.0, 3.0]), torch.zeros(2)
    >>> found = kernel_distance(source, torch.tensor([2.0, 4.0]), seeded, layer="conv1")
    >>> found.rmse, found.normalized
    (1.0, 1.0)
    """
    rmse = kernel_rmse(source, target, layer=layer)
    generator = torch.Generator().manual_seed(seed)
    flat = source.flatten()
    shuffled = (
        flat[torch.randperm(flat.numel(), generator=generator)].reshape(source.shape)
        for _ in range(_PERMUTATIONS)
    )
    permuted = [kernel_rmse(each, target, layer=layer) for each in shuffled]
    spread = float(target.double().std(correction=0))
    return KernelDistance(
        rmse=rmse,
        normalized=rmse / spread if spread else math.nan,
        null_permuted=sum(permuted) / len(permuted),
        null_seeded=kernel_rmse(seeded, target, layer=layer),
    )
