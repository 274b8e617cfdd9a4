"""How much each layer minds few bits, by the mean curvature of its weights: Hessian traces."""

from collections.abc import Collection, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.quantization.allocation import BIT_WIDTHS
from trainers.quantization.config import QuantizationConfig
from trainers.quantization.fisher import estimated_sensitivity
from trainers.quantization.sensitivity import LayerSensitivity, Progress, layer_groups

DRAWS = 16
"""Random vectors for each batch of images."""


def hessian_traces(
    network: nn.Module,
    batches: Sequence[Tensor],
    names: Collection[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, float]:
    """Estimate the trace of the Hessian of each weight tensor by Hutchinson's method.

    `Tr H_l = E_v v_l^T (H v)_l`, for vectors v of random signs. H is the Hessian of the mean
    divergence `KL(p(y | x; w0) || p(y | x; w))` of the predictions from the network's own, at its
    weights w = w0; H v is the gradient of `v^T` times the gradient.

    Args:
        network: In eval mode; not modified.
        batches: Images, as the network takes them, on its device.
        names: Weights, by tensor name.
        draws: Vectors for each batch; each batch has others.
        seed: Decides them.

    Returns:
        A trace for each name.

    >>> found = hessian_traces(nn.Linear(2, 3), [torch.rand(4, 2)], ["weight"])
    >>> found["weight"] > 0
    True
    """
    network = deepcopy(network).requires_grad_(requires_grad=False)
    weights = [network.get_parameter(name).requires_grad_() for name in names]
    totals = torch.zeros(len(weights), dtype=torch.float64)
    signs = torch.Generator().manual_seed(seed)
    images = sum(len(batch) for batch in batches)
    for batch in batches:
        with torch.enable_grad():
            logs = network(batch).log_softmax(1)
            before = logs.detach()
            loss = functional.kl_div(logs, before, reduction="sum", log_target=True)
            slopes = torch.autograd.grad(loss, weights, create_graph=True)
            for _ in range(draws):
                vectors = [_signs(weight, signs) for weight in weights]
                curved = torch.autograd.grad(slopes, weights, vectors, retain_graph=True)
                found = [
                    (v * each).sum().double() for v, each in zip(vectors, curved, strict=True)
                ]
                totals += torch.stack(found).cpu() / (draws * images)
    return dict(zip(names, totals.tolist(), strict=True))


def _signs(weight: Tensor, draws: torch.Generator) -> Tensor:
    drawn = torch.randint(0, 2, weight.shape, generator=draws)
    return (2 * drawn - 1).to(weight)


def hessian_sensitivity(
    network: nn.Module,
    config: QuantizationConfig,
    batches: Sequence[Tensor],
    *,
    bits: Sequence[int] = BIT_WIDTHS,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[LayerSensitivity, ...]:
    """Estimate what `measure_sensitivity` measures, from the trace of each layer's Hessian.

    For a layer l of n weights and the error d of its nearest codes, `Tr(H_l) / n * |d|^2 / 2`: as
    if each weight of a layer had the mean curvature of them all. The paper has the Hessian of the
    loss on labels; this is that of the divergence from the network's own predictions, which needs
    none and is not negative, and whose diagonal `fisher_information` estimates.

    Args:
        network: As `measure_sensitivity` takes it.
        config: Quantizer, scope and step; its bits are not read.
        batches: Images, as the network takes them, on its device.
        bits: The numbers of bits to try, each 2 to 8.
        seed: As `hessian_traces` takes it.
        progress: As `measure_sensitivity` takes it.

    References:
        Z. Dong et al. HAWQ-V2: Hessian aware trace-weighted quantization of neural networks.
        NeurIPS 2020, section 3 and algorithm 1. https://arxiv.org/abs/1911.03852

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    >>> images = [torch.rand(8, 1, 4, 4)]
    >>> (found,) = hessian_sensitivity(network, QuantizationConfig(), images, bits=(2, 8))
    >>> found.alone[2].divergence > found.alone[8].divergence
    True
    """
    names = [name for weights in layer_groups(network).values() for name in weights]
    traces = hessian_traces(network, batches, names, seed=seed)
    # A trace of noise below zero is none.
    curvature = {
        name: torch.tensor(max(0.0, trace) / network.get_parameter(name).numel())
        for name, trace in traces.items()
    }
    return estimated_sensitivity(network, config, curvature, bits=bits, progress=progress)
