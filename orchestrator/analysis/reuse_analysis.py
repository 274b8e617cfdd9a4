"""The reuse judge: which kernels of a source network are worth reusing for a target's data."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.analysis.reuse_verdict import (
    ARMS,
    BASIS,
    LayerTest,
    NetworkTest,
    Thresholds,
    layer_tests,
    network_test,
    verdict,
)
from trainers.networks.reuse_config import FATES

if TYPE_CHECKING:
    from trainers.data.config import DataConfig
    from trainers.data.image_data import ImageData
    from trainers.reuse.arms import Budget
    from trainers.reuse.judging import Judged
    from trainers.reuse.kernels import KernelDistance
    from trainers.stages.cache import StageCache


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReport:
    """Everything about one layer.

    Attributes:
        name: Name of the convolution.
        distance: Distance of its kernels.
        close: Judgement C: the RMSE is a small enough share of the null.
        tests: Judgement B by mode.
        groups: Mean loss of accuracy by parameter group, of pure replacement.
        prefix_drops: Mean loss with this layer and all before it replaced, by mode; of the modes
            in which that was measured.
        verdict: ``freeze``, ``tune`` or ``reinitialize``.
    """

    name: str
    distance: "KernelDistance"
    close: bool
    tests: dict[str, LayerTest]
    groups: dict[str, float]
    prefix_drops: dict[str, float]
    verdict: str

    def as_json(self) -> dict[str, Any]:
        """Return one flat mapping."""
        distance = self.distance
        mode = next(iter(self.tests))
        return {
            "layer": self.name,
            "verdict": self.verdict,
            "rmse": distance.rmse,
            "rmse_normalized": distance.normalized,
            "null_permuted": distance.null_permuted,
            "null_seeded": distance.null_seeded,
            "rmse_of_null": distance.ratio,
            "close": self.close,
            "works": self.tests[mode].works,
            "drops": {name: test.drop for name, test in self.tests.items()},
            "p": {name: test.p for name, test in self.tests.items()},
            "prefix_drops": self.prefix_drops,
            "group_drops": self.groups,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseReport:
    """A judgement of one source for one target.

    Attributes:
        backbone: Architecture of both.
        source: As it was given.
        target: As it was given.
        source_digest: Digest of the source's tensors.
        target_digest: Digest of the target's tensors, or the word that it was made by.
        data: Name of the data set.
        fingerprint: Fingerprint of its images.
        train_images: How many images were trained on.
        val_images: How many images the accuracies were measured on.
        per_class: Training images of each class; None for all.
        budget: Settings of every training.
        recalibrate: Whether the norms' statistics were computed anew after a replacement.
        thresholds: The limits.
        network: Judgement A.
        layers: Judgements B and C.
        notes: Caveats; sentences without a full stop.
    """

    backbone: str
    source: str
    target: str
    source_digest: str
    target_digest: str
    data: str
    fingerprint: str
    train_images: int
    val_images: int
    per_class: int | None
    budget: "Budget"
    recalibrate: bool
    thresholds: Thresholds
    network: NetworkTest
    layers: tuple[LayerReport, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def kind(self) -> str:
        """The word of the command."""
        return "reuse"

    def inputs(self) -> dict[str, Any]:
        """Return what was judged, and how."""
        named = ("backbone", "source", "target", "source_digest", "target_digest", "data")
        counted = ("fingerprint", "train_images", "val_images", "per_class", "recalibrate")
        limits = {f"threshold.{name}": limit for name, limit in asdict(self.thresholds).items()}
        return {
            **{name: getattr(self, name) for name in (*named, *counted)},
            "modes": ",".join(self.layers[0].tests),
            "seeds": len(self.network.own),
            **asdict(self.budget),
            **limits,
        }

    def results(self) -> dict[str, float]:
        """Return the numbers that sum it up: means of the arms, retention, counts of verdicts."""
        found = {name: float(np.mean(getattr(self.network, name))) for name in ARMS}
        if self.network.retention is not None:
            found["retention"] = self.network.retention
        fates = [layer.verdict for layer in self.layers]
        return {
            **found,
            "reusable": float(self.network.reusable),
            **{f"layers_{fate}": float(fates.count(fate)) for fate in FATES},
        }

    def as_json(self) -> dict[str, Any]:
        """Return the whole report as one mapping; a sweep reads ``verdict`` from it."""
        return {
            "backbone": self.backbone,
            "source": self.source,
            "target": self.target,
            "source_digest": self.source_digest,
            "target_digest": self.target_digest,
            "data": self.data,
            "fingerprint": self.fingerprint,
            "train_images": self.train_images,
            "val_images": self.val_images,
            "per_class": self.per_class,
            "budget": asdict(self.budget),
            "recalibrate": self.recalibrate,
            "thresholds": {**asdict(self.thresholds), "basis": BASIS},
            "network": asdict(self.network),
            "layers": [layer.as_json() for layer in self.layers],
            "verdict": {layer.name: layer.verdict for layer in self.layers},
            "notes": list(self.notes),
        }

    def records(self) -> list[dict[str, Any]]:
        """Return one mapping for each layer."""
        told: dict[str, Any] = {
            "backbone": self.backbone,
            "source": self.source,
            "target": self.target,
        }
        return [{**told, "data": self.data, **layer.as_json()} for layer in self.layers]


def analyze_reuse(  # noqa: PLR0913 - what is judged, and how
    backbone: str,
    source: str,
    target: str,
    data: "DataConfig | ImageData",
    *,
    budget: "Budget | None" = None,
    seeds: int = 3,
    per_class: int | None = None,
    recalibrate: bool = False,
    modes: tuple[str, ...] = ("replace",),
    prefixes: bool = False,
    thresholds: Thresholds | None = None,
    cache: "StageCache | None" = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> ReuseReport:
    """Judge whether the kernels of a source network are reusable for a target.

    After Wang et al. 2020; thresholds and their combination are not confirmed by a source. The
    validation images judge.

    Args:
        backbone: Architecture of both networks.
        source: ``imagenet``, ``bundled``, ``scratch``, a file of weights, or a packed network.
        target: The same, or ``finetuned`` (the source) or ``trained`` (from scratch) on the data.
        data: The target's data.
        budget: Settings of every training.
        seeds: How often everything is trained.
        per_class: Training images of each class; None for all.
        recalibrate: Whether the norms' statistics are computed anew after a replacement.
        modes: Some of ``replace``, ``freeze`` and ``tune``; the first one decides the verdict.
        prefixes: Whether the last two train prefixes too, which takes twice as long.
        thresholds: The limits.
        cache: Where finished parts are found again after an interruption.
        progress: Called with what is done next, and the numbers of finished and of all parts.

    Raises:
        OtherArchitectureError: Source and target are not both of this architecture.
        ValueError: A setting is out of range.
    """
    from trainers.data.image_data import ImageData
    from trainers.data.loading import load_data
    from trainers.reuse.arms import Budget
    from trainers.reuse.judging import MODES, Judge

    _check(modes, MODES, seeds)
    images = data if isinstance(data, ImageData) else load_data(data)
    settings = budget or Budget()
    how: dict[str, Any] = {"modes": modes, "prefixes": prefixes, "cache": cache}
    how["progress"] = progress
    told: dict[str, Any] = {"budget": settings, "per_class": per_class, "recalibrate": recalibrate}
    judged = Judge(backbone, source, target, images, **told, **how).run(seeds)
    facts = {"backbone": backbone, "source": source, "target": target, "data": images.name, **told}
    facts["fingerprint"] = images.fingerprint()
    report = _report(judged, modes, thresholds or Thresholds(), facts)
    return replace(report, notes=_notes(report.network, seeds, len(images.classes)))


def _check(modes: tuple[str, ...], known: tuple[str, ...], seeds: int) -> None:
    unknown = [mode for mode in modes if mode not in known]
    if unknown or not modes or seeds < 1:
        raise ValueError(
            f"a judgement needs at least one seed and modes of {', '.join(known)}; given are "
            f"{seeds} and {', '.join(modes) or 'none'}."
        )


def _report(
    judged: "Judged", modes: tuple[str, ...], limits: Thresholds, facts: dict[str, Any]
) -> ReuseReport:
    network, layers = _judgements(judged, modes, limits)
    return ReuseReport(
        **facts,
        source_digest=judged.source_digest,
        target_digest=judged.target_digest,
        train_images=judged.train_images,
        val_images=judged.val_images,
        thresholds=limits,
        network=network,
        layers=layers,
    )


def _judgements(
    judged: "Judged", modes: tuple[str, ...], limits: Thresholds
) -> tuple[NetworkTest, tuple[LayerReport, ...]]:
    seeds = judged.seeds
    network = network_test(
        {name: [getattr(each, name) for each in seeds] for name in ARMS}, limits
    )
    names = [layer.name for layer in judged.layers]
    # Where networks are trained again, so is the one that they are compared with.
    without = {
        mode: [each.own if mode == "replace" else each.single[mode]["", "all"] for each in seeds]
        for mode in modes
    }
    tests = {
        mode: layer_tests(
            {name: [each.single[mode][name, "all"] for each in seeds] for name in names},
            without[mode],
            limits,
        )
        for mode in modes
    }
    reports = []
    for layer in judged.layers:
        close = judged.distances[layer.name].ratio <= limits.rmse
        works = tests[modes[0]][layer.name].works
        reports.append(
            LayerReport(
                name=layer.name,
                distance=judged.distances[layer.name],
                close=close,
                tests={mode: tests[mode][layer.name] for mode in modes},
                groups=_groups(judged, layer.name, layer.groups) if "replace" in modes else {},
                prefix_drops={
                    mode: _drop([s.prefixes[mode][layer.name] for s in seeds], without[mode])
                    for mode in modes
                    if all(s.prefixes[mode] for s in seeds)
                },
                verdict=verdict(
                    network=network.reusable,
                    works=works,
                    close=close,
                    may_freeze=modes[0] != "tune",
                    helps=network.helps,
                ),
            )
        )
    return network, tuple(reports)


def _groups(judged: "Judged", layer: str, groups: Any) -> dict[str, float]:
    without = [each.own for each in judged.seeds]
    return {
        group: _drop([each.single["replace"][layer, group] for each in judged.seeds], without)
        for group in groups
    }


def _drop(values: list[float], without: list[float]) -> float:
    return float(np.mean(without)) - float(np.mean(values))


def _notes(network: NetworkTest, seeds: int, classes: int) -> tuple[str, ...]:
    notes = []
    if np.mean(network.own) < 2 / classes:
        notes.append(
            f"with frozen kernels even the target's own reach {np.mean(network.own):.1%}, and "
            f"chance is {1 / classes:.1%}: norms and head have not learned yet, so that the "
            f"retention says little; give more epochs or a higher learning rate"
        )
    if network.retention is None:
        notes.append(
            "the target's own kernels are no better here than random ones, so that a retention "
            "has no meaning; reusable is then what is better than both, or significantly better "
            "than scratch"
        )
    if seeds < 2:
        notes.append("one seed shows no spread, so that nothing was tested")
    return tuple(notes)
