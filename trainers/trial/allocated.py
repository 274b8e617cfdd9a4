"""Give each layer of a trained network its bits, under the budget of the trial's config."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor

from trainers.artifact import predict_bytes
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.data.splits import stratified_choice
from trainers.determinism import derive_seed
from trainers.networks.inputs import to_unit
from trainers.networks.network import Network
from trainers.networks.spec import NetworkSpec
from trainers.quantization.allocation import BIT_WIDTHS, AllocationConfig, Allocator, Option
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.config import QuantizationConfig, group_count, lists_levels
from trainers.quantization.fisher import fisher_sensitivity
from trainers.quantization.hessian import hessian_sensitivity
from trainers.quantization.packing import packed_bytes
from trainers.quantization.rounding.network import Rounder
from trainers.quantization.sensitivity import (
    FC,
    Change,
    LayerSensitivity,
    Progress,
    layer_groups,
    measure_sensitivity,
)
from trainers.stages.cache import StageCache
from trainers.stages.measurements import Measurements
from trainers.stages.trial_stages import TrialStages
from trainers.stages.weights import content_digest
from trainers.training.devices import chosen_device

_BATCH = 32
# On a CPU, what a layer puts out for a batch of this many pixels is still in its caches when the
# next one reads it: with 4 images of 224 pixels MobileNetV2 takes half the time it takes with 32.
_PIXELS = 4 * 224 * 224
_DIVERGENCES = "divergences"
SENSITIVITIES = ("divergence", "fisher", "hessian")
"""How much a layer minds: what its quantization changes, or an estimate from derivatives."""
_ESTIMATES = {"fisher": fisher_sensitivity, "hessian": hessian_sensitivity}
# A header is a few bytes longer or shorter, by the digits of the offsets in it.
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Allocation:
    """The bits of every layer.

    Attributes:
        layer_bits: Bits of each convolution, by number.
        fc_bits: Bits of the fully connected layers.
        mean_bits: Mean bits of a quantized weight.
        memory_bytes: Size of the packed file.
        divergence: Sum of the layers' divergences, each alone, in nats.
    """

    layer_bits: Mapping[int, int]
    fc_bits: int
    mean_bits: float
    memory_bytes: int
    divergence: float


def sensitivities(  # noqa: PLR0913 - what is measured, and how
    network: Network,
    quantization: QuantizationConfig,
    data: ImageData,
    *,
    images: int,
    seed: int,
    device: torch.device | None = None,
    cumulative: bool = False,
    rounding: str = "nearest",
    by: str = "divergence",
    progress: Progress | None = None,
    cache: StageCache | None = None,
) -> tuple[LayerSensitivity, ...]:
    """Measure the sensitivity of each layer on training images.

    Args:
        network: The trained network; not modified.
        quantization: Quantizer, scope and step.
        data: Data set; the training images are used.
        images: How many of them, chosen by class.
        seed: Decides which.
        device: Where to compute; None for a GPU, if there is one.
        cumulative: As `measure_sensitivity` takes it.
        rounding: How codes are chosen, with a look at as many other training images; a word of
            `trainers.quantization.calibration.ROUNDINGS`.
        by: ``divergence``, which quantizes each layer and looks, or a name of `SENSITIVITIES`
            that estimates it, and knows neither `cumulative` nor a rounding.
        progress: As `measure_sensitivity` takes it.
        cache: Where finished parts are kept, so that an interrupted measurement goes on.

    Raises:
        ValueError: `by` is unknown, or cannot do what else is asked.
    """
    check_sensitivity(by, cumulative=cumulative, rounding=rounding)
    pixels, labels = data.subset("train")
    chosen = stratified_choice(labels, min(images, len(labels)), derive_seed(seed, "calibration"))
    device = device or chosen_device()
    network = copy.deepcopy(network).to(device).eval().requires_grad_(requires_grad=False)
    shown = _shown(network, pixels[chosen], device, by)
    if by in _ESTIMATES:
        return _ESTIMATES[by](network, quantization, shown, seed=seed, progress=progress)
    rounder = None
    if rounding != "nearest":
        fitted = _other_images(pixels, labels, chosen, seed, device)
        how = CalibrationConfig(images=images, seed=seed)
        rounder = Rounder(network, lambda: iter(fitted), rounding=rounding, calibration=how)
    facts = {"quantization": asdict(quantization), "images": images, "seed": seed}
    facts |= {"rounding": rounding, "network": content_digest(network), "device": str(device)}
    kept = Measurements("layer_sensitivity", cache, data=data.content(), facts=facts)
    return measure_sensitivity(
        network,
        quantization,
        shown,
        labels=_known_labels(labels[chosen], network, device),
        cumulative=cumulative,
        rounder=rounder,
        progress=progress,
        part=kept.value,
    )


def _shown(
    network: Network, images: np.ndarray, device: torch.device, by: str
) -> Sequence[Tensor]:
    """Return batches of the images, as large as is fastest."""
    size = _BATCH
    # Estimates draw anew for each batch, or look at single images.
    if device.type == "cpu" and by not in _ESTIMATES:
        pixels = network.spec.input.height * network.spec.input.width
        size = min(_BATCH, max(1, _PIXELS // pixels))
    return torch.split(to_unit(torch.tensor(images, device=device)), size)


def _known_labels(labels: np.ndarray, network: Network, device: torch.device) -> Tensor | None:
    """Return labels; None if the network has no output for one, as when its classes are others."""
    known = (labels >= 0).all() and (labels < network.spec.classes).all()
    return torch.tensor(labels, device=device) if known else None


def check_sensitivity(by: str, *, cumulative: bool, rounding: str) -> None:
    """Reject a sensitivity that cannot be measured as it is asked for.

    >>> check_sensitivity("fisher", cumulative=False, rounding="nearest")

    Raises:
        ValueError: It cannot; the message says why.
    """
    if by not in SENSITIVITIES:
        raise ValueError(f"by is {by!r}; known are {', '.join(SENSITIVITIES)}.")
    if by in _ESTIMATES and (cumulative or rounding != "nearest"):
        raise ValueError(
            f"a sensitivity by {by} is estimated for each layer alone and its nearest codes: "
            f"leave the rounding and the layers before each one (cumulative) out, or take by: "
            f"divergence."
        )


def _other_images(
    pixels: np.ndarray, labels: np.ndarray, chosen: np.ndarray, seed: int, device: torch.device
) -> Sequence[Tensor]:
    """Batches of as many images that were not chosen; one image alone is looked at twice."""
    others = np.setdiff1d(np.arange(len(labels)), chosen)
    others = others if len(others) else chosen
    drawn = stratified_choice(labels[others], len(chosen), derive_seed(seed, "rounding"))
    return torch.split(to_unit(torch.tensor(pixels[others[drawn]], device=device)), _BATCH)


class Allocations:
    """All allocations of one network, from one measurement of its layers.

    Args:
        spec: The architecture.
        quantization: Quantizer and scope.
        classes: Names of the classes in the packed file, or None.
        layers: The sensitivity of each layer.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        quantization: QuantizationConfig,
        classes: Sequence[str] | None,
        layers: Sequence[LayerSensitivity],
    ) -> None:
        self._spec, self._quantization, self._classes = spec, quantization, classes
        self._layers = layers
        self._weights = sum(layer.weights for layer in layers)
        self._by_kind: dict[str, Allocator] = {}

    def within(self, allocation: AllocationConfig) -> Allocation:
        """Return the bits with the smallest sum of divergences within a budget.

        Raises:
            ValueError: With the fewest bits everywhere the network is still above the budget.
        """
        if allocation.bytes is not None:
            return self._within_bytes(allocation.bytes)
        assert allocation.bits is not None  # noqa: S101 - one of both is given
        return self._as_allocation(self._allocator("bits").best(allocation.bits * self._weights))

    def front(self, budgets: Sequence[float]) -> list[Allocation]:
        """Return the best allocation for each mean number of bits; equal ones once."""
        found = [self.within(AllocationConfig(bits=bits)) for bits in budgets]
        return [each for place, each in enumerate(found) if each not in found[:place]]

    def _within_bytes(self, budget: int) -> Allocation:
        allocator = self._allocator("bytes")
        fixed = self._bytes([BIT_WIDTHS[0]] * len(self._layers)) - allocator.least
        allowed = budget - fixed
        for _ in range(_TRIES):
            try:
                found = self._as_allocation(allocator.best(allowed))
            except ValueError:
                break
            if found.memory_bytes <= budget:
                return found
            allowed -= found.memory_bytes - budget
        raise ValueError(
            f"allocation.bytes is {budget:,}, and with {BIT_WIDTHS[0]} bits everywhere the packed "
            f"network has {fixed + allocator.least:,} bytes: raise the budget, or take a smaller "
            f"network."
        )

    def _allocator(self, kind: str) -> Allocator:
        if kind not in self._by_kind:
            self._by_kind[kind] = Allocator(
                [
                    {
                        bits: Option(
                            self._cost(layer, bits, kind),
                            # Noise below zero must not be a reward.
                            max(0.0, change.divergence),
                        )
                        for bits, change in layer.alone.items()
                    }
                    for layer in self._layers
                ]
            )
        return self._by_kind[kind]

    def _cost(self, layer: LayerSensitivity, bits: int, kind: str) -> int:
        if kind == "bits":
            return bits * layer.weights
        taken = 0
        for shape in layer.shapes:
            taken += packed_bytes(torch.Size(shape).numel(), bits)
            if lists_levels(self._quantization.quantizer):
                groups = group_count(self._quantization.scope, shape[0])
                level_bits = min(
                    self._quantization.codebook_bits, self._quantization.packing.vector_bits
                )
                taken += level_bits // 8 * groups * (1 << bits)
        return taken

    def _bytes(self, bits: Sequence[int]) -> int:
        layer_bits, fc_bits = self._named(bits)
        config = replace(self._quantization, bits=8, layer_bits=layer_bits, fc_bits=fc_bits)
        return predict_bytes(self._spec, config, self._classes)

    def _named(self, bits: Sequence[int]) -> tuple[dict[int, int], int]:
        given = dict(zip((layer.name for layer in self._layers), bits, strict=True))
        fc_bits = given.pop(FC, 8)
        return dict(enumerate(given.values(), start=1)), fc_bits

    def _as_allocation(self, bits: tuple[int, ...]) -> Allocation:
        layer_bits, fc_bits = self._named(bits)
        taken = sum(count * layer.weights for count, layer in zip(bits, self._layers, strict=True))
        return Allocation(
            layer_bits=layer_bits,
            fc_bits=fc_bits,
            mean_bits=taken / self._weights,
            memory_bytes=self._bytes(bits),
            divergence=sum(
                layer.alone[count].divergence
                for count, layer in zip(bits, self._layers, strict=True)
            ),
        )


def allocated(
    network: Network,
    config: TrialConfig,
    data: ImageData,
    *,
    device: torch.device,
    stages: TrialStages | None,
) -> tuple[TrialConfig, Mapping[str, float]]:
    """Replace the budget of a config by the bits of each layer that it leads to.

    Args:
        network: The trained network, on the CPU; not modified.
        config: Config of the trial, with a budget.
        data: Data set; the training images are used.
        device: Where to compute.
        stages: Cached stages of the trial, or None.

    Returns:
        The config with bits and without a budget, and the values to record: `weight_bits`, the
        mean bits of a quantized weight, and `allocation_divergence`, in nats.

    Raises:
        ValueError: No network of this architecture is within the budget.
    """

    def make() -> dict[str, Tensor]:
        layers = sensitivities(
            network,
            config.quantization,
            data,
            images=config.allocation.images,
            seed=config.calibration.seed,
            rounding=config.chosen_rounding if config.allocation.rounded else "nearest",
            device=device,
        )
        rows = [[each.alone[bits].divergence for bits in BIT_WIDTHS] for each in layers]
        return {_DIVERGENCES: torch.tensor(rows, dtype=torch.float64)}

    found = make() if stages is None else stages.sensitivity(network, make)
    layers = tuple(_read(network, found[_DIVERGENCES]))
    every = Allocations(network.spec, config.quantization, data.classes, layers)
    chosen = every.within(config.allocation)
    resolved = replace(
        config,
        allocation=AllocationConfig(),
        layer_bits=chosen.layer_bits,
        fc_bits=chosen.fc_bits,
    )
    values = {"weight_bits": chosen.mean_bits, "allocation_divergence": chosen.divergence}
    return resolved, values


def _read(network: Network, divergences: Tensor) -> Iterator[LayerSensitivity]:
    for number, (name, weights) in enumerate(layer_groups(network).items(), start=1):
        row = divergences[number - 1].tolist()
        yield LayerSensitivity(
            name=name,
            number=None if name == FC else number,
            shapes=tuple(tuple(network.get_parameter(weight).shape) for weight in weights),
            alone={b: Change(value, None) for b, value in zip(BIT_WIDTHS, row, strict=True)},
        )
