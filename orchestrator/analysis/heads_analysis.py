"""Sized heads compared: how many images each can fit, and how alike their features are."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.data.config import DataConfig
from trainers.data.loading import load_data

if TYPE_CHECKING:
    from trainers.stages.cache import StageCache

Progress = Callable[[str], None]
"""Called with a sentence after each training."""


@dataclass(frozen=True, slots=True)
class HeadsReport:
    """What was measured of some heads.

    Attributes:
        question: ``capacity`` or ``similarity``.
        data: Name of the data set.
        fingerprint: Digest of its images.
        backbone: Name of the frozen backbone.
        settings: Everything else that the numbers depend on.
        rows: The measurements, as JSON values.
        notes: Caveats; sentences without a full stop.
    """

    question: str
    data: str
    fingerprint: str
    backbone: str
    settings: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The word of the command."""
        return self.question

    def inputs(self) -> dict[str, Any]:
        """Return what was compared, and how."""
        source = {"data": self.data, "fingerprint": self.fingerprint, "backbone": self.backbone}
        return {**source, **self.settings}

    def results(self) -> dict[str, float]:
        """Return the numbers that sum it up: of each width, or of each pair of them."""
        found = {}
        for row in self.rows:
            pair = [str(row[name]) for name in ("width", "other_width") if name in row]
            for name in ("images", "images_per_parameter", "cka", "joined"):
                if name in row:
                    found["_".join([name, "width", *pair])] = float(row[name])
        return found

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        rest = {"rows": list(self.rows), "notes": list(self.notes)}
        return {"question": self.question, **self.inputs(), **rest}

    def records(self) -> list[dict[str, Any]]:
        """Return its rows."""
        return [{"data": self.data, "backbone": self.backbone, **row} for row in self.rows]


def analyze_capacity(  # noqa: PLR0913 - what is measured, and how
    data: DataConfig | ImageData,
    config: TrialConfig,
    widths: Sequence[int],
    *,
    seeds: int = 3,
    random_labels: bool = False,
    cache: "StageCache | None" = None,
    progress: Progress = lambda text: None,
) -> HeadsReport:
    """Measure how many images heads of one hidden layer can fit; see `trainers.heads.capacity`.

    Args:
        data: Where the images come from, or the images.
        config: Backbone and training, with ``tune: head``.
        widths: Widths of the heads.
        seeds: How often each is measured.
        random_labels: Whether labels are drawn at random.
        cache: Where each training's result is kept, so that an interrupted analysis goes on.
        progress: Told what was found.
    """
    from trainers.heads.capacity import head_capacity

    images = data if isinstance(data, ImageData) else load_data(data)
    rows = []
    for width in widths:
        found = []
        for seed in range(seeds):
            own = replace(config, widths=(width,), fc_rule=None, fc_fraction=None, seed=seed)
            found.append(head_capacity(own, images, random_labels=random_labels, cache=cache))
            progress(f"width {width}, seed {seed}: {found[-1].images} images")
        counts = [each.images for each in found]
        rows.append(
            {
                "width": width,
                "parameters": found[0].parameters,
                "images": statistics.fmean(counts),
                "lowest": min(counts),
                "highest": max(counts),
                "is_bounded": all(each.is_bounded for each in found),
                "images_per_parameter": statistics.fmean(counts) / found[0].parameters,
            }
        )
    settings = {
        "labels": "random" if random_labels else "true",
        "training_images": len(images.train_labels),
        **_settings(config, seeds),
    }
    return _report("capacity", images, config, settings, tuple(rows))


def analyze_similarity(
    data: DataConfig | ImageData,
    config: TrialConfig,
    widths: Sequence[int],
    *,
    seeds: int = 3,
    cache: "StageCache | None" = None,
    progress: Progress = lambda text: None,
) -> HeadsReport:
    """Measure the linear CKA of the hidden features of heads on the validation images.

    Every head of a width is compared with every head of another seed, of the same and of each
    other width. The row of two equal widths is what the seed alone changes. ``joined`` compares
    heads of the second width with the features of all heads of the first one side by side: whether
    many narrow heads find what a wide one does (arXiv 2407.00968 asks it of whole networks).

    Args:
        data: Where the images come from, or the images.
        config: Backbone and training, with ``tune: head``.
        widths: Widths of the heads.
        seeds: Heads of each width, 2 at least.
        cache: Where trained heads are kept, so that an interrupted analysis goes on.
        progress: Told what was trained.
    """
    from trainers.heads.similarity import hidden_features, joined_cka, linear_cka, trained_head

    images = data if isinstance(data, ImageData) else load_data(data)
    features: dict[int, list[Any]] = {width: [] for width in widths}
    first = None
    for width in widths:
        for seed in range(seeds):
            own = replace(config, widths=(width,), fc_rule=None, fc_fraction=None, seed=seed)
            training = trained_head(own, images, like=first, cache=cache)
            first = first or training
            features[width].append(hidden_features(training))
            progress(f"width {width}, seed {seed}: {training.reports[-1].float_accuracy:.1%}")
    rows = []
    for one, other in combinations_with_replacement(sorted(features), 2):
        pairs = [
            linear_cka(features[one][i], features[other][j])
            for i in range(seeds)
            for j in range(seeds)
            if (i < j if one == other else i != j)
        ]
        wider = features[other] if one < other else []
        beside = [joined_cka(features[one], each) for each in wider]
        rows.append(
            {
                "width": one,
                "other_width": other,
                "cka": statistics.fmean(pairs),
                "lowest": min(pairs),
                "highest": max(pairs),
                "joined": statistics.fmean(beside) if beside else math.nan,
                "pairs": len(pairs),
            }
        )
    plain = tuple({k: v for k, v in row.items() if v == v} for row in rows)
    settings = {"validation_images": len(images.val_labels), **_settings(config, seeds)}
    return _report("similarity", images, config, settings, plain)


def _report(
    question: str,
    images: ImageData,
    config: TrialConfig,
    settings: dict[str, Any],
    rows: tuple[dict[str, Any], ...],
) -> HeadsReport:
    source = (images.name, images.fingerprint(), config.backbone)
    return HeadsReport(question, *source, settings, rows, images.notes)


def _settings(config: TrialConfig, seeds: int) -> dict[str, Any]:
    return {
        "weights": config.weights,
        "seeds": seeds,
        "epochs": config.epochs,
        "learning_rate": config.learning_rate,
        "batch_size": config.batch_size,
    }
