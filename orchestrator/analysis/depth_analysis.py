"""The entropy of a data set, and the cap on a network's depth that follows, EBCLE-style."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.depth_cap import DepthConversion
from trainers.data.config import DataConfig
from trainers.data.entropy import WHY_UINT8, image_entropies
from trainers.data.image_data import ImageData
from trainers.data.loading import load_data
from trainers.errors import PixelTypeError

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""The quantiles that are reported; the first is the smallest entropy, the last the largest."""


@dataclass(frozen=True, slots=True)
class EntropySummary:
    """Entropies of some images, in nats.

    Attributes:
        images: Number of images.
        mean: Mean over the images.
        std: Population standard deviation over the images (divided by N).
        quantiles: At `QUANTILES`, linear between two images.
    """

    images: int
    mean: float
    std: float
    quantiles: tuple[float, ...]

    @classmethod
    def of(cls, nats: NDArray[np.float64]) -> "EntropySummary":
        """Summarise the entropies of at least one image."""
        quantiles = np.quantile(nats, QUANTILES)
        return cls(len(nats), float(nats.mean()), float(nats.std()), tuple(map(float, quantiles)))

    def as_json(self) -> dict[str, object]:
        """Return all numbers in nats, and mean and standard deviation in bits too."""
        return {
            "images": self.images,
            "mean_nats": self.mean,
            "std_nats": self.std,
            "mean_bits": self.mean / math.log(2),
            "std_bits": self.std / math.log(2),
            "quantiles_nats": {
                f"{share:g}": value for share, value in zip(QUANTILES, self.quantiles, strict=True)
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthReport:
    """The entropy of a data set's training images, and the depth cap that it suggests.

    EBCLE-style; the conversion is not confirmed by a source.

    Attributes:
        data: Name of the data set.
        fingerprint: Fingerprint of the images and their split: `ImageData.fingerprint`.
        shape: Channels, height and width of the images whose pixels were counted.
        overall: Entropies of all training images.
        by_class: Entropies of the images of each class, by its name.
        conversion: How the cap follows from the mean.
        notes: Caveats about the numbers; sentences without a full stop.
    """

    data: str
    fingerprint: str
    shape: tuple[int, int, int]
    overall: EntropySummary
    by_class: dict[str, EntropySummary]
    conversion: DepthConversion
    notes: tuple[str, ...] = ()

    @property
    def cap(self) -> int:
        """The suggested maximum number of convolution layers, per stage or in total."""
        return self.conversion.cap(self.overall.mean)

    @property
    def kind(self) -> str:
        """The word of the command."""
        return "depth"

    def inputs(self) -> dict[str, object]:
        """Return what was analyzed, and how."""
        return {**self._source(), "fingerprint": self.fingerprint, **self.conversion.as_json()}

    def results(self) -> dict[str, float]:
        """Return the numbers that sum it up."""
        mean, std = self.overall.mean, self.overall.std
        return {"depth_cap": float(self.cap), "mean_nats": mean, "std_nats": std}

    def as_json(self) -> dict[str, object]:
        """Return the whole report as one mapping."""
        return {
            **self._source(),
            "fingerprint": self.fingerprint,
            "entropy": self.overall.as_json(),
            "entropy_by_class": [
                {"class": name, **each.as_json()} for name, each in self.by_class.items()
            ],
            "depth_cap": self.cap,
            "conversion": {
                **self.conversion.as_json(),
                "formula": self.conversion.formula(self.overall.mean),
            },
            "notes": list(self.notes),
        }

    def records(self) -> list[dict[str, object]]:
        """Return one mapping for all images (its class is None), then one for each class."""
        rows = [(None, self.overall), *self.by_class.items()]
        told = {"depth_cap": self.cap, "conversion": self.conversion.as_json()}
        return [{**self._source(), "class": name, **each.as_json(), **told} for name, each in rows]

    def _source(self) -> dict[str, object]:
        channels, height, width = self.shape
        return {
            "data": self.data,
            "subset": "train",
            "classes": len(self.by_class),
            "channels": channels,
            "height": height,
            "width": width,
        }


def analyze_depth(
    data: DataConfig | ImageData,
    *,
    conversion: DepthConversion | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DepthReport:
    """Measure the entropy of a data set's training images, and convert it to a depth cap.

    EBCLE-style; the conversion is not confirmed by a source. Only the images that a sweep on the
    same data would train on are measured, at the size in which it would read them: a depth chosen
    on validation or test images could not be judged on them afterwards.

    Args:
        data: Where the images come from, or the images.
        conversion: How the cap follows from the mean entropy; by default one convolution layer per
            stage for each nat, rounded up.
        progress: Called now and then with the number of images done and the total.

    Raises:
        PixelTypeError: The images are not uint8 pixels; the message says why they must be.
        DataError: The data set is absent or broken.

    >>> noise = np.random.default_rng(0).integers(0, 4, (8, 1, 16, 16), dtype=np.uint8)
    >>> images, labels = noise[:2], np.array([0, 1])
    >>> data = ImageData("noise", ("a", "b"), images, labels, images, labels, images, labels)
    >>> round(analyze_depth(data).overall.mean, 2)  # four values, each a quarter: ln 4 at most
    1.38
    """
    images = data if isinstance(data, ImageData) else _read(data)
    pixels, labels = images.train_images, images.train_labels
    nats = image_entropies(pixels, progress=progress)
    members = {name: nats[labels == label] for label, name in enumerate(images.classes)}
    report = DepthReport(
        data=images.name,
        fingerprint=images.fingerprint(),
        shape=(pixels.shape[1], pixels.shape[2], pixels.shape[3]),
        overall=EntropySummary.of(nats),
        by_class={name: EntropySummary.of(each) for name, each in members.items() if len(each)},
        conversion=conversion or DepthConversion(),
    )
    return replace(report, notes=(*images.notes, *_notes(report, int(pixels.max()))))


def _read(config: DataConfig) -> ImageData:
    try:
        return load_data(config)
    except PixelTypeError as error:
        raise PixelTypeError(f"{error} {WHY_UINT8}") from None


def _notes(report: DepthReport, brightest: int) -> tuple[str, ...]:
    notes = []
    if report.overall.quantiles[-1] == 0:
        notes.append(
            "every image is constant, so that the entropy is 0; the cap is the least there is, 1"
        )
    elif brightest <= 1:
        notes.append(
            "no pixel is above 1, of 255: if the images were scaled to 0..1 before they became "
            "whole numbers, nearly all that they showed is gone; take them as they were before"
        )
    return tuple(notes)
