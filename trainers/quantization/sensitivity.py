"""How much each layer minds few bits: what the predictions change when it alone is quantized."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from trainers.quantization.allocation import BIT_WIDTHS
from trainers.quantization.config import QuantizationConfig
from trainers.quantization.plan import planned_weights, quantized_weights, weight_kinds
from trainers.quantization.quantized import dequantize
from trainers.quantization.rounding.moments import Moments
from trainers.quantization.rounding.network import Rounder

FC = "fc"
"""Name of the fully connected layers, which share their bits."""

Progress = Callable[[int, int], None]
Part = Callable[[Mapping[str, Any], Callable[[], Any]], Any]
"""Makes a part of the measurements, or returns what is kept of it; of JSON values."""


@dataclass(frozen=True, slots=True)
class Change:
    """What quantization changes.

    Attributes:
        divergence: Mean Kullback-Leibler divergence of the predictions from those of the float
            network, in nats, at least 0 but for rounding.
        loss: Mean cross-entropy minus that of the float network, in nats; None without labels.
    """

    divergence: float
    loss: float | None


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """The sensitivity of a convolution, or of all fully connected layers together.

    Attributes:
        name: Name of the convolution in the network; `FC` for the fully connected layers.
        number: Its number from input to output, from 1, as in ``bits_1``; None for `FC`.
        shapes: Shape of each of its weights.
        alone: By bits: what changes when nothing else is quantized.
        cumulative: By bits: what changes when the layers before it have as many bits. Empty if it
            was not asked for.
    """

    name: str
    number: int | None
    shapes: tuple[tuple[int, ...], ...]
    alone: Mapping[int, Change]
    cumulative: Mapping[int, Change] = field(default_factory=dict)

    @property
    def weights(self) -> int:
        """The number of its weights."""
        return sum(torch.Size(shape).numel() for shape in self.shapes)


def layer_groups(network: nn.Module) -> dict[str, tuple[str, ...]]:
    """Return the weights that get bits together: each convolution, and all linear layers.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(4, 4), nn.Linear(4, 2))
    >>> layer_groups(network)
    {'0': ('0.weight',), 'fc': ('1.weight', '2.weight')}
    """
    kinds = weight_kinds(network)
    groups: dict[str, tuple[str, ...]] = {
        name.removesuffix(".weight"): (name,) for name, convolves in kinds.items() if convolves
    }
    linear = tuple(name for name, convolves in kinds.items() if not convolves)
    return {**groups, FC: linear} if linear else groups


def measure_sensitivity(  # noqa: PLR0913 - what is measured, and how
    network: nn.Module,
    config: QuantizationConfig,
    batches: Sequence[Tensor],
    *,
    labels: Tensor | None = None,
    bits: Sequence[int] = BIT_WIDTHS,
    cumulative: bool = False,
    rounder: Rounder | None = None,
    progress: Progress | None = None,
    part: Part = lambda _, make: make(),
) -> tuple[LayerSensitivity, ...]:
    """Measure how much the predictions change when single layers are quantized.

    A layer's outputs are computed from those of the block before it, which are kept: what lies
    before the layer is not computed again for each number of bits.

    Args:
        network: Float network in eval mode; it is not modified.
        config: Quantizer, scope and step; its bits are not read.
        batches: Images, as the network takes them, on its device.
        labels: int64 (N,), of all of them, for the change of the loss.
        bits: The numbers of bits to try, each 2 to 8.
        cumulative: Whether to quantize the layers before each one too, which takes as long again.
        rounder: Chooses codes and corrects means; None for the nearest codes.
        progress: Called with the number of measurements that are done, and of all.
        part: Given what a part is of, and what makes it: all bits of one layer alone, or all
            layers together at one number of bits.

    Raises:
        ValueError: There is no image, or a number of bits is not accepted.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    >>> images = [torch.rand(8, 1, 4, 4)]
    >>> (found,) = measure_sensitivity(network, QuantizationConfig(), images, bits=(2, 8))
    >>> found.alone[2].divergence > found.alone[8].divergence
    True
    """
    if not batches:
        raise ValueError("the sensitivity of layers is measured on images, and there are none.")
    groups = layer_groups(network)
    total = len(groups) * len(bits) * (1 + cumulative)
    told = _Counter(total, progress)
    with torch.no_grad():
        measure = _Measure(network, config, batches, labels, groups, rounder, part)
        alone = measure.alone(bits, told)
        sums = measure.cumulative(bits, told) if cumulative else {}
    numbers = {name: number for number, name in enumerate(groups, start=1) if name != FC}
    return tuple(
        LayerSensitivity(
            name=name,
            number=numbers.get(name),
            shapes=tuple(tuple(network.get_parameter(w).shape) for w in weights),
            alone=alone[name],
            cumulative=sums.get(name, {}),
        )
        for name, weights in groups.items()
    )


_Numbers = tuple[float, float | None]
"""The fields of a `Change`."""


class _Counter:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def more(self, done: int) -> None:
        self._done += done
        if self._progress is not None:
            self._progress(self._done, self._total)


class _Measure:
    """Quantizes layers of a copy of a network, and compares its predictions."""

    def __init__(  # noqa: PLR0913 - what is measured, and how
        self,
        network: nn.Module,
        config: QuantizationConfig,
        batches: Sequence[Tensor],
        labels: Tensor | None,
        groups: Mapping[str, tuple[str, ...]],
        rounder: Rounder | None,
        part: Part,
    ) -> None:
        self._network, self._config, self._batches = network, config, batches
        self._rounder, self._part = rounder, part
        self._blocks = tuple(_chain(network))
        self._groups, self._labels = groups, labels
        self._starts = _starts(network, self._blocks, batches[0], groups)
        float_suffix = _Suffix(network, self._blocks, batches)
        self._before = float_suffix.logits().double().log_softmax(1)

    def alone(self, bits: Sequence[int], told: _Counter) -> dict[str, dict[int, Change]]:
        changed = deepcopy(self._network)
        state = (each.state_dict().values() for each in (changed, self._network))
        pairs = list(zip(*state, strict=True))
        suffix = _Suffix(changed, self._blocks, self._batches)
        found: dict[str, dict[int, Change]] = {}
        for name in self._in_order():

            def make(name: str = name) -> list[_Numbers]:
                suffix.advance(self._starts[name])
                moments, changes = self._moments(changed, name), []
                for count in bits:
                    changes.append(self._change_of(changed, suffix, name, count, moments))
                    # What a rounding corrected too, which is more than the weights.
                    for tensor, plain in pairs:
                        tensor.copy_(plain)
                return changes

            values = self._part({"layer": name, "bits": list(bits)}, make)
            found[name] = {n: Change(*value) for n, value in zip(bits, values, strict=True)}
            told.more(len(bits))
        return found

    def cumulative(self, bits: Sequence[int], told: _Counter) -> dict[str, dict[int, Change]]:
        found: dict[str, dict[int, Change]] = {name: {} for name in self._groups}
        order = self._in_order()
        for count in bits:

            def make(count: int = count) -> list[_Numbers]:
                changed = deepcopy(self._network)
                suffix = _Suffix(changed, self._blocks, self._batches)
                changes = []
                for name in order:
                    suffix.advance(self._starts[name])
                    moments = self._moments(changed, name)
                    changes.append(self._change_of(changed, suffix, name, count, moments))
                return changes

            values = self._part({"layers": order, "bits": count}, make)
            for name, value in zip(order, values, strict=True):
                found[name][count] = Change(*value)
            told.more(len(order))
        return found

    def _change_of(
        self,
        changed: nn.Module,
        suffix: "_Suffix",
        name: str,
        bits: int,
        moments: Mapping[str, Moments],
    ) -> _Numbers:
        self._quantize(changed, name, bits, moments)
        change = self._change(suffix.logits())
        return change.divergence, change.loss

    def _in_order(self) -> list[str]:
        return sorted(self._groups, key=lambda name: self._starts[name])

    def _moments(self, changed: nn.Module, name: str) -> dict[str, Moments]:
        """Return the moments of the inputs of layers that are rounded with a look at images."""
        if self._rounder is None:
            return {}
        found = {w: self._rounder.moments(_layer(w), changed) for w in self._groups[name]}
        return {weight: moments for weight, moments in found.items() if moments is not None}

    def _quantize(
        self, changed: nn.Module, name: str, bits: int, moments: Mapping[str, Moments]
    ) -> None:
        config = replace(self._config, bits=bits, fc_bits=bits, layer_bits={})
        planned = planned_weights(self._network, config)
        weights = {weight: self._network.get_parameter(weight) for weight in self._groups[name]}
        chosen = {weight: planned[weight] for weight in weights}
        for weight, quantized in quantized_weights(weights, chosen, config):
            if self._rounder is not None and weight in moments:
                self._rounder.round(_layer(weight), changed, quantized, moments[weight])
            else:
                changed.get_parameter(weight).copy_(dequantize(quantized))

    def _change(self, logits: Tensor) -> Change:
        after = logits.double().log_softmax(1)
        divergence = functional.kl_div(after, self._before, reduction="none", log_target=True)
        loss = None
        if self._labels is not None:
            losses = [functional.nll_loss(each, self._labels) for each in (after, self._before)]
            loss = float(losses[0] - losses[1])
        return Change(float(divergence.sum(1).mean()), loss)


def _layer(weight: str) -> str:
    return weight.rpartition(".")[0]


class _Suffix:
    """Runs a network from a block on, given what the blocks before it computed."""

    def __init__(
        self, network: nn.Module, blocks: Sequence[str], batches: Sequence[Tensor]
    ) -> None:
        self._network, self._batches = network, batches
        self._blocks = [network.get_submodule(name) for name in blocks]
        self._done = 0
        self._kept: list[Tensor] = []

    def advance(self, to: int) -> None:
        """Keep what the first `to` blocks compute with the weights that they have now."""
        if to > self._done:
            reached = self._blocks[to - 1]
            self._kept = [self._run(place, reached) for place in range(len(self._batches))]
            self._done = to

    def logits(self) -> Tensor:
        return torch.cat([self._run(place) for place in range(len(self._batches))])

    def _run(self, place: int, until: nn.Module | None = None) -> Tensor:
        known = self._kept[place] if self._done else None
        with _skipped(self._blocks[: self._done], known):
            if until is None:
                logits: Tensor = self._network(self._batches[place])
                return logits
            return _output(self._network, until, self._batches[place])


@contextmanager
def _skipped(blocks: Sequence[nn.Module], output: Tensor | None) -> Iterator[None]:
    """Let blocks return what is known instead of computing it."""
    for block in blocks:
        block.forward = lambda *_: output
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


class _Reached(Exception):
    """Ends a forward pass at the block whose output is wanted."""


def _output(network: nn.Module, block: nn.Module, batch: Tensor) -> Tensor:
    found: list[Tensor] = []

    def reached(_: nn.Module, __: Any, output: Tensor) -> None:
        found.append(output.detach().clone())
        raise _Reached

    handle = block.register_forward_hook(reached)
    try:
        network(batch)
    except _Reached:
        pass
    finally:
        handle.remove()
    return found.pop()


def _chain(network: nn.Module, name: str = "") -> Iterator[str]:
    """Yield the names of the parts of a network from input to output, as far as can be seen.

    What is in an `nn.Sequential` is computed in order; that children of the network itself are too
    is only likely, and `_starts` tries it.
    """
    for child, module in network.get_submodule(name).named_children():
        path = f"{name}.{child}" if name else child
        if isinstance(module, nn.Sequential) and len(module):
            yield from _chain(network, path)
        else:
            yield path


def _starts(
    network: nn.Module, blocks: Sequence[str], batch: Tensor, groups: Mapping[str, tuple[str, ...]]
) -> dict[str, int]:
    """Return how many blocks are finished when each group of layers begins.

    None counts if the network computes something else with these blocks skipped.
    """
    finished, begun = 0, dict[str, int]()
    handles: list[RemovableHandle] = []

    def finishes(*_: Any) -> None:
        nonlocal finished
        finished += 1

    handles += [network.get_submodule(name).register_forward_hook(finishes) for name in blocks]
    for weights in groups.values():
        for weight in weights:

            def begins(*_: Any, weight: str = weight) -> None:
                begun.setdefault(weight, finished)

            module = network.get_submodule(weight.rpartition(".")[0])
            handles.append(module.register_forward_pre_hook(begins))
    try:
        plain = network(batch)
    finally:
        for handle in handles:
            handle.remove()
    starts = {
        name: min(begun.get(weight, 0) for weight in weights) for name, weights in groups.items()
    }
    good = {at: _is_same(network, blocks, batch, plain, at) for at in set(starts.values())}
    return {name: at if good[at] else 0 for name, at in starts.items()}


def _is_same(
    network: nn.Module, blocks: Sequence[str], batch: Tensor, plain: Tensor, at: int
) -> bool:
    suffix = _Suffix(network, blocks, [batch])
    try:
        suffix.advance(at)
        return bool(torch.equal(suffix.logits(), plain))
    except RuntimeError:
        # A part between two blocks cannot take what the last of them returns.
        return False
