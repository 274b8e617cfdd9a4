"""Activations in few bits: the inputs of each layer are rounded to evenly spaced levels.

Simulated: layers compute in float32 with inputs that are multiples of a step, as an integer
runtime would. One step and one code of zero for each layer, found on calibration images; codes are
unsigned, from 0 to `2**bits - 1`, and zero is exactly one of them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainers.quantization.plan import weight_kinds

PERCENTILE = 99.9
"""Share of the activations, in percent, that the range of ``percentile`` holds."""

# Values of one layer that are kept of each batch for percentiles and squared errors.
_KEPT = 1 << 15
_SHARES = torch.linspace(0.1, 1.0, 46)
_SMALLEST_STEP = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, slots=True)
class ActivationLevels:
    """The levels of the inputs of one layer.

    Attributes:
        bits: Bits of a code, 2 to 8.
        scale: Step between two levels, above 0; a float32 value.
        zero_point: Code of the activation 0, in `[0, 2**bits - 1]`.
    """

    bits: int
    scale: float
    zero_point: int

    @property
    def top(self) -> int:
        """The largest code."""
        return (1 << self.bits) - 1

    def __call__(self, values: Tensor) -> Tensor:
        """Round activations to their levels.

        The gradient is passed straight through where activations are within the range, and is
        zero where they are cut (Bengio et al. 2013, arXiv:1308.3432).

        >>> ActivationLevels(2, scale=0.5, zero_point=1)(torch.tensor([-9.0, 0.2, 0.3])).tolist()
        [-0.5, 0.0, 0.5]
        """
        rounded: Tensor = _StraightThrough.apply(values, self.scale, self.zero_point, self.top)
        return rounded


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: float, zero: int, top: int) -> Tensor:
        codes = (values / scale).round_().add_(zero)
        ctx.save_for_backward((codes >= 0) & (codes <= top))
        return codes.clamp_(0, top).sub_(zero).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None


class _Rounds:
    """Rounds the input of a layer; a hook that is copied together with the layer."""

    def __init__(self, levels: ActivationLevels) -> None:
        self.levels = levels

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (self.levels(inputs[0]), *inputs[1:])


def quantize_activations(network: nn.Module, levels: Mapping[str, ActivationLevels]) -> None:
    """Let layers round their inputs, from now on.

    Args:
        network: Changed in place.
        levels: By the name of the layer.

    >>> network = nn.Sequential(nn.Linear(2, 1))
    >>> quantize_activations(network, {"0": ActivationLevels(4, 0.5, 0)})
    >>> activation_levels(network)
    {'0': ActivationLevels(bits=4, scale=0.5, zero_point=0)}
    """
    for name, each in levels.items():
        network.get_submodule(name).register_forward_pre_hook(_Rounds(each))


def activation_levels(network: nn.Module) -> dict[str, ActivationLevels]:
    """Return the levels of the layers that round their inputs, by name; empty without any.

    >>> activation_levels(nn.Sequential(nn.Linear(2, 1)))
    {}
    """
    return {name: hook.levels for name, _, hook in _hooks(network)}


def float_activations(network: nn.Module) -> None:
    """Undo `quantize_activations`, in place.

    >>> network = nn.Sequential(nn.Linear(2, 1))
    >>> quantize_activations(network, {"0": ActivationLevels(4, 0.5, 0)})
    >>> float_activations(network)
    >>> activation_levels(network)
    {}
    """
    for _, remove, _ in list(_hooks(network)):
        remove()


def _hooks(network: nn.Module) -> Iterator[tuple[str, Callable[[], Any], _Rounds]]:
    for name, module in network.named_modules():
        hooks = module._forward_pre_hooks  # noqa: SLF001 - torch has no public list of hooks
        for key, hook in list(hooks.items()):
            if isinstance(hook, _Rounds):
                yield name, lambda hooks=hooks, key=key: hooks.pop(key), hook  # type: ignore[misc]


def input_layers(network: nn.Module) -> tuple[str, ...]:
    """Return the layers whose inputs are quantized: convolutions and linear layers, in order.

    >>> input_layers(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Linear(4, 2)))
    ('0', '2')
    """
    return tuple(name.rpartition(".")[0] for name in weight_kinds(network))


def calibrate_activations(
    network: nn.Module, batches: Callable[[], Iterator[Tensor]], bits: int, range_rule: str
) -> dict[str, ActivationLevels]:
    """Find the levels of the inputs of each layer.

    ``minmax`` holds every activation on the images, ``percentile`` 99.9 % of them, and ``mse`` has
    the least squared error of 46 ranges, each a share of the one of ``minmax``. The latter two
    look at up to 2**15 activations of a layer in each batch.

    Args:
        network: In eval mode, with the weights that it will have; not modified.
        batches: Begins the calibration images anew.
        bits: 2 to 8.
        range_rule: A name of `trainers.quantization.config.ACTIVATION_RANGES`.

    >>> network = nn.Sequential(nn.Linear(1, 2))
    >>> images = lambda: iter([torch.tensor([[0.0], [3.0]])])
    >>> calibrate_activations(network, images, 2, "minmax")
    {'0': ActivationLevels(bits=2, scale=1.0, zero_point=0)}
    """
    names = input_layers(network)
    seen: dict[str, list[Tensor]] = {name: [] for name in names}
    ends = dict.fromkeys(names, (0.0, 0.0))
    handles = []
    for name in names:

        def looks(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
            values = inputs[0].detach().reshape(-1)
            low, high = ends[name]
            ends[name] = min(low, float(values.min())), max(high, float(values.max()))
            if range_rule != "minmax":
                seen[name].append(values[:: max(1, len(values) // _KEPT)].cpu())

        handles.append(network.get_submodule(name).register_forward_pre_hook(looks))
    try:
        with torch.no_grad():
            for batch in batches():
                network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: _levels(ends[name], seen[name], bits, range_rule) for name in names}


def _levels(
    ends: tuple[float, float], seen: list[Tensor], bits: int, range_rule: str
) -> ActivationLevels:
    if range_rule == "minmax" or not seen:
        return _of_range(*ends, bits)
    values = torch.cat(seen)
    if range_rule == "percentile":
        outside = (100 - PERCENTILE) / 100
        # With one end at zero, as after a ReLU, all that is cut is at the other.
        share = outside if ends[0] == 0 or ends[1] == 0 else outside / 2
        low, high = (_quantile(values, each) for each in (share, 1 - share))
        return _of_range(min(0.0, low), max(0.0, high), bits)
    shares = map(float, _SHARES)
    tried = [_of_range(share * ends[0], share * ends[1], bits) for share in shares]
    return min(tried, key=lambda each: float((each(values) - values).square().sum()))


def _quantile(values: Tensor, share: float) -> float:
    rank = min(len(values), max(1, round(share * len(values))))
    return float(values.kthvalue(rank).values)


def _of_range(low: float, high: float, bits: int) -> ActivationLevels:
    top = (1 << bits) - 1
    width = max((high - low) / top, _SMALLEST_STEP)
    scale = float(torch.tensor(width, dtype=torch.float32))
    zero_point = min(top, max(0, round(-low / scale)))
    return ActivationLevels(bits, scale, zero_point)
