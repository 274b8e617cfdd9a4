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
    """Plan every tensor that is quantized, by its name in the network's state dict.

    See `plan_weights`. Biases, normalization layers and their statistics stay in float32 and are
    not listed. Convolutions are numbered in the order of the state dict.

    Args:
        network: Only its structure is read; it may be on the meta device.
        config: The quantization.

    Raises:
        ValueError: `config.layer_bits` names a convolution that the network does not have.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    >>> planned = planned_weights(network, QuantizationConfig(bits=4, fc_bits=8))
    >>> {name: plan.bits for name, plan in planned.items()}
    {'0.weight': 4, '2.weight': 8}
    """
    return plan_weights(weight_kinds(network), config)


def weight_kinds(network: nn.Module) -> dict[str, bool]:
    """Map the weights of convolutions to True and those of linear layers to False, in order.

    A kernel that several layers share is named once, by the first of them.

    >>> weight_kinds(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)))
    {'0.weight': True, '2.weight': False}
    """
    seen = set[int]()
    kinds = {}
    for name, module in network.named_modules():
        if not isinstance(module, (*CONVOLUTIONS, nn.Linear)):
            continue
        # Not `module.weight`, which is computed where it is trained in another form.
        own = module._parameters.get("weight")  # noqa: SLF001 - torch has no public name for it
        if own is None or id(own) not in seen:
            kinds[f"{name}.weight" if name else "weight"] = isinstance(module, CONVOLUTIONS)
        seen.add(id(own))
    return kinds


def quantize_network(
    network: nn.Module,
    config: QuantizationConfig,
    *,
    steps: Mapping[str, Tensor] | None = None,
) -> dict[str, QuantizedWeight]:
    """Quantize the weights that `planned_weights` lists; the network is not modified.

    Args:
        network: The trained network.
        config: The quantization.
        steps: As `quantized_weights` takes them.

    Returns:
        Quantized weights by tensor name. Both the packed file and the evaluated network are
        made from these.

    Raises:
        ValueError: As `planned_weights` and `quantized_weights`.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    >>> list(quantize_network(network, QuantizationConfig(bits=4)))  # FC weights stay in float32
    ['0.weight']
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
    """Yield name and codes of each planned weight, one after the other.

    Args:
        weights: Floating-point weights by tensor name; at least the planned ones.
        planned: Plans by tensor name.
        config: The quantization that gave the plans.
        steps: Learned steps of symmetric weights, by tensor name; they replace the steps that
            follow from the weights.

    Raises:
        ValueError: A weight holds NaN or infinity; or a step does not belong to a symmetric
            weight with levels of its own, or is not one positive number per group.

    >>> layer, config = nn.Linear(1, 2), QuantizationConfig(fc_bits=8)
    >>> planned = planned_weights(layer, config)
    >>> [name for name, _ in quantized_weights(layer.state_dict(), planned, config)]
    ['weight']
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
                    step=steps.get(name, config.step),
                    codebook_bits=config.codebook_bits,
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
            step=config.step,
            codebook_bits=config.codebook_bits,
        )
        for levels, names in members.items()
    }
