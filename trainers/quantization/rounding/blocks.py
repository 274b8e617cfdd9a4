"""Codes that keep the outputs of whole blocks: BRECQ, learned from the codes of single layers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from trainers.quantization.quantized import QuantizedWeight
from trainers.quantization.rounding.grid import grid_of
from trainers.quantization.rounding.soft import (
    RATE,
    REGULARIZED,
    STEPS,
    exponent_at,
    numbers_at,
    stretched,
)

# One image of as many says whether what was learned from the others is better.
_JUDGES = 4
_BATCH = 32
# Where a weight begins between the level that it has (0) and its other one (1).
_NEAREST, _FARTHEST = 0.01, 0.05

Inputs = Callable[[nn.Module, str], Iterator[Tensor]]
"""Yields the inputs of a module of a network, batch by batch."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a network that maps one tensor to another.

    Attributes:
        place: Its place in the network's `blocks`.
        first: Name of the module whose input is the block's.
        layers: Its convolutions and linear layers: from names in the network, in the order in
            which they are computed, to names in the block.
    """

    place: int
    first: str
    layers: Mapping[str, str]

    def module(self, network: nn.Module) -> nn.Module:
        """Return the block of a network."""
        return _listed(network)[self.place]


def _listed(network: nn.Module) -> Sequence[nn.Module]:
    found: Sequence[nn.Module] = getattr(network, "blocks", ())
    return found


def blocks_of(network: nn.Module, order: Sequence[str], batch: Tensor) -> Iterator[Block]:
    """Yield the blocks of a network whose outputs can be compared.

    Those are the parts that its backbone lists which return, called alone on what the network
    gives to them, what they return within it.

    Args:
        network: In eval mode; without an attribute `blocks` there are none.
        order: Its layers in the order in which they are computed.
        batch: Images.
    """
    names = {module: name for name, module in network.named_modules()}
    for place, block in enumerate(_listed(network)):
        # A block may be a sequence of its own, of modules of the network.
        parts = [block] if block in names else [*block.children()]
        inside = {module: name for name, module in block.named_modules()}
        layers = {
            name: inside[layer]
            for name in order
            if (layer := network.get_submodule(name)) in inside
        }
        is_inside = all(part in names for part in parts)
        if layers and is_inside and _is_alone(network, block, parts, batch):
            yield Block(place, names[parts[0]], layers)


def _is_alone(
    network: nn.Module, block: nn.Module, parts: Sequence[nn.Module], batch: Tensor
) -> bool:
    """Return whether a block, called alone, returns what its parts return in the network."""
    given: list[object] = []
    returned: list[object] = []

    def begins(_: nn.Module, inputs: tuple[object, ...]) -> None:
        given.extend(_kept(each) for each in inputs)

    def ends(_: nn.Module, __: tuple[object, ...], output: object) -> None:
        returned.append(_kept(output))

    handles = [
        parts[0].register_forward_pre_hook(begins),
        parts[-1].register_forward_hook(ends),
    ]
    try:
        network(batch)
    finally:
        for handle in handles:
            handle.remove()
    if not len(given) == len(returned) == 1:
        return False
    (before,), (after,) = given, returned
    if not isinstance(before, Tensor) or not isinstance(after, Tensor):
        return False
    return torch.equal(block(before), after)


def _kept(value: object) -> object:
    """Return a copy of a tensor, which a later part may change in place."""
    return value.clone() if isinstance(value, Tensor) else None


def learned_block(
    float_block: nn.Module,
    block: nn.Module,
    weights: Mapping[str, tuple[Tensor, QuantizedWeight]],
    pairs: tuple[Tensor, Tensor],
    *,
    seed: int,
) -> dict[str, QuantizedWeight]:
    """Learn the codes of all layers of a block, so that its outputs are those of the float one.

    `min_V  E ||f(x) - f_V(z)||^2 / E ||f(x) - f_0(z)||^2 + E (1 - |2 h(V) - 1|^b)`

    f is the block in floating point and x its inputs there; z are the inputs that the quantized
    layers before the block give. f_0 has the codes that are given, and f_V weights between two
    levels: h(V), a rectified sigmoid, goes from 0, the level that a weight has, to 1, the next
    one on the side of the weight in floating point. The second term, whose exponent b falls from
    20 to 2, drives every weight to one of the two.

    The paper weights outputs by their Fisher information, which is left out, takes 20,000 steps
    from the weights in floating point, and learns the steps of activations too. Here the start is
    the codes of single layers, which are kept unless the learned ones have less error on images
    that nothing was learned from, a quarter of them.

    Args:
        float_block: The block in the float network.
        block: The block in the quantized one; its weights are replaced by those of the codes.
        weights: Weight in floating point and quantized, by name in the block.
        pairs: Inputs of all images, in the float network and in the quantized one.
        seed: Decides the batches.

    Returns:
        The weights with the codes that were chosen, by name in the block.

    References:
        Y. Li et al. BRECQ: pushing the limit of post-training quantization by block
        reconstruction. ICLR 2021, section 3.2 and algorithm 1. https://arxiv.org/abs/2102.05426
    """
    target, inputs = _outputs(float_block, pairs[0]), pairs[1]
    choices = {name: _Choice(*each) for name, each in weights.items()}

    def error(chosen: Tensor) -> float:
        values = {name: choice.hard() for name, choice in choices.items()}
        return _error(block, values, inputs[chosen], target[chosen])

    # Few images both teach and judge.
    judges = torch.arange(len(inputs), device=inputs.device) % _JUDGES == _JUDGES - 1
    learned, judged = (~judges, judges) if judges.any() else (~judges, ~judges)
    before, scale = error(judged), error(learned)
    if scale > 0:
        _descend(block, choices, inputs[learned], target[learned], scale, seed)
    if not error(judged) < before:
        return {name: quantized for name, (_, quantized) in weights.items()}
    return {name: choice.quantized() for name, choice in choices.items()}


class _Choice:
    """For each weight of a layer the level that it has, another one, and which it tends to."""

    def __init__(self, weight: Tensor, quantized: QuantizedWeight) -> None:
        self._levels, rows = quantized.levels, len(weight)
        self._shape = weight.shape
        grid = grid_of(quantized.levels, rows, weight.device)
        first = quantized.levels.first_code
        self._column = quantized.codes.to(weight.device).long().reshape(rows, -1) - first
        wanted = weight.reshape(rows, -1)
        here = grid.at(self._column)
        other = (self._column + (wanted > here).long() * 2 - 1).clamp(0, grid.levels - 1)
        self._other = torch.where(wanted == 0, self._column, other)
        self._grid, self._here = grid, here
        self._way = grid.at(self._other) - here
        gone = ((wanted - here) / torch.where(self._way == 0, 1.0, self._way)).nan_to_num()
        self.number = numbers_at(gone.clamp(_NEAREST, _FARTHEST)).requires_grad_()

    def share(self) -> Tensor:
        return stretched(self.number.sigmoid())

    def between(self, share: Tensor) -> Tensor:
        return (self._here + self._way * share).reshape(self._shape)

    def _columns(self) -> Tensor:
        return torch.where(self.number.detach() > 0, self._other, self._column)

    def hard(self) -> Tensor:
        return self._grid.at(self._columns()).reshape(self._shape)

    def quantized(self) -> QuantizedWeight:
        return QuantizedWeight(
            self._grid.codes(self._columns()).reshape(self._shape), self._levels
        )


@torch.enable_grad()
def _descend(
    block: nn.Module,
    choices: Mapping[str, _Choice],
    inputs: Tensor,
    target: Tensor,
    scale: float,
    seed: int,
) -> None:
    """Learn the numbers of the choices by Adam, on batches that are drawn."""
    numbers = [choice.number for choice in choices.values()]
    count = sum(number.numel() for number in numbers)
    adam = torch.optim.Adam(numbers, lr=RATE)
    draws = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.long)
    for step in range(STEPS):
        if not len(order):
            order = torch.randperm(len(inputs), generator=draws).to(inputs.device)
        chosen, order = order[:_BATCH], order[_BATCH:]
        shares = {name: choice.share() for name, choice in choices.items()}
        weights = {name: choices[name].between(share) for name, share in shares.items()}
        away = functional_call(block, weights, (inputs[chosen],)) - target[chosen]
        loss = away.square().mean() / scale
        if (exponent := exponent_at(step / STEPS)) is not None:
            soft = sum((1 - (2 * h - 1).abs().pow(exponent)).sum() for h in shares.values())
            loss = loss + REGULARIZED * soft / count
        adam.zero_grad()
        loss.backward()
        adam.step()


def _outputs(block: nn.Module, inputs: Tensor) -> Tensor:
    return torch.cat([block(batch.clone()) for batch in torch.split(inputs, _BATCH)])


def _error(
    block: nn.Module, weights: Mapping[str, Tensor], inputs: Tensor, target: Tensor
) -> float:
    """Return the mean squared error of the block's outputs."""
    total = 0.0
    pairs = zip(torch.split(inputs, _BATCH), torch.split(target, _BATCH), strict=True)
    for batch, wanted in pairs:
        found = functional_call(block, dict(weights), (batch.clone(),))
        total += float((found - wanted).square().sum(dtype=torch.float64))
    return total / target.numel()
