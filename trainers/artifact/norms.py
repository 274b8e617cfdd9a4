"""Batch norms as two vectors instead of four: `x * weight + bias`.

In evaluation a batch norm is one factor and one term for each channel. With them in the places of
its weight and bias, a mean of 0 and a variance of `1 - eps`, it computes the same but for rounding
in float32; the codes of the convolution before it stay as they are.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainers.artifact.packed_layout import merged_statistics


def merged_norms(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put the statistics of each batch norm into its weight and bias.

    Args:
        network: Tells the `eps` of each batch norm.
        state: Its tensors, by name; not modified.

    Returns:
        The tensors without means and variances.

    >>> network = nn.Sequential(nn.BatchNorm2d(1))
    >>> network[0].running_mean.fill_(3.0).shape, network[0].running_var.fill_(4.0).shape
    (torch.Size([1]), torch.Size([1]))
    >>> found = merged_norms(network, network.state_dict())
    >>> [round(found[name].item(), 2) for name in ("0.weight", "0.bias")]
    [0.5, -1.5]
    """
    dropped = merged_statistics(state)
    found = {name: tensor for name, tensor in state.items() if name not in dropped}
    for norm in sorted({name.rpartition(".")[0] for name in dropped}):
        weight, bias, mean, variance = (
            state[f"{norm}.{part}"].double()
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = weight / (variance + _eps(network, norm)).sqrt()
        found[f"{norm}.weight"] = factor.float()
        found[f"{norm}.bias"] = (bias - mean * factor).float()
    return found


def merged_statistic(network: nn.Module, name: str) -> Tensor:
    """Return the mean or variance of a batch norm that is stored as two vectors.

    >>> network = nn.Sequential(nn.BatchNorm2d(2))
    >>> merged_statistic(network, "0.running_mean").tolist()
    [0.0, 0.0]
    """
    norm, _, part = name.rpartition(".")
    shape = network.get_buffer(name).shape
    return torch.full(shape, 0.0 if part == "running_mean" else 1 - _eps(network, norm))


def _eps(network: nn.Module, name: str) -> float:
    eps = network.get_submodule(name).eps
    assert isinstance(eps, float)  # noqa: S101 - of every norm of torch
    return eps
