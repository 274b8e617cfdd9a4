"""What rounding may do, whatever kernel computes: in float32 to a step, in float64 to a training.

A sum of `n` products is computed in some order, fused or not, and is off by at most `gamma(n)`
times the sum of their absolute values: N. J. Higham. Accuracy and stability of numerical
algorithms. 2nd edition, 2002, section 3.1. Here that is added to what the operands are off by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

UNIT = 2.0**-24

# How far apart the weights of two trainings in float64 may be that differ in rounding alone.
#
# AdamW divides a gradient by its size plus 1e-8, so that the rounding of one that is next to zero
# decides up to a whole learning rate. A gradient of these tests is a sum of less than a thousand
# products of numbers around one, off by at most 1e-13 in float64: a step of the largest learning
# rate, 1e-2, by at most 1e-2 * 1e-13 / 1e-8 = 1e-7. None takes more than ten steps. In float32,
# where a gradient is off by up to 1e-4, the bound is that of the steps themselves.
TRAINING_IN_FLOAT64 = 1e-6


def gamma(terms: int) -> float:
    """The largest relative error of a sum of so many products, and of adding one number to it."""
    return (terms + 1) * UNIT / (1 - (terms + 1) * UNIT)


@dataclass(frozen=True)
class Bounded:
    """What is computed in float64, and how far off float32 may be."""

    value: Tensor
    error: Tensor

    @classmethod
    def exactly(cls, given: Tensor) -> "Bounded":
        return cls(given.detach().double(), torch.zeros_like(given, dtype=torch.float64))

    @property
    def largest(self) -> Tensor:
        return self.value.abs() + self.error

    def times(self, other: "Bounded") -> "Bounded":
        """The matrix product."""
        from_operands = self.largest @ other.largest - self.value.abs() @ other.value.abs()
        rounding = gamma(self.value.shape[-1]) * (self.largest @ other.largest)
        return Bounded(self.value @ other.value, from_operands + rounding)

    def plus(self, other: Tensor) -> "Bounded":
        rounding = UNIT * (self.largest + other.abs())
        return Bounded(self.value + other, self.error + rounding)

    def relu(self) -> "Bounded":
        return Bounded(self.value.relu(), self.error)

    def through_relu(self, outputs: "Bounded") -> "Bounded":
        """A gradient where the ReLU lets it through; where rounding decides, through or not."""
        passes, doubtful = outputs.value > 0, outputs.value.abs() <= outputs.error
        error = torch.where(doubtful, self.largest, self.error * passes)
        return Bounded(self.value * passes, error)

    def scaled(self, by: Tensor) -> "Bounded":
        """Times zeros and powers of two, which round nothing."""
        return Bounded(self.value * by, self.error * by)

    def t(self) -> "Bounded":
        return Bounded(self.value.t(), self.error.t())

    def holds(self, found: Tensor) -> bool:
        return bool(((found.double() - self.value).abs() <= self.error).all())


def head_in_float64(
    head: nn.Sequential, inputs: Tensor, weights: Tensor, noise: Sequence[Tensor] | None = None
) -> tuple[Bounded, list[Bounded]]:
    """Logits (N, classes), and the gradients of their weighted sum by `head.parameters()`.

    Args:
        head: As `trainers.networks.heads.build_head` makes them.
        inputs: (N, features).
        weights: (N, classes).
        noise: What the dropout of each hidden layer multiplies by, zeros and powers of two; None
            if nothing is dropped.
    """
    layers = [layer for layer in head if isinstance(layer, nn.Linear)]
    kept = noise or [torch.ones((), dtype=torch.float64)] * len(layers)
    outputs: list[Bounded] = []
    seen = [Bounded.exactly(inputs)]
    for number, layer in enumerate(layers):
        if number:
            seen.append(outputs[-1].relu().scaled(kept[number - 1]))
        product = seen[-1].times(Bounded.exactly(layer.weight).t())
        outputs.append(product.plus(layer.bias.detach().double()))
    gradient, gradients = Bounded.exactly(weights), []
    for number in reversed(range(len(layers))):
        of_bias = Bounded.exactly(torch.ones(1, len(inputs))).times(gradient)
        of_weight = gradient.t().times(seen[number])
        gradients = [of_weight, Bounded(of_bias.value[0], of_bias.error[0]), *gradients]
        if number:
            gradient = gradient.times(Bounded.exactly(layers[number].weight))
            gradient = gradient.scaled(kept[number - 1]).through_relu(outputs[number - 1])
    return outputs[-1], gradients
