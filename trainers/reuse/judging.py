"""All measurements of one judgement, in a cache, so that an interrupted one goes on."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from trainers.data.image_data import ImageData
from trainers.determinism import derive_seed
from trainers.networks.conv_layers import ConvLayer, conv_layers, transplant
from trainers.networks.network import Network
from trainers.reuse.arms import (
    Budget,
    Trained,
    build_network,
    few_per_class,
    scratch_state,
    train,
)
from trainers.reuse.kernels import KernelDistance, kernel_distance
from trainers.reuse.replacing import Replacements
from trainers.reuse.sources import matched, read_backbone, state_digest
from trainers.stages.cache import StageCache
from trainers.stages.keys import measurement_entry

MADE_TARGETS = ("finetuned", "trained")
"""Words for a target that is made here: the source fine-tuned on the data, or trained anew."""
MODES = ("replace", "freeze", "tune")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that was measured of one seed.

    Attributes:
        reuse: Accuracy with the source's kernels, norms and head trained.
        random: Accuracy with random kernels, norms and head trained: the floor of `reuse`.
        tuned: Accuracy that begins with the source, everything trained.
        scratch: Accuracy with random kernels, everything trained: the floor of `tuned`.
        own: Accuracy with the target's kernels, norms and head trained.
        single: Accuracy by mode, layer and group with one layer replaced.
        prefixes: Accuracy by mode and layer with it and all before it replaced; empty for a mode
            in which no prefix was trained.
    """

    reuse: float
    random: float
    tuned: float
    scratch: float
    own: float
    single: Mapping[str, Mapping[tuple[str, str], float]]
    prefixes: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Measurements of one judgement.

    Attributes:
        layers: Layers of the backbone.
        source_digest: Digest of the source's tensors.
        target_digest: Digest of the target's tensors.
        distances: Distance of the kernels by layer.
        seeds: Measurements of each seed.
        train_images: How many images were trained on.
        val_images: How many images the accuracies were measured on.
    """

    layers: tuple[ConvLayer, ...]
    source_digest: str
    target_digest: str
    distances: Mapping[str, KernelDistance]
    seeds: tuple[Measured, ...]
    train_images: int
    val_images: int


class Judge:
    """Measures whether the kernels of one network serve in another.

    Args:
        backbone: Name of the architecture of both.
        source: As `read_backbone` takes it.
        target: The same, or a word of `MADE_TARGETS`.
        data: The target's data.
        budget: Settings of every training.
        per_class: Training images of each class; None for all.
        recalibrate: Whether the norms' statistics are computed anew after a replacement.
        modes: Some of `MODES`.
        prefixes: Whether prefixes are trained again too, in modes that train.
        cache: Where finished measurements are looked for and stored.
        progress: Called with what is done next, and the numbers of finished and of all parts.

    Raises:
        OtherArchitectureError: Source and target are not both of this architecture.
        WeightsError: One of them is absent or broken.
        ValueError: A setting is out of range.
    """

    def __init__(  # noqa: PLR0913 - what is judged, and how
        self,
        backbone: str,
        source: str,
        target: str,
        data: ImageData,
        *,
        budget: Budget,
        per_class: int | None = None,
        recalibrate: bool = False,
        modes: tuple[str, ...] = ("replace",),
        prefixes: bool = False,
        cache: StageCache | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._backbone, self._budget, self._cache = backbone, budget, cache
        self._modes, self._recalibrate, self._per_class = modes, recalibrate, per_class
        self._prefixes = prefixes
        self._progress = progress or (lambda _text, _done, _all: None)
        self._full, self._data = data, few_per_class(data, per_class, seed=0)
        given = read_backbone(backbone, source, role="source")
        other = given if target in MADE_TARGETS else read_backbone(backbone, target, role="target")
        self._source, self._target = matched(backbone, given, other)
        self._done, self._parts = 0, 1
        if target in MADE_TARGETS:
            self._target = self._made_target(target)
        self._random = scratch_state(backbone, derive_seed(0, "reuse", "null"))
        features = build_network(backbone, self._source, 2, budget=budget, seed=0).features
        self._layers = conv_layers(features)
        self._digests = (state_digest(self._source), state_digest(self._target))

    def run(self, seeds: int) -> Judged:
        """Measure everything with so many seeds."""
        self._done, self._parts = 0, seeds * (5 + self._parts_a_seed())
        distances = {
            layer.name: kernel_distance(
                *(
                    state[layer.groups["conv_weight"][0]]
                    for state in (self._source, self._target, self._random)
                ),
                layer=layer.name,
            )
            for layer in self._layers
        }
        return Judged(
            layers=self._layers,
            source_digest=self._digests[0],
            target_digest=self._digests[1],
            distances=distances,
            seeds=tuple(self._of_seed(seed) for seed in range(seeds)),
            train_images=len(self._data.train_labels),
            val_images=len(self._data.val_labels),
        )

    def _parts_a_seed(self) -> int:
        trained = sum(mode != "replace" for mode in self._modes)
        a_layer = 2 if self._prefixes else 1
        return ("replace" in self._modes) + trained * (1 + a_layer * len(self._layers))

    def _of_seed(self, seed: int) -> Measured:
        own, state = self._arm("own", seed, self._target, Trained.REST)
        drawn = scratch_state(self._backbone, derive_seed(seed, "reuse", "scratch"))
        # All three frozen arms have the target's norms, so that they differ in the kernels alone.
        reused, at_random = ({**self._target, **self._kernels(s)} for s in (self._source, drawn))
        found = {
            "reuse": self._arm("reuse", seed, reused, Trained.REST)[0],
            "random": self._arm("random", seed, at_random, Trained.REST)[0],
            "tuned": self._arm("tuned", seed, self._source, Trained.ALL)[0],
            "scratch": self._arm("scratch", seed, drawn, Trained.ALL)[0],
        }
        single: dict[str, dict[tuple[str, str], float]] = {}
        prefixes: dict[str, dict[str, float]] = {}
        for mode in self._modes:
            if mode == "replace":
                single[mode], prefixes[mode] = self._replaced(seed, state)
            else:
                single[mode], prefixes[mode] = self._retrained(mode, seed, state)
        return Measured(**found, own=own, single=single, prefixes=prefixes)

    def _kernels(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        groups = ("conv_weight", "conv_bias")
        names = [n for layer in self._layers for g in groups for n in layer.groups.get(g, ())]
        return {name: state[name] for name in names}

    def _arm(
        self, name: str, seed: int, state: Mapping[str, Tensor], trained: Trained
    ) -> tuple[float, dict[str, Tensor]]:
        """Train one network: its accuracy, and its tensors."""

        def make() -> tuple[dict[str, Tensor], float]:
            network = self._network(state, seed)
            right = train(network, self._data, trained, budget=self._budget, seed=seed)
            return dict(network.state_dict()), right

        tensors, facts = self._stage(
            f"seed {seed}: {name}", {"state": state_digest(state), "trained": trained}, seed, make
        )
        return facts["value"], tensors

    def _replaced(
        self, seed: int, state: Mapping[str, Tensor]
    ) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
        def make() -> tuple[dict[str, Tensor], Any]:
            network = self._network(self._target, seed)
            network.load_state_dict(dict(state))
            replacements = Replacements(
                network,
                self._source,
                *self._data.subset("val"),
                calibration=self._data.train_images if self._recalibrate else None,
            )
            single = [[*key, value] for key, value in replacements.single().items()]
            return {}, [single, replacements.prefixes()]

        facts = {"recalibrate": self._recalibrate, "mode": "replace"}
        _, found = self._stage(f"seed {seed}: layers replaced", facts, seed, make)
        single, prefixes = found["value"]
        return {(layer, group): value for layer, group, value in single}, prefixes

    def _retrained(
        self, mode: str, seed: int, state: Mapping[str, Tensor]
    ) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
        """Replace a layer, or all up to it, and train again; without any under an empty name."""
        single: dict[tuple[str, str], float] = {}
        prefixes: dict[str, float] = {}
        single["", "all"] = self._again(mode, seed, state, ())
        for number, layer in enumerate(self._layers):
            single[layer.name, "all"] = self._again(mode, seed, state, (layer,))
            if self._prefixes:
                so_far = self._layers[: number + 1]
                prefixes[layer.name] = self._again(mode, seed, state, so_far)
        return single, prefixes

    def _again(
        self, mode: str, seed: int, state: Mapping[str, Tensor], layers: tuple[ConvLayer, ...]
    ) -> float:
        def make() -> tuple[dict[str, Tensor], float]:
            network = self._network(self._target, seed)
            network.load_state_dict(dict(state))
            for layer in layers:
                transplant(network.features, self._source, layer.tensors)
            frozen = [name for layer in layers for name in layer.modules]
            kept = frozen if mode == "freeze" else ()
            return {}, train(
                network, self._data, Trained.ALL, budget=self._budget, seed=seed, frozen=kept
            )

        names = [layer.name for layer in layers]
        told = names[-1] if names else "nothing"
        facts = {"mode": mode, "layers": names}
        _, found = self._stage(f"seed {seed}: {told} replaced, {mode}", facts, seed, make)
        return float(found["value"])

    def _made_target(self, word: str) -> dict[str, Tensor]:
        seed = derive_seed(0, "reuse", "target")
        start = self._source if word == "finetuned" else scratch_state(self._backbone, seed)
        self._digests = (state_digest(self._source), word)

        def make() -> tuple[dict[str, Tensor], float]:
            network = self._network(start, seed)
            right = train(network, self._data, Trained.ALL, budget=self._budget, seed=seed)
            return dict(network.features.state_dict()), right

        tensors, _ = self._stage(f"the target, {word}", {"start": word}, seed, make)
        return tensors

    def _network(self, state: Mapping[str, Tensor], seed: int) -> Network:
        classes = len(self._data.classes)
        return build_network(self._backbone, state, classes, budget=self._budget, seed=seed)

    def _stage(
        self,
        told: str,
        facts: Mapping[str, Any],
        seed: int,
        make: Callable[[], tuple[dict[str, Tensor], Any]],
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        self._progress(told, self._done, self._parts)
        self._done += 1
        name = measurement_entry(
            "reuse",
            {
                **facts,
                "backbone": self._backbone,
                "networks": list(self._digests),
                "seed": seed,
                **asdict(self._budget),
            },
            data=self._data.content(),
        )
        found = None if self._cache is None else self._cache.get(name)
        if found is not None:
            return found
        tensors, value = make()
        if self._cache is not None:
            self._cache.put(name, tensors, {"value": value})
        return tensors, {"value": value}
