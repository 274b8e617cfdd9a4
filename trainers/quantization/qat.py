"""Quantization-aware training: the forward pass sees the weights that will be packed.

A weight stays in float32 and is parametrized (`torch.nn.utils.parametrize`): reading it from the
layer gives, bit for bit, `dequantize(quantize_weight(weight, bits, step=...))`. The gradient
goes straight through the rounding (Bengio et al. 2013, section 4, https://arxiv.org/abs/1308.3432)
to the float weight.

torch's own fused operator, `torch.fake_quantize_per_channel_affine`, gives the same values and
gradients, and is the oracle of the tests. It is not used here: in torch 2.14 it takes 3 to 5
times as long on a CPU as the elementary operations on pieces that stay in the cache.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.utils import parametrize

from trainers.quantization.config import QuantizationConfig
from trainers.quantization.plan import planned_weights
from trainers.quantization.quantized import top_code

_SMALLEST_NORMAL = torch.finfo(torch.float32).tiny
# Far below the step of any weight with an effect, and its reciprocal is far from infinite.
_SMALLEST_SPREAD = 1e-8
# Weights per piece on a CPU, so that the temporary arrays stay in its cache. Those of a VGG's FC
# weight would be newly mapped memory, whose first access costs more than all the arithmetic.
_AT_ONCE = 1 << 16


class AbsMax(nn.Module):
    """Parametrization with steps from the largest magnitude, as in quantization after training.

    No weight is beyond the largest code, so that the straight-through gradient is the identity.

    Args:
        bits: 2 to 8; 2 bits are the three levels -1, 0 and 1 times the step.
        scope: ``channel``, a step for each output channel, or ``layer``.
    """

    def __init__(self, bits: int, scope: str) -> None:
        super().__init__()
        self._top = top_code(bits)
        self._scope = scope

    def forward(self, weight: Tensor) -> Tensor:
        """Quantize and dequantize the weight."""
        quantized: Tensor = _StraightThrough.apply(weight, self.step(weight), self._top)
        return quantized

    def step(self, weight: Tensor) -> Tensor:
        """Return weight units per code: float32 `(out, 1, ...)`, or `(1, 1, ...)` for a layer."""
        weight = weight.detach()
        dims = _shared_dims(weight, self._scope)
        if weight.numel() == 0:
            # `amax` raises on an empty group.
            return torch.ones_like(weight.sum(dims, keepdim=True))
        # Not `abs().amax()`, which makes an array of the weight's size.
        highest, lowest = (f(weight, dims, keepdim=True) for f in (torch.amax, torch.amin))
        step = torch.maximum(highest, -lowest) / self._top
        return torch.where(step >= _SMALLEST_NORMAL, step, torch.ones_like(step))


class LSQ(nn.Module):
    """Parametrization with steps learned along with the weights (learned step size quantization).

    What is learned is the *spread* of a group, `step * sqrt(top_code(bits))`, which starts at
    `2 mean|w|` and whose gradient is that of the step (equation 3) divided by the root of the
    number of weights in the group. For SGD this is the paper's method to the letter: its step
    starts at `2 mean|w| / sqrt(Q)` and its gradient is scaled by `1 / sqrt(n Q)` (section 2.2).
    For Adam, whose updates do not depend on a gradient's scale, it keeps what that scale is for:
    spread and weights are of one size, so that one learning rate changes both by the same share.

    A negative spread counts by its magnitude, and one below 1e-8 as 1e-8: every finite spread
    gives a step that can be packed. A non-finite spread gives a non-finite loss, or is found after
    the epoch, and ends the training.

    Args:
        weight: The initial weight, finite; not modified.
        bits: 2 to 8; 2 bits are the three levels -1, 0 and 1 times the step.
        scope: ``channel``, a step for each output channel, or ``layer``.

    Attributes:
        spread: float32 `(out, 1, ...)`, or `(1, 1, ...)` of a layer.

    References:
        S. K. Esser et al. Learned step size quantization. ICLR 2020.
        https://arxiv.org/abs/1902.08153
    """

    def __init__(self, weight: Tensor, bits: int, scope: str) -> None:
        super().__init__()
        self._top = top_code(bits)
        dims = _shared_dims(weight, scope)
        self.spread = nn.Parameter(2 * weight.detach().abs().mean(dims, keepdim=True))

    def forward(self, weight: Tensor) -> Tensor:
        """Quantize and dequantize the weight."""
        quantized: Tensor = _LearnedStep.apply(weight, self.spread, self._top)
        return quantized

    def step(self, weight: Tensor) -> Tensor:
        """Return weight units per code: float32 `(out, 1, ...)`, or `(1, 1, ...)` for a layer."""
        return _step_of(self.spread.detach(), self._top)


class QuantizedTraining:
    """Trains a network with its weights as they will be packed.

    Trained weights are parametrized. Frozen weights are quantized once, with abs-max steps in
    either mode, since a learned step would change them.

    Args:
        network: The network, changed in place. Frozen parameters require no gradient.
        quantization: Which weights are quantized, symmetric, in the scope ``channel`` or
            ``layer``.
        qat: ``absmax``, ``lsq``, or ``none``, which does not change the network.

    Attributes:
        parameters: The learned spreads of ``lsq``.

    Raises:
        ValueError: `quantization` names a convolution that the network does not have.
    """

    def __init__(self, network: nn.Module, quantization: QuantizationConfig, qat: str) -> None:
        self.parameters: list[nn.Parameter] = []
        self._steps: dict[str, Tensor] = {}
        self._parametrized: dict[str, nn.Module] = {}
        scope = quantization.scope
        planned = {} if qat == "none" else planned_weights(network, quantization)
        for name, plan in planned.items():
            weight = network.get_parameter(name)
            if not weight.requires_grad:
                self._steps[name] = _quantize_for_good(weight, AbsMax(plan.bits, scope))
                continue
            rule = AbsMax(plan.bits, scope) if qat == "absmax" else LSQ(weight, plan.bits, scope)
            module = network.get_submodule(name.rpartition(".")[0])
            parametrize.register_parametrization(module, "weight", rule)
            self._parametrized[name] = module
            self.parameters += rule.parameters()

    def remove(self) -> dict[str, Tensor]:
        """Restore the network's own float32 parameters; trained ones are not rounded.

        Returns:
            The step of every quantized weight, by its name in the network's state dict: with them
            `write_artifact` writes exactly the weights of the training's forward pass.
        """
        for name, module in self._parametrized.items():
            rule, weight = _parametrization(module)
            self._steps[name] = rule.step(weight)
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
            # The weight is now after the bias, but the order of a state dict matters.
            for other, parameter in list(module.named_parameters(recurse=False)):
                if other != "weight":
                    delattr(module, other)
                    module.register_parameter(other, parameter)
        self._parametrized.clear()
        return self._steps


def _quantize_for_good(weight: nn.Parameter, rule: AbsMax) -> Tensor:
    """Quantize a weight in place; return its step, which rounded weights no longer determine."""
    step = rule.step(weight)
    with torch.no_grad():
        weight.copy_(rule(weight))
    return step


def _parametrization(module: nn.Module) -> tuple[AbsMax | LSQ, Tensor]:
    """Return the parametrization of the module's weight, and the float32 weight."""
    entry: Any = module.get_submodule("parametrizations.weight")
    return entry[0], entry.original


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, weight: Tensor, step: Tensor, top: int) -> Tensor:
        return _rounded(weight, step, top)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient, None, None


class _LearnedStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, spread: Tensor, top: int) -> Tensor:
        # The output is recomputed piece by piece and not saved: memory would cost more time.
        ctx.save_for_backward(weight, spread)
        ctx.top = top
        return _rounded(weight, _step_of(spread, top), top)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        """Apply equations 3 and 5 of Esser et al.; `LSQ` defines the gradient of a spread."""
        weight, spread = ctx.saved_tensors
        step = _step_of(spread, ctx.top)
        per_channel, inverse = _by_channel(step, weight)
        limits = ctx.top * per_channel
        of_weight = torch.empty_like(weight)
        of_channels = torch.empty_like(limits)
        for rows in _pieces(weight):
            # 1 or 0 as a float: a mask of booleans takes torch five times as long on a CPU.
            inside = weight[rows].abs().lt_(limits[rows])
            torch.mul(gradient[rows], inside, out=of_weight[rows])
            # `round(v) - v` inside and the largest code outside, times the step.
            moved = _dequantize_(weight[rows] * inverse[rows], per_channel[rows], ctx.top)
            moved.addcmul_(weight[rows], inside, value=-1).mul_(gradient[rows])
            torch.sum(moved, _inner(weight), keepdim=True, out=of_channels[rows])
        in_group = weight.numel() / spread.numel()
        sign = torch.where(spread < 0, -1.0, 1.0)
        of_step = of_channels.sum_to_size(spread.shape) / step
        return of_weight, of_step * sign / math.sqrt(in_group), None


def _rounded(weight: Tensor, step: Tensor, top: int) -> Tensor:
    """Compute `dequantize(quantize_weight(weight, bits, step=step))` without the codes."""
    per_channel, inverse = _by_channel(step, weight)
    quantized = torch.empty_like(weight)
    for rows in _pieces(weight):
        scaled = torch.mul(weight[rows], inverse[rows], out=quantized[rows])
        _dequantize_(scaled, per_channel[rows], top)
    return quantized


def _by_channel(step: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the step and `1 / step` for each output channel of the weight."""
    shape = (len(weight), *step.shape[1:])
    return step.expand(shape), (1 / step).expand(shape)


def _dequantize_(scaled: Tensor, step: Tensor, top: int) -> Tensor:
    """Replace weights in units of their steps, in place, by their dequantized values."""
    # Zero is added because a weight rounded up to zero is -0 here, and 0 as an integer.
    return scaled.round_().clamp_(-top, top).mul_(step).add_(0.0)


def _step_of(spread: Tensor, top: int) -> Tensor:
    return spread.abs().clamp_(min=_SMALLEST_SPREAD) / math.sqrt(top)


def _pieces(weight: Tensor) -> Iterator[slice]:
    """Output channels that are worked on at once; all of them on an accelerator."""
    channels = len(weight)
    at_once = channels
    if weight.device.type == "cpu" and weight.numel():
        at_once = -(-_AT_ONCE * channels // weight.numel())
    for first in range(0, channels, max(1, at_once)):
        yield slice(first, first + at_once)


def _shared_dims(weight: Tensor, scope: str) -> tuple[int, ...]:
    """The dimensions over which weights share a step."""
    return _inner(weight) if scope == "channel" else tuple(range(weight.ndim))


def _inner(weight: Tensor) -> tuple[int, ...]:
    return tuple(range(1, weight.ndim))
