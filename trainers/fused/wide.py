"""Many heads on the same inputs, computed together: logits and gradients.

The first layers, which hold most of the weights, stand one below the other in one matrix: all of
them are one product, whatever their widths. The layers after them are small, and each is a
product of its own. Nothing is padded.

Gradients are written out rather than left to autograd, so that they go to places that are made
once; a step of 64 heads takes half the time. Every product and every sum has the terms, and the
order of terms, that it has in a head alone: a head is not changed by those beside it, and on a
CPU rarely in its last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class WideHeads:
    """Heads that see the same inputs.

    Args:
        heads: As `trainers.heads.build_head` makes them; either all of them have hidden layers,
            or none. What they hold stays as it is until `write_back`, but for the weights of
            deeper layers, which are used in place.

    Attributes:
        parameters: Of each head, in the order of its own `parameters()`.
        gradients: What `backward` left for each of them.
    """

    def __init__(self, heads: Sequence[nn.Sequential]) -> None:
        layers = [[layer for layer in head if isinstance(layer, nn.Linear)] for head in heads]
        self._firsts = [of_head[0] for of_head in layers]
        self._widths = [first.out_features for first in self._firsts]
        self._weight = torch.cat([first.weight.detach() for first in self._firsts])
        self._bias = torch.cat([first.bias.detach() for first in self._firsts])
        self._weight_grad = torch.empty_like(self._weight)
        self._bias_grad = torch.empty_like(self._bias)
        self._tails = [
            _Tail(head, of_head[1:]) for head, of_head in zip(heads, layers, strict=True)
        ]
        self._has_hidden_layers = len(layers[0]) > 1
        self._inputs = self._first = torch.empty(0)
        self._places: dict[tuple[str, int], Tensor] = {}
        self.parameters = self._by_head(
            self._weight, self._bias, [tail.parameters for tail in self._tails]
        )
        self.gradients = self._by_head(
            self._weight_grad, self._bias_grad, [tail.gradients for tail in self._tails]
        )

    @torch.no_grad()
    def logits(
        self, inputs: Tensor, generators: Sequence[torch.Generator | None] | None = None
    ) -> Tensor:
        """Logits (G, N, classes) of inputs (N, features).

        Args:
            inputs: The same for each of the G heads.
            generators: Where each head draws its dropout from, None if it has none; None for all
                of them when no gradient is wanted.
        """
        first = self._place("first", len(inputs))
        torch.addmm(self._bias, inputs, self._weight.t(), out=first)
        if self._has_hidden_layers:
            first.relu_()
        self._inputs, self._first = inputs, first
        columns = torch.split(first, self._widths, 1)
        drawn = generators or [None] * len(columns)
        return torch.stack(
            [
                tail.forward(hidden, generator)
                for tail, hidden, generator in zip(self._tails, columns, drawn, strict=True)
            ]
        )

    @torch.no_grad()
    def backward(self, gradient: Tensor) -> None:
        """Fill `gradients` from those of the latest logits (G, N, classes)."""
        wide = self._place("gradient", len(gradient[0]))
        for tail, to_logits, to_hidden in zip(
            self._tails, gradient, torch.split(wide, self._widths, 1), strict=True
        ):
            tail.backward(to_logits, to_hidden)
        if self._has_hidden_layers:
            _relu_backward(wide, self._first)
        torch.mm(wide.t(), self._inputs, out=self._weight_grad)
        # Not one sum over all columns: the order of its terms would depend on who is beside whom.
        for own, columns in zip(self.gradients, torch.split(wide, self._widths, 1), strict=True):
            torch.sum(columns, 0, out=own[1])

    @torch.no_grad()
    def write_back(self) -> None:
        """Give the heads their first layers."""
        weights, biases = (torch.split(each, self._widths) for each in (self._weight, self._bias))
        for first, weight, bias in zip(self._firsts, weights, biases, strict=True):
            first.weight.copy_(weight)
            first.bias.copy_(bias)

    def _place(self, name: str, rows: int) -> Tensor:
        """Where the columns of all first units go; made once, and not in every step."""
        if (name, rows) not in self._places:
            self._places[name, rows] = self._bias.new_empty(rows, len(self._bias))
        return self._places[name, rows]

    def _by_head(
        self, weight: Tensor, bias: Tensor, tails: Sequence[list[Tensor]]
    ) -> list[list[Tensor]]:
        weights, biases = (torch.split(each, self._widths) for each in (weight, bias))
        return [[w, b, *tail] for w, b, tail in zip(weights, biases, tails, strict=True)]


@dataclass(frozen=True, slots=True)
class _Layer:
    weight: Tensor
    bias: Tensor
    weight_grad: Tensor
    bias_grad: Tensor


class _Tail:
    """What of one head comes after its first layer; nothing, where that is all of it."""

    def __init__(self, head: nn.Sequential, layers: Sequence[nn.Linear]) -> None:
        self._dropout = next((part.p for part in head if isinstance(part, nn.Dropout)), 0.0)
        self._layers: list[_Layer] = []
        for layer in layers:
            weight, bias = layer.weight.detach(), layer.bias.detach()
            self._layers.append(
                _Layer(weight, bias, torch.empty_like(weight), torch.empty_like(bias))
            )
        self._seen: list[Tensor] = []
        self._scale = 1.0
        self.parameters = [t for layer in self._layers for t in (layer.weight, layer.bias)]
        self.gradients = [
            t for layer in self._layers for t in (layer.weight_grad, layer.bias_grad)
        ]

    def forward(self, hidden: Tensor, generator: torch.Generator | None) -> Tensor:
        """Logits of hidden outputs after their ReLU, which are changed where dropout is on."""
        self._seen = []
        self._scale = 1.0 if generator is None else 1 / (1 - self._dropout)
        for number, layer in enumerate(self._layers):
            if number:
                hidden.relu_()
            if generator is not None:
                hidden.mul_(_noise(hidden, self._dropout, generator))
            self._seen.append(hidden)
            hidden = torch.addmm(layer.bias, hidden, layer.weight.t())
        return hidden

    def backward(self, gradient: Tensor, to_hidden: Tensor) -> None:
        """From the gradient of the logits to that of the hidden outputs before their dropout."""
        if not self._layers:
            to_hidden.copy_(gradient)
        for number in reversed(range(len(self._layers))):
            layer, seen = self._layers[number], self._seen[number]
            torch.mm(gradient.t(), seen, out=layer.weight_grad)
            torch.sum(gradient, 0, out=layer.bias_grad)
            if number:
                gradient = torch.mm(gradient, layer.weight)
                _relu_backward(gradient, seen)
            else:
                gradient = torch.mm(gradient, layer.weight, out=to_hidden)
            if self._scale != 1:
                # What was dropped is zero, as is what the ReLU cut.
                gradient.mul_(self._scale)


def _noise(like: Tensor, dropout: float, generator: torch.Generator) -> Tensor:
    # As torch's dropout (2.14) draws on a CPU, so that a head drops what it drops alone.
    noise = torch.empty(like.shape, device=like.device)
    return noise.bernoulli_(1 - dropout, generator=generator).div_(1 - dropout)


def _relu_backward(gradient: Tensor, output: Tensor) -> None:
    # Autograd's own: what is cut stays cut where the gradient is infinite.
    torch.ops.aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)
