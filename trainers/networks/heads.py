"""Fully connected heads of given widths."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from trainers.determinism import derive_seed
from trainers.networks.sizing import MAX_HIDDEN_LAYERS


def head_parameters(n_features: int, widths: Sequence[int], classes: int) -> int:
    """Count weights and biases of a head: the sum of (inputs + 1) * outputs over its layers.

    >>> head_parameters(4, (3,), 2)
    23

    Args:
        n_features: Inputs of the first layer.
        widths: Outputs of the hidden layers, 0 to 3 of them.
        classes: Outputs of the last layer.
    """
    sizes = _checked_sizes(n_features, widths, classes)
    return sum((before + 1) * after for before, after in pairwise(sizes))


def build_head(
    n_features: int,
    widths: Sequence[int],
    classes: int,
    dropout: float = 0.0,
    *,
    seed: int = 0,
) -> nn.Sequential:
    """Build a fully connected head: Linear, ReLU, (dropout,) ..., Linear.

    Weights are drawn as He et al. 2015 (https://arxiv.org/abs/1502.01852, equation 10) advise for
    layers before a ReLU; biases are zero. The draws depend on `seed` alone, not on the state of
    the global generators, and each layer has a seed of its own.

    Args:
        n_features: Inputs of the first layer.
        widths: Outputs of the hidden layers, 0 to 3 of them.
        classes: Outputs of the last layer.
        dropout: Share of hidden outputs that training drops, in [0, 1); 0 adds no layer.
        seed: Decides the weights.

    Raises:
        ValueError: More than three hidden layers, or a value out of its range.

    >>> head = build_head(576, (16, 8), 10, dropout=0.5)
    >>> [type(layer).__name__ for layer in head]
    ['Linear', 'ReLU', 'Dropout', 'Linear', 'ReLU', 'Dropout', 'Linear']
    """
    sizes = _checked_sizes(n_features, widths, classes)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}; a share in [0, 1) is needed.")
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(sizes)):
        if index:
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
        layers.append(_linear(before, after, derive_seed(seed, "head", index)))
    return nn.Sequential(*layers)


def _linear(before: int, after: int, seed: int) -> nn.Linear:
    # Made on the meta device, because the constructor would draw from the global generator.
    linear = nn.Linear(before, after, device="meta")
    device = torch.get_default_device()
    if device.type == "meta":
        return linear
    # `to_empty` would import torch's compiler: seconds in each new process.
    linear.weight = nn.Parameter(torch.empty(after, before, device="cpu"))
    linear.bias = nn.Parameter(torch.empty(after, device="cpu"))
    generator = torch.Generator().manual_seed(seed)
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu", generator=generator)
    nn.init.zeros_(linear.bias)
    return linear.to(device)


def _checked_sizes(n_features: int, widths: Sequence[int], classes: int) -> tuple[int, ...]:
    if len(widths) > MAX_HIDDEN_LAYERS:
        raise ValueError(
            f"a head has at most {MAX_HIDDEN_LAYERS} hidden layers; {len(widths)} widths were "
            f"given: {list(widths)}."
        )
    sizes = (n_features, *widths, classes)
    if min(sizes) < 1:
        raise ValueError(
            f"every layer of a head needs at least one unit; given: {n_features} features, widths "
            f"{list(widths)}, {classes} classes."
        )
    return sizes
