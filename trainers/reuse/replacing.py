"""Accuracy of a network in which tensors are replaced, many replacements on shared prefixes."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainers.data.image_data import Images, Labels
from trainers.networks.conv_layers import conv_layers, transplant
from trainers.networks.inputs import to_unit
from trainers.networks.network import Network

_BATCH = 256
_CALIBRATION_IMAGES = 512


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a backbone that is computed as a whole.

    Attributes:
        name: Name of its module within the backbone.
        module: The module.
    """

    name: str
    module: nn.Module

    def holds(self, tensor: str) -> bool:
        """Return whether a tensor of the backbone, by name, is one of its own."""
        return tensor.startswith(f"{self.name}.")


def steps_of(features: nn.Module) -> list[Step]:
    """Cut a backbone into steps that are computed one after the other.

    >>> net = nn.Sequential(nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()), nn.Flatten())
    >>> [step.name for step in steps_of(net)]
    ['0.0', '0.1', '1']
    """
    return list(_steps("", features))


def _steps(name: str, module: nn.Module) -> Iterator[Step]:
    if type(module).forward is not nn.Sequential.forward:
        yield Step(name, module)
        return
    for key, child in module.named_children():
        yield from _steps(f"{name}.{key}" if name else key, child)


class Replacements:
    """Measures a network with tensors of another one in the place of its own.

    What the steps before a replacement compute is computed once for all replacements in a step,
    and what comes after it sees them as one batch. Only one step's inputs are kept.

    Args:
        network: The target; in eval mode, and not modified.
        source: State dict of the source's backbone.
        images: uint8 (N, C, H, W), on which the accuracy is measured.
        labels: int64 (N,).
        calibration: Images on which the statistics of the norms after a replacement are computed
            anew; None keeps the statistics.
    """

    def __init__(
        self,
        network: Network,
        source: Mapping[str, Tensor],
        images: Images,
        labels: Labels,
        *,
        calibration: Images | None = None,
    ) -> None:
        self._network = network.eval()
        self._source = source
        self._labels = torch.from_numpy(labels)
        self._steps = steps_of(network.features)
        self._layers = conv_layers(network.features)
        self._pixels = to_unit(torch.from_numpy(images))
        some = None if calibration is None else calibration[:_CALIBRATION_IMAGES]
        self._calibration = None if some is None else to_unit(torch.from_numpy(some))

    @torch.inference_mode()
    def single(self) -> dict[tuple[str, str], float]:
        """Measure each layer alone: accuracy by layer and group, ``all`` for the layer."""
        found: dict[tuple[str, str], float] = {}
        inputs, some = self._begin()
        for place, step in enumerate(self._steps):
            variants = [
                (layer.name, group, names)
                for layer in self._layers
                for group, names in {**layer.groups, "all": layer.tensors}.items()
                if step.holds(names[0])
            ]
            # Norms may lie in a later step than their convolution; they are replaced there.
            suffixes = [self._replaced(place, names) for _, _, names in variants]
            for (layer, group, _), right in zip(
                variants, self._measured(suffixes, inputs, some), strict=True
            ):
                found[layer, group] = right
            inputs = _through(step.module, inputs)
            some = None if some is None else _through(step.module, some)
        return found

    @torch.inference_mode()
    def prefixes(self) -> dict[str, float]:
        """Measure growing prefixes: accuracy with all layers up to this one replaced."""
        found: dict[str, float] = {}
        inputs, some = self._begin()
        for place, step in enumerate(self._steps):
            for number, layer in enumerate(self._layers):
                if step.holds(layer.groups["conv_weight"][0]):
                    so_far = [name for each in self._layers[: number + 1] for name in each.tensors]
                    suffix = self._replaced(place, so_far)
                    (found[layer.name],) = self._measured([suffix], inputs, some)
            (source,) = self._replaced(place, self._tensors_in(step))[:1]
            if some is not None:
                _calibrate([source], some)
                some = _through(source, some)
            inputs = _through(source, inputs)
        return found

    def _tensors_in(self, step: Step) -> list[str]:
        return [name for each in self._layers for name in each.tensors if step.holds(name)]

    def _begin(self) -> tuple[Tensor, Tensor | None]:
        prepare = self._network.prepare
        some = self._calibration
        return _through(prepare, self._pixels), None if some is None else _through(prepare, some)

    def _replaced(self, place: int, names: Sequence[str]) -> list[nn.Module]:
        """Return the steps from `place` on, those with replaced tensors as copies."""
        suffix = []
        for step in self._steps[place:]:
            own = [name for name in names if step.holds(name)]
            module = copy.deepcopy(step.module) if own or self._calibration is not None else None
            if module is not None and own:
                prefix = len(step.name) + 1
                state = {name[prefix:]: self._source[name] for name in own}
                transplant(module, state, list(state))
            suffix.append(step.module if module is None else module)
        return suffix

    def _measured(
        self, suffixes: Sequence[Sequence[nn.Module]], inputs: Tensor, some: Tensor | None
    ) -> list[float]:
        """Return the accuracy of each suffix on the same inputs."""
        if some is not None:
            for suffix in suffixes:
                _calibrate(suffix, some)
            return [self._accuracies([_run(suffix, inputs)], [])[0] for suffix in suffixes]
        if not suffixes:
            return []
        # From the first step on that no replacement changed, all go on as one batch.
        shared = len(suffixes[0])
        own = self._steps[len(self._steps) - shared :]
        first = max(
            (
                number + 1
                for suffix in suffixes
                for number, (module, step) in enumerate(zip(suffix, own, strict=True))
                if module is not step.module
            ),
            default=0,
        )
        outputs = [_run(suffix[:first], inputs) for suffix in suffixes]
        return self._accuracies(outputs, [step.module for step in own[first:]])

    def _accuracies(self, outputs: Sequence[Tensor], rest: Sequence[nn.Module]) -> list[float]:
        logits = _run([*rest, self._network.head], torch.cat(list(outputs)))
        right = logits.argmax(1).reshape(len(outputs), -1) == self._labels
        return [float(each) for each in right.double().mean(1)]


def _run(modules: Sequence[nn.Module], inputs: Tensor) -> Tensor:
    outputs = []
    for batch in torch.split(inputs, _BATCH):
        # A copy: the steps of a network may compute in place.
        values = batch.clone()
        for module in modules:
            values = module(values)
        outputs.append(values)
    return torch.cat(outputs)


def _through(module: nn.Module, inputs: Tensor) -> Tensor:
    return _run([module], inputs)


def _calibrate(modules: Sequence[nn.Module], inputs: Tensor) -> None:
    """Give all norms the mean and variance of one batch of their own inputs."""
    norms = [
        norm
        for module in modules
        for norm in module.modules()
        if isinstance(norm, nn.modules.batchnorm._BatchNorm)  # noqa: SLF001
    ]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    values = inputs.clone()
    for module in modules:
        values = module(values)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
