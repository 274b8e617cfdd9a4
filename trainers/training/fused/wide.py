"""Many heads on the same inputs, computed together: logits and gradients.

The first layers, which hold most of the weights, are stacked in one matrix, so that they take a
single matrix product, whatever their widths. The later layers are small, and each has a product
of its own. Nothing is padded. Units are rows and images are columns, so that the outputs of a
head are contiguous.

Gradients are written out rather than left to autograd. Every sum has the terms of one head, in an
order that, on the CPUs that were tried, does not depend on the other heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class WideHeads:
    """Heads with the same inputs.

    Args:
        heads: Heads from `trainers.networks.heads.build_head`. Their first layers are not changed
            before `write_back`; the weights of deeper layers are used in place.

    Attributes:
        parameters: Parameters of each head, in the order of its own `parameters()`.
        gradients: Gradients of these parameters from the latest `backward`.
    """

    def __init__(self, heads: Sequence[nn.Sequential]) -> None:
        layers = [[layer for layer in head if isinstance(layer, nn.Linear)] for head in heads]
        self._firsts = [of_head[0] for of_head in layers]
        self._widths = [first.out_features for first in self._firsts]
        self._weight = torch.cat([first.weight.detach() for first in self._firsts])
        self._bias = torch.cat([first.bias.detach() for first in self._firsts])
        self._tails = [
            _Tail(head, of_head[1:]) for head, of_head in zip(heads, layers, strict=True)
        ]
        self._inputs = torch.empty(0)
        self.parameters = self._by_head(
            self._weight, self._bias, [tail.parameters for tail in self._tails]
        )
        self.gradients: list[list[Tensor]] = []

    @torch.no_grad()
    def logits(
        self, inputs: Tensor, generators: Sequence[torch.Generator | None] | None = None
    ) -> Tensor:
        """Compute logits (G, classes, N) of inputs (N, features).

        Args:
            inputs: Inputs of all G heads.
            generators: Generator of the dropout of each head, None for a head without dropout;
                None instead of a sequence evaluates all heads without dropout.
        """
        first = _wide_product(self._weight, inputs).add_(self._bias[:, None])
        self._inputs = inputs
        rows = torch.split(first, self._widths)
        drawn = generators or [None] * len(rows)
        return torch.stack(
            [
                tail.forward(own, generator)
                for tail, own, generator in zip(self._tails, rows, drawn, strict=True)
            ]
        )

    @torch.no_grad()
    def backward(self, gradient: Tensor) -> None:
        """Compute `gradients` from the gradient of the latest logits (G, classes, N)."""
        wide = gradient.new_empty(len(self._bias), len(self._inputs))
        rows = torch.split(wide, self._widths)
        for tail, to_logits, to_first in zip(self._tails, gradient, rows, strict=True):
            tail.backward(to_logits, to_first)
        # The previous gradients are freed first, so that the new ones reuse their memory.
        self.gradients = []
        self.gradients = self._by_head(
            _wide_product(wide, self._inputs.t().contiguous()),
            wide.sum(1),
            [tail.gradients for tail in self._tails],
        )

    @torch.no_grad()
    def write_back(self) -> None:
        """Copy the trained first layers into the heads."""
        for first, (weight, bias, *_) in zip(self._firsts, self.parameters, strict=True):
            first.weight.copy_(weight)
            first.bias.copy_(bias)

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
    """The layers of one head after the first; empty for a head of a single layer.

    No product reads or writes a slice of an array of many heads: the alignment of an array decides
    the last bits of MKL's results.
    """

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

    def forward(self, outputs: Tensor, generator: torch.Generator | None) -> Tensor:
        """Compute the logits from the outputs of the first layer."""
        self._seen = []
        self._scale = 1.0 if generator is None else 1 / (1 - self._dropout)
        for layer in self._layers:
            hidden = torch.relu(outputs)
            if generator is not None:
                hidden.mul_(_noise(hidden, self._dropout, generator))
            self._seen.append(hidden)
            outputs = torch.addmm(layer.bias[:, None], layer.weight, hidden)
        return outputs

    def backward(self, to_logits: Tensor, to_first: Tensor) -> None:
        """Compute the gradient of the first layer's outputs from that of the logits."""
        if not self._layers:
            to_first.copy_(to_logits)
            return
        gradient = to_logits.clone()
        for number in reversed(range(len(self._layers))):
            layer, seen = self._layers[number], self._seen[number]
            torch.mm(gradient, seen.t(), out=layer.weight_grad)
            torch.sum(gradient, 1, out=layer.bias_grad)
            gradient = torch.mm(layer.weight.t(), gradient)
            if self._scale != 1:
                # Dropped units are zero, as are those that the ReLU cut: neither gets a gradient.
                gradient.mul_(self._scale)
            _relu_backward(gradient, seen, gradient if number else to_first)


def _wide_product(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right.T`` of two contiguous matrices."""
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    # oneDNN has no float64 products, which the tests use to compare trained weights.
    if left.device.type != "cpu" or left.dtype != torch.float32 or not has_onednn:
        return torch.mm(left, right.t())
    # The operator that torch's compiler emits for `Linear`. `mm` calls MKL, which has half the
    # speed on AMD CPUs, where its order of summation in a row also depends on the other rows.
    onednn = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001 - `to_mkldnn` would copy the weights
    product: Tensor = onednn(left, right, None, "none", [], "")
    return product


def _noise(like: Tensor, dropout: float, generator: torch.Generator) -> Tensor:
    # As torch's dropout (2.14) draws on a CPU, so that a head drops the same units as alone.
    noise = like.new_empty(like.shape[::-1])
    return noise.bernoulli_(1 - dropout, generator=generator).div_(1 - dropout).t()


def _relu_backward(gradient: Tensor, output: Tensor, out: Tensor) -> None:
    # Autograd's own operator: cut units get zero even where the gradient is infinite.
    torch.ops.aten.threshold_backward.grad_input(gradient, output, 0, grad_input=out)
