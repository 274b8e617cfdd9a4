"""How much each layer minds few bits, by gradients alone: the diagonal Fisher information."""

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor, nn

from trainers.quantization.allocation import BIT_WIDTHS
from trainers.quantization.config import QuantizationConfig
from trainers.quantization.plan import planned_weights, quantized_weights
from trainers.quantization.quantized import dequantize
from trainers.quantization.sensitivity import FC, Change, LayerSensitivity, Progress, layer_groups


def fisher_information(
    network: nn.Module, batches: Sequence[Tensor], names: Collection[str], *, seed: int = 0
) -> dict[str, Tensor]:
    """Estimate the diagonal of the Fisher information of weights.

    `F_i = E_x E_y (d log p(y | x) / d w_i)^2`, with the images for x and one class y for each,
    drawn from the network's own prediction.

    Args:
        network: In eval mode; not modified.
        batches: Images, as the network takes them, on its device.
        names: Weights, by tensor name.
        seed: Decides which classes are drawn.

    Returns:
        A tensor of the weight's shape, by name.

    >>> found = fisher_information(nn.Linear(2, 3), [torch.rand(4, 2)], ["weight"])
    >>> found["weight"].shape
    torch.Size([3, 2])
    """
    network = deepcopy(network).requires_grad_(requires_grad=False)
    weights = [network.get_parameter(name).requires_grad_() for name in names]
    sums = [torch.zeros_like(weight) for weight in weights]
    draws = torch.Generator().manual_seed(seed)
    images = [image for batch in batches for image in torch.split(batch, 1)]
    with torch.enable_grad():
        for image in images:
            predicted = network(image).log_softmax(1)[0]
            label = torch.multinomial(predicted.detach().exp().cpu(), 1, generator=draws)
            slopes = torch.autograd.grad(predicted[int(label)], weights)
            for total, slope in zip(sums, slopes, strict=True):
                total.addcmul_(slope, slope, value=1 / len(images))
    return dict(zip(names, sums, strict=True))


def fisher_sensitivity(
    network: nn.Module,
    config: QuantizationConfig,
    batches: Sequence[Tensor],
    *,
    bits: Sequence[int] = BIT_WIDTHS,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[LayerSensitivity, ...]:
    """Estimate what `measure_sensitivity` measures, from one gradient for each image.

    For a change `d` of the weights the divergence of the predictions is `d^T F d / 2` and terms
    of higher order; what is left of it here is `sum_i F_i d_i^2 / 2`. So weights that change
    together, and the saturation of large changes, are not seen.

    Args:
        network: As `measure_sensitivity` takes it.
        config: Quantizer, scope and step; its bits are not read.
        batches: Images, as the network takes them, on its device.
        bits: The numbers of bits to try, each 2 to 8.
        seed: As `fisher_information` takes it.
        progress: As `measure_sensitivity` takes it.

    References:
        B. Zandonati et al. FIT: a metric for model sensitivity. 2022.
        https://arxiv.org/abs/2210.08502

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    >>> images = [torch.rand(8, 1, 4, 4)]
    >>> (found,) = fisher_sensitivity(network, QuantizationConfig(), images, bits=(2, 8))
    >>> found.alone[2].divergence > found.alone[8].divergence
    True
    """
    names = [name for weights in layer_groups(network).values() for name in weights]
    information = fisher_information(network, batches, names, seed=seed)
    return estimated_sensitivity(network, config, information, bits=bits, progress=progress)


def estimated_sensitivity(
    network: nn.Module,
    config: QuantizationConfig,
    curvature: Mapping[str, Tensor],
    *,
    bits: Sequence[int] = BIT_WIDTHS,
    progress: Progress | None = None,
) -> tuple[LayerSensitivity, ...]:
    """Estimate the divergence of each layer's nearest codes, `sum_i c_i d_i^2 / 2`.

    Args:
        network: As `measure_sensitivity` takes it.
        config: Quantizer, scope and step; its bits are not read.
        curvature: Second derivatives c of the divergence, by tensor name: one for each weight of
            the tensor, or a single one for all of them.
        bits: The numbers of bits to try, each 2 to 8.
        progress: As `measure_sensitivity` takes it.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    >>> config, curvature = QuantizationConfig(), {"1.weight": torch.tensor(1.0)}
    >>> (found,) = estimated_sensitivity(network, config, curvature, bits=(2, 8))
    >>> found.alone[2].divergence > found.alone[8].divergence
    True
    """
    groups = layer_groups(network)
    plain = {name: network.get_parameter(name).detach() for name in curvature}
    found: dict[str, dict[int, Change]] = {group: {} for group in groups}
    for done, count in enumerate(bits, start=1):
        losses = _losses(network, replace(config, bits=count, fc_bits=count, layer_bits={}), plain)
        for group, weights in groups.items():
            changes = (float((curvature[w] * losses[w]).sum()) / 2 for w in weights)
            found[group][count] = Change(sum(changes), None)
        if progress is not None:
            progress(done * len(groups), len(bits) * len(groups))
    numbers = {group: number for number, group in enumerate(groups, start=1) if group != FC}
    return tuple(
        LayerSensitivity(
            name=group,
            number=numbers.get(group),
            shapes=tuple(tuple(plain[weight].shape) for weight in weights),
            alone=found[group],
        )
        for group, weights in groups.items()
    )


def _losses(
    network: nn.Module, config: QuantizationConfig, plain: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the squared error of each weight."""
    chosen = {
        name: plan for name, plan in planned_weights(network, config).items() if name in plain
    }
    return {
        name: (dequantize(quantized) - plain[name]).square()
        for name, quantized in quantized_weights(plain, chosen, config)
    }
