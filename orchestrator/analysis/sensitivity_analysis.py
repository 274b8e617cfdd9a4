"""The sensitivity of a network's layers to few bits, and the allocations that follow from it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from trainers.data.config import DataConfig
    from trainers.data.image_data import ImageData
    from trainers.networks.network import Network
    from trainers.quantization.config import QuantizationConfig
    from trainers.quantization.sensitivity import Change, LayerSensitivity
    from trainers.stages.cache import StageCache
    from trainers.trial.allocated import Allocation

_BUDGETS = tuple(quarters / 4 for quarters in range(2 * 4, 8 * 4 + 1))
"""Mean bits of a weight, of the allocations of a front."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityReport:
    """How much each layer of one network minds few bits.

    Attributes:
        network: As it was given.
        backbone: Name of the backbone.
        data: Name of the data set.
        fingerprint: Digest of its images.
        digest: Digest of the network's tensors.
        images: How many training images were used.
        seed: Decided which.
        quantizer: As `trainers.quantization.config.QuantizationConfig` takes it.
        scope: As there.
        step: As there.
        rounding: How codes were chosen; a word of `trainers.quantization.calibration.ROUNDINGS`.
        by: As `trainers.trial.allocated.sensitivities` takes it.
        layers: Each convolution from input to output, and the FC layers together.
        front: The best allocation for each mean number of bits, if asked for.
        notes: Caveats; sentences without a full stop.
    """

    network: str
    backbone: str
    data: str
    fingerprint: str
    digest: str
    images: int
    seed: int
    quantizer: str
    scope: str
    step: str
    layers: "tuple[LayerSensitivity, ...]"
    rounding: str = "nearest"
    by: str = "divergence"
    front: "tuple[Allocation, ...]" = ()
    notes: tuple[str, ...] = ()

    @property
    def bits(self) -> tuple[int, ...]:
        """The numbers of bits that were tried."""
        return tuple(self.layers[0].alone)

    @property
    def kind(self) -> str:
        """The word of the command."""
        return "sensitivity"

    def inputs(self) -> dict[str, Any]:
        """Return what was looked at, and how."""
        names = ("network", "backbone", "data", "fingerprint", "digest", "images", "seed")
        how = ("quantizer", "scope", "step", "rounding", "by")
        return {name: getattr(self, name) for name in (*names, *how)}

    def results(self) -> dict[str, float]:
        """Return the sums that sum it up, by bits: of all layers alone, and all of them quantized.

        The first is the sum of the divergences of single layers, the second the divergence of the
        network whose layers all have so few bits.
        """
        found = {"layers": float(len(self.layers))}
        last = self.layers[-1].cumulative
        for bits in self.bits:
            alone = sum(layer.alone[bits].divergence for layer in self.layers)
            found[f"sum_of_divergences_{bits}_bits"] = alone
            if bits in last:
                found[f"divergence_{bits}_bits"] = last[bits].divergence
        return found

    def records(self) -> list[dict[str, Any]]:
        """Return one mapping for each layer and number of bits."""
        return [record for layer in self.layers for record in _records(layer)]

    def as_json(self) -> dict[str, Any]:
        """Return the whole report as one mapping."""
        return {
            **self.inputs(),
            "layers": self.records(),
            "front": self.front_records(),
            "notes": list(self.notes),
        }

    def front_records(self) -> list[dict[str, Any]]:
        """Return one mapping for each allocation of the front."""
        return [
            {
                "mean_bits": each.mean_bits,
                "memory_bytes": each.memory_bytes,
                "divergence": each.divergence,
                "layers": {str(number): bits for number, bits in each.layer_bits.items()},
                "fc_bits": each.fc_bits,
            }
            for each in self.front
        ]


def _records(layer: "LayerSensitivity") -> Iterator[dict[str, Any]]:
    for bits, change in layer.alone.items():
        together: Change | None = layer.cumulative.get(bits)
        yield {
            "layer": layer.name,
            "number": layer.number,
            "weights": layer.weights,
            "bits": bits,
            "divergence": change.divergence,
            "loss": change.loss,
            "cumulative_divergence": None if together is None else together.divergence,
            "cumulative_loss": None if together is None else together.loss,
        }


def analyze_sensitivity(  # noqa: PLR0913 - what is measured, and how
    network: "str | Path | Network",
    data: "DataConfig | ImageData",
    *,
    weights: str | None = None,
    epochs: int = 10,
    quantization: "QuantizationConfig | None" = None,
    images: int = 64,
    seed: int = 0,
    cumulative: bool = True,
    front: bool = False,
    rounding: str = "nearest",
    by: str = "divergence",
    cache: "StageCache | None" = None,
    progress: Callable[[int, int], None] | None = None,
) -> SensitivityReport:
    """Measure how much the predictions of a network change when its layers get few bits.

    Args:
        network: As `trainers.trial.trained.trained_network` takes it.
        data: Data set.
        weights: Of a backbone: as a sweep file takes them; None for its default.
        epochs: Of the head's training.
        quantization: Quantizer, scope and step; by default affine, channel and mse.
        images: How many training images are used.
        seed: Decides which, and the training of a head.
        cumulative: Whether layers are quantized together with those before them too.
        front: Whether to compute the best allocations of 2 to 8 mean bits.
        rounding: As `trainers.trial.allocated.sensitivities` takes it.
        by: As there.
        cache: Where what is finished is kept, so that an interrupted analysis goes on.
        progress: Called with the number of measurements that are done, and of all.

    Raises:
        ValueError: A setting is out of range, or images have other channels or classes.
        TrainerError: The network or the images cannot be read.
    """
    from trainers.data.image_data import ImageData
    from trainers.data.loading import load_data
    from trainers.trial.allocated import Allocations, check_sensitivity, sensitivities
    from trainers.trial.trained import trained_network

    check_sensitivity(by, cumulative=cumulative, rounding=rounding)
    shown = data if isinstance(data, ImageData) else load_data(data)
    config = quantization or _default_levels()
    kept: dict[str, Any] = {"seed": seed, "cache": cache}
    found, notes = trained_network(network, shown, weights=weights, epochs=epochs, **kept)
    asked: dict[str, Any] = {"seed": seed, "rounding": rounding, "by": by}
    how = kept | asked | {"images": images, "cumulative": cumulative, "progress": progress}
    layers = sensitivities(found, replace(config, bits=8, fc_bits=8), shown, **how)
    best = Allocations(found.spec, config, shown.classes, layers)
    return _report(
        *(found, shown, config),
        images=min(images, len(shown.train_labels)),
        **asked,
        layers=layers,
        notes=notes,
        front=tuple(best.front(_BUDGETS)) if front else (),
        network=network if isinstance(network, str) else found.spec.backbone,
    )


def _default_levels() -> "QuantizationConfig":
    from trainers.quantization.config import QuantizationConfig

    return QuantizationConfig(quantizer="affine", step="mse")


def _report(
    found: "Network", data: "ImageData", config: "QuantizationConfig", **measured: Any
) -> SensitivityReport:
    """Build a report that says which network, images and levels it is about."""
    from trainers.stages.weights import content_digest

    return SensitivityReport(
        backbone=found.spec.backbone,
        data=data.name,
        fingerprint=data.fingerprint(),
        digest=content_digest(found),
        quantizer=config.quantizer,
        scope=config.scope,
        step=config.step,
        **measured,
    )
