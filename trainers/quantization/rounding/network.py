"""Round the weights of a network layer by layer, each given those that are already rounded."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.quantized import QuantizedWeight, dequantize
from trainers.quantization.rounding.blocks import Block, blocks_of, learned_block
from trainers.quantization.rounding.codes import compensated, damped, learned, target_weights
from trainers.quantization.rounding.grid import Grid, grid_of
from trainers.quantization.rounding.moments import Moments, groups_of, is_supported, moments_of

Batches = Callable[[], Iterator[Tensor]]
"""Begins the images anew: batches of inputs of the network, on its device."""

Rule = Callable[[Tensor, Tensor, Grid, Tensor], Tensor]
_RULES: Mapping[str, Rule] = {"gptq": compensated, "adaround": learned, "brecq": learned}


@dataclass(frozen=True, eq=False)
class Rounded:
    """Weights that were rounded with a look at images.

    Attributes:
        weights: Quantized weights by tensor name.
        floats: Biases and statistics of batch norms that were corrected, by tensor name.
    """

    weights: Mapping[str, QuantizedWeight]
    floats: Mapping[str, Tensor]


def round_network(
    network: nn.Module,
    nearest: Mapping[str, QuantizedWeight],
    batches: Batches,
    *,
    rounding: str,
    calibration: CalibrationConfig,
) -> Rounded:
    """Choose the codes of a network's weights, and correct what quantization shifts.

    Layers are rounded in the order in which they are computed. The inputs of each are those that
    the quantized layers before it give, and its outputs are to be those of the float network.
    Their mean is corrected in the layer's bias, or in the batch norm behind it. The levels stay
    as they are, and so does a weight of exactly zero.

    A layer whose moments cannot be computed (more than 8192 inputs an output, another padding than
    zeros, or activations that overflow) keeps its nearest codes.

    Args:
        network: Float network in eval mode on any device; not modified.
        nearest: The weights to be rounded, rounded to nearest, by tensor name.
        batches: Calibration images.
        rounding: A name of `trainers.quantization.calibration.ROUNDINGS`.
        calibration: Damping, and whether to move batch norms.
    """
    if rounding == "nearest" and not calibration.batch_norm:
        return Rounded(nearest, {})
    quantized = copy.deepcopy(network)
    rounder = Rounder(network, batches, rounding=rounding, calibration=calibration)
    weights, floats = dict(nearest), dict[str, Tensor]()
    with torch.no_grad():
        for name, weight in nearest.items():
            quantized.get_parameter(name).copy_(dequantize(weight))
        blocks = rounder.blocks() if rounding == "brecq" else {}
        for layer in rounder.order:
            name = f"{layer}.weight"
            if name in nearest and (moments := rounder.moments(layer, quantized)) is not None:
                weights[name], corrected = rounder.round(layer, quantized, nearest[name], moments)
                floats |= corrected
            if layer in blocks:
                weights |= rounder.round_block(blocks[layer], quantized, weights)
    return Rounded(weights, floats)


class Rounder:
    """Rounds single layers of a network, given a copy whose other layers are as they may be.

    Args:
        network: Float network in eval mode; not modified.
        batches: Calibration images.
        rounding: A name of `trainers.quantization.calibration.ROUNDINGS`.
        calibration: Damping, and whether to move batch norms.

    Attributes:
        order: The layers in the order in which they are computed.
    """

    def __init__(
        self,
        network: nn.Module,
        batches: Batches,
        *,
        rounding: str,
        calibration: CalibrationConfig,
    ) -> None:
        self._network, self._batches = network, batches
        self._rounding, self._calibration = rounding, calibration
        self.order, self._norms = _traced(network, next(batches()))
        self._images = sum(len(batch) for batch in batches())

    def moments(self, layer: str, quantized: nn.Module) -> Moments | None:
        """Compute the moments of a layer's inputs, in the network and in the copy.

        Returns:
            None for a layer whose moments cannot be computed.
        """
        module = self._network.get_submodule(layer)
        if not is_supported(module):
            return None
        inputs = (_inputs(each, layer, self._batches) for each in (self._network, quantized))
        found = moments_of(module, zip(*inputs, strict=True), self._images)
        return found if found.are_finite else None

    def round(
        self, layer: str, quantized: nn.Module, nearest: QuantizedWeight, moments: Moments
    ) -> tuple[QuantizedWeight, dict[str, Tensor]]:
        """Choose the codes of a layer and put its weight and what is corrected into the copy.

        Args:
            layer: Its name.
            quantized: The copy.
            nearest: Its weight, rounded to nearest; the levels stay.
            moments: Of its inputs.

        Returns:
            The weight, and what was corrected, by tensor name.
        """
        weight = nearest
        if self._rounding in _RULES:
            rule, damping = _RULES[self._rounding], self._calibration.damping
            module = self._network.get_submodule(layer)
            weight = _rounded(module, nearest, moments, rule, damping)
        quantized.get_parameter(f"{layer}.weight").copy_(dequantize(weight))
        scales = self._calibration.batch_norm
        if self._rounding == "nearest" and not scales:
            return weight, {}
        return weight, _corrected(quantized, layer, self._norms.get(layer), moments, scales=scales)

    def blocks(self) -> dict[str, Block]:
        """Return the blocks whose outputs can be compared, by the last layer of each."""
        found = blocks_of(self._network, self.order, next(self._batches()))
        return {[*block.layers][-1]: block for block in found}

    def round_block(
        self, block: Block, quantized: nn.Module, weights: Mapping[str, QuantizedWeight]
    ) -> dict[str, QuantizedWeight]:
        """Choose the codes of a block's layers together and put its weights into the copy.

        Args:
            block: The block.
            quantized: The copy, with the codes that its layers were given one by one.
            weights: Quantized weights of the network, by tensor name.

        Returns:
            Those of the block, by tensor name.
        """
        names = {f"{inside}.weight": f"{layer}.weight" for layer, inside in block.layers.items()}
        names = {inside: name for inside, name in names.items() if name in weights}
        copies = (self._network, quantized)
        before, after = (
            torch.cat([*_inputs(each, block.first, self._batches)]) for each in copies
        )
        found = learned_block(
            block.module(self._network),
            block.module(quantized),
            {
                inside: (self._network.get_parameter(name), weights[name])
                for inside, name in names.items()
            },
            (before, after),
            seed=self._calibration.seed,
        )
        for inside, weight in found.items():
            quantized.get_parameter(names[inside]).copy_(dequantize(weight))
        return {names[inside]: weight for inside, weight in found.items()}


def _rounded(
    layer: nn.Module, nearest: QuantizedWeight, moments: Moments, rule: Rule, damping: float
) -> QuantizedWeight:
    """Round the weight of one layer."""
    weight, groups = layer.get_parameter("weight"), groups_of(layer)
    rows = weight.reshape(groups, weight.shape[0] // groups, -1)
    grid = grid_of(nearest.levels, weight.shape[0], weight.device)
    second = damped(moments.second, damping)
    target = target_weights(rows.double(), second, moments.cross)
    codes = grid.codes(rule(target, second, grid, rows == 0)).reshape(weight.shape)
    return QuantizedWeight(codes, nearest.levels)


def _corrected(
    quantized: nn.Module, layer: str, norm: str | None, moments: Moments, *, scales: bool
) -> dict[str, Tensor]:
    """Give the outputs the mean, and the normalized ones the variance, of the float network."""
    module = quantized.get_submodule(layer)
    groups = groups_of(module)
    rows = module.get_parameter("weight").double()
    rows = rows.reshape(groups, rows.shape[0] // groups, -1)
    mean = torch.bmm(rows, moments.mean.unsqueeze(2)).reshape(-1)
    bias = dict(module.named_parameters(recurse=False)).get("bias")
    if norm is None:
        if bias is None:
            return {}
        bias.add_(moments.output_mean - mean)
        return {f"{layer}.bias": bias.detach()}
    gain = torch.ones_like(mean)
    if scales:
        variance = (torch.bmm(rows, moments.second) * rows).sum(2).reshape(-1)
        known = (variance > 0) & (moments.output_variance > 0)
        gain = torch.where(known, variance / moments.output_variance, 1.0).sqrt()
    return _moved(quantized, norm, mean, gain, moments.output_mean, bias)


def _moved(
    quantized: nn.Module,
    norm: str,
    mean: Tensor,
    gain: Tensor,
    former_mean: Tensor,
    bias: Tensor | None,
) -> dict[str, Tensor]:
    """Move a batch norm's statistics as the outputs before it moved.

    Not to the statistics of the calibration images: those differ from the ones of the training by
    more than most quantizations change.
    """
    batch_norm = quantized.get_submodule(norm)
    eps = getattr(batch_norm, "eps", 0.0)
    center, spread = (batch_norm.get_buffer(name) for name in ("running_mean", "running_var"))
    offset = torch.zeros_like(mean) if bias is None else bias.double()
    center.copy_(mean + offset + gain * (center.double() - former_mean - offset))
    spread.copy_(((spread.double() + eps) * gain.square() - eps).clamp(min=0))
    return {f"{norm}.running_mean": center, f"{norm}.running_var": spread}


class _Reached(Exception):
    """Ends a forward pass at the layer whose inputs are wanted."""


def _inputs(network: nn.Module, layer: str, batches: Batches) -> Iterator[Tensor]:
    """Yield the inputs of a layer, batch by batch."""
    found: list[Tensor] = []

    def reached(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        found.append(given[0].detach())
        raise _Reached

    for batch in batches():
        handle = network.get_submodule(layer).register_forward_pre_hook(reached)
        try:
            network(batch)
        except _Reached:
            yield found.pop()
        finally:
            handle.remove()


def _traced(network: nn.Module, batch: Tensor) -> tuple[list[str], dict[str, str]]:
    """Return the layers in the order of computation, and the batch norm behind each."""
    order: list[str] = []
    made: dict[int, tuple[str, Tensor]] = {}
    norms: dict[str, str] = {}
    names = {module: name for name, module in network.named_modules()}

    def computed(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        order.append(names[module])
        # The tensor is kept so that no other one gets its address.
        made[id(output)] = (names[module], output)

    def normalizes(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if id(given[0]) in made:
            norms[made[id(given[0])][0]] = names[module]

    handles = [
        module.register_forward_hook(computed)
        for module in names
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    handles += [
        module.register_forward_pre_hook(normalizes)
        for module in names
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.track_running_stats
    ]
    try:
        with torch.no_grad():
            network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(order)), norms


def divergence(network: nn.Module, quantized: nn.Module, batches: Batches) -> float:
    """Compute the mean Kullback-Leibler divergence of predictions from those of a network."""
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in batches():
            before, after = (each(batch).double().log_softmax(1) for each in (network, quantized))
            total += float(functional.kl_div(after, before, reduction="sum", log_target=True))
            count += len(batch)
    return total / max(1, count)
