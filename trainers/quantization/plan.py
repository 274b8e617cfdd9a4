"""Which tensors of a network are quantized, to how many bits, and which share their levels."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from trainers.quantization.codebook import Codebook
from trainers.quantization.config import QuantizationConfig
from trainers.quantization.planned import PlannedWeight, plan_weights
from trainers.quantization.quantized import Levels, QuantizedWeight
from trainers.quantization.weights import encode, quantize_weight, shared_levels

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def planned_weights(network: nn.Module, config: QuantizationConfig) -> dict[str, PlannedWeight]:
    """Every tensor that is quantized, by its name in the network's state dict.

    As `plan_weights`. Biases, normalization layers and their statistics stay in float32 and are
    not listed. Convolutions are numbered in the order of the state dict.

    Args:
        network: Only its structure is read; it may lie on the meta device.
        config: What is wanted.

    Raises:
        ValueError: `config.layer_bits` names a convolution that the network does not have.
    """
    return plan_weights(weight_kinds(network), config)


def weight_kinds(network: nn.Module) -> dict[str, bool]:
    """Names of the weights of convolutions (True) and of linear layers (False), in order."""
    return {
        f"{name}.weight" if name else "weight": isinstance(module, CONVOLUTIONS)
        for name, module in network.named_modules()
        if isinstance(module, (*CONVOLUTIONS, nn.Linear))
    }


def quantize_network(
    network: nn.Module,
    config: QuantizationConfig,
    *,
    steps: Mapping[str, Tensor] | None = None,
) -> dict[str, QuantizedWeight]:
    """Quantize the weights that `planned_weights` lists; the network stays as it is.

    Args:
        network: Trained.
        config: What is wanted.
        steps: As `quantized_weights` takes them.

    Returns:
        By tensor name. Both the packed file and the network that is evaluated are made of these.

    Raises:
        ValueError: As `planned_weights` and `quantized_weights`.
    """
    planned = planned_weights(network, config)
    weights = {name: network.get_parameter(name) for name in planned}
    return dict(quantized_weights(weights, planned, config, steps=steps))


def quantized_weights(
    weights: Mapping[str, Tensor],
    planned: Mapping[str, PlannedWeight],
    config: QuantizationConfig,
    *,
    steps: Mapping[str, Tensor] | None = None,
) -> Iterator[tuple[str, QuantizedWeight]]:
    """Name and codes of each planned weight, one after the other.

    Args:
        weights: Floating point, by tensor name; at least those that are planned.
        planned: By tensor name.
        config: What they were planned by.
        steps: Learned steps of symmetric weights, by tensor name, in the place of the steps that
            follow from the weights.

    Raises:
        ValueError: A weight holds NaN or infinity; or a step is of no symmetric weight that is
            quantized on its own, or not one positive number a group.
    """
    steps = steps or {}
    unused = steps.keys() - planned.keys()
    if unused or (steps and config.scope == "global"):
        raise ValueError(
            f"steps were learned of {sorted(unused or steps)}, and learned steps need a weight "
            f"that is quantized on its own, in the scope channel or layer."
        )
    shared = _shared(weights, planned, config) if config.scope == "global" else {}
    for name, plan in planned.items():
        if plan.levels in shared:
            yield name, encode(weights[name], shared[plan.levels])
        else:
            yield (
                name,
                quantize_weight(
                    weights[name],
                    plan.bits,
                    scheme=config.quantizer,
                    scope=config.scope,
                    rate_weight=config.rate_weight,
                    step=steps.get(name),
                ),
            )


def _shared(
    weights: Mapping[str, Tensor],
    planned: Mapping[str, PlannedWeight],
    config: QuantizationConfig,
) -> dict[str, Levels | Codebook]:
    members: dict[str, list[str]] = {}
    for name, plan in planned.items():
        members.setdefault(plan.levels, []).append(name)
    return {
        levels: shared_levels(
            [weights[name] for name in names],
            planned[names[0]].bits,
            config.quantizer,
            rate_weight=config.rate_weight,
        )
        for levels, names in members.items()
    }
