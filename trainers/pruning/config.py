"""How a network is pruned; importable without torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from trainers.doors import is_part, part_name
from trainers.errors import did_you_mean
from trainers.recipes.config import RecipeConfig

GRANULARITIES = ("weight", "kernel", "filter", "channel")
CONTEXTS = ("layer", "global")
CHANNEL_CRITERION = "batch_norm"
"""The criterion that judges channels alone."""
BEFORE_TRAINING_CRITERIA = ("snip", "iter_snip", "force")
"""Criteria by which weights are pruned once, before the first step."""
CRITERIA = (
    *("magnitude", "movement", "accumulated_movement", "gradient", "weight_momentum", "random"),
    *BEFORE_TRAINING_CRITERIA,
    CHANNEL_CRITERION,
)
SCHEDULES = ("one_shot", "iterative", "gradual", "one_cycle")
LAYERS = ("convolutions", "all")
MAX_SPARSITY = 0.999
MAX_THRESHOLD = 2.0

PREFIX = "pruning_"
"""Before the name of a setting where it is sampled: `pruning_sparsity`."""

PRUNING_PARAMETERS = tuple(
    PREFIX + name
    for name in (
        *("sparsity", "granularity", "context", "criterion", "schedule", "layers"),
        *("restart", "threshold"),
    )
)
"""The settings as they are sampled."""

# Tried: a network with removed channels is trained, packed, read back and exported.
_REMOVABLE = ("digitnet", "vgg", "resnet", "mobilenet_v2")
# Their scores come from training: a frozen weight neither moves nor has a gradient.
_NEED_TRAINING = tuple(name for name in CRITERIA if name not in ("magnitude", "random"))
_WORDS: Mapping[str, tuple[str, ...]] = {
    "granularity": GRANULARITIES,
    "context": CONTEXTS,
    "criterion": CRITERIA,
    "schedule": SCHEDULES,
    "layers": LAYERS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PruningConfig:
    """Pruning of the weights of a network, by the four axes that describe any method.

    Attributes:
        sparsity: Share of the groups of weights that end as zero, 0 (no pruning) to 0.999.
        granularity: A group: a single ``weight``, a ``kernel`` (the weights between one input and
            one output channel), a ``filter`` (all weights of one output channel), or a
            ``channel``, which is removed before the training, with all that depends on it.
        context: Where groups compete: within each ``layer``, which all get the same sparsity, or
            in the whole network (``global``), where each layer keeps its best group at least.
        criterion: What a group is worth; a name of `trainers.pruning.criteria.SCORES`, or of
            `trainers.pruning.before_training.BEFORE_TRAINING`; or ``module:name``, code of a
            user's own, which is named by its content here.
        schedule: How the sparsity grows; a name of `trainers.pruning.schedules.SCHEDULES`.
        layers: ``convolutions``, or ``all``: FC layers too, whose kernels are single weights. The
            units of the last layer are the classes, so that it is never pruned by filters.
        restart: Whether a network whose channels were removed is trained from scratch.
        threshold: Instead of a sparsity, for channels: those are removed whose score is at most
            this times the mean score of their layer. 0 is none.
    """

    sparsity: float = 0.0
    granularity: str = "weight"
    context: str = "layer"
    criterion: str = "magnitude"
    schedule: str = "one_shot"
    layers: str = "convolutions"
    restart: bool = False
    threshold: float = 0.0

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: A value is not accepted; the sentence says what would be.
        """
        if isinstance(self.sparsity, bool) or not 0 <= self.sparsity <= MAX_SPARSITY:
            raise ValueError(
                f"{PREFIX}sparsity is {self.sparsity!r}; it goes from 0 to {MAX_SPARSITY:g}."
            )
        if isinstance(self.threshold, bool) or not 0 <= self.threshold <= MAX_THRESHOLD:
            raise ValueError(
                f"{PREFIX}threshold is {self.threshold!r}; it goes from 0 to {MAX_THRESHOLD:g}."
            )
        if self.has_own_criterion:
            object.__setattr__(self, "criterion", part_name("criteria", self.criterion))
        for name, known in _WORDS.items():
            word = getattr(self, name)
            is_own = name == "criterion" and self.has_own_criterion
            if word not in known and not is_own:
                raise ValueError(
                    f"{PREFIX}{name} is {word!r}; known are {', '.join(known)}."
                    f"{did_you_mean(str(word), known)}"
                )

    def as_mapping(self) -> dict[str, Any]:
        """Return the values; what later versions added is left out where it has no effect.

        >>> "restart" in PruningConfig(sparsity=0.5).as_mapping()
        False
        """
        values = asdict(self)
        return {name: v for name, v in values.items() if v or name not in ("restart", "threshold")}

    @property
    def has_own_criterion(self) -> bool:
        """Whether the criterion is code of a user's own."""
        return self.criterion not in CRITERIA and is_part("criteria", self.criterion)

    @property
    def removes_channels(self) -> bool:
        """Whether layers get smaller, and not zeros."""
        return self.active and self.granularity == "channel"

    @property
    def active(self) -> bool:
        """Whether anything is pruned."""
        return self.sparsity > 0 or self.threshold > 0


def check_pruning(config: PruningConfig, *, backbone: str, tune: str, quantizer: str) -> None:
    """Reject a pruning that the training or the quantizer does not support.

    >>> check_pruning(PruningConfig(), backbone="resnet18", tune="head", quantizer="affine")

    Raises:
        ValueError: With the sentence.
    """
    if not config.active:
        return
    _check_threshold(config)
    if config.removes_channels:
        _check_removal(config, backbone)
        return
    if config.restart or config.criterion == CHANNEL_CRITERION:
        raise ValueError(
            f"{PREFIX}restart and {PREFIX}criterion {CHANNEL_CRITERION!r} are for channels that "
            f"are removed, and {PREFIX}granularity is {config.granularity!r}: use 'channel', or "
            f"leave them out."
        )
    if config.criterion in _NEED_TRAINING and tune != "all":
        raise ValueError(
            f"{PREFIX}criterion is {config.criterion!r} and tune is {tune!r}; frozen weights "
            f"neither move nor have gradients. Use 'magnitude' or 'random', or tune: all."
        )
    if config.criterion in BEFORE_TRAINING_CRITERIA and config.schedule != "one_shot":
        raise ValueError(
            f"{PREFIX}schedule is {config.schedule!r} and {PREFIX}criterion is "
            f"{config.criterion!r}, by which weights are pruned before the training: leave "
            f"{PREFIX}schedule out, or use another criterion."
        )
    if config.schedule != "one_shot" and tune == "head" and config.layers == "convolutions":
        raise ValueError(
            f"{PREFIX}schedule is {config.schedule!r} and tune is 'head'; frozen convolutions are "
            f"pruned once, before the training. Use 'one_shot', tune more, or prune layers: all."
        )
    if quantizer == "entropy":
        raise ValueError(
            f"{PREFIX}sparsity is {config.sparsity:g} and the quantizer is 'entropy', which may "
            f"drop the level zero, so that pruned weights would not stay zero. Use 'symmetric', "
            f"'affine' or 'kmeans', or {PREFIX}sparsity 0."
        )


def _check_threshold(config: PruningConfig) -> None:
    if config.threshold and (config.sparsity or not config.removes_channels):
        raise ValueError(
            f"{PREFIX}threshold is {config.threshold:g}, {PREFIX}sparsity {config.sparsity:g} and "
            f"{PREFIX}granularity {config.granularity!r}: a threshold decides how many channels "
            f"are removed. Give it with 'channel' and without a sparsity, or leave it out."
        )


def check_evidence(config: PruningConfig, *, freezes: bool) -> None:
    """Reject a criterion that judges by a training which some pruned layers do not have.

    >>> check_evidence(PruningConfig(sparsity=0.5), freezes=True)

    Args:
        config: The pruning.
        freezes: Whether a verdict on pre-trained kernels freezes layers.

    Raises:
        ValueError: With the sentence.
    """
    if freezes and config.active and config.criterion in _NEED_TRAINING:
        raise ValueError(
            f"{PREFIX}criterion is {config.criterion!r} and the verdict freezes layers; frozen "
            f"weights neither move nor have gradients. Use 'magnitude' or 'random', or another "
            f"policy."
        )


def check_kept_epochs(config: PruningConfig, *, tune: str, recipe: RecipeConfig) -> None:
    """Reject a recipe that may end with an epoch in which less was pruned.

    >>> check_kept_epochs(PruningConfig(), tune="all", recipe=RecipeConfig(best=True))

    Raises:
        ValueError: With the sentence.
    """
    is_frozen = tune == "head" and config.layers == "convolutions"
    # Such masks are those of every epoch, as frozen weights are.
    is_frozen |= config.criterion in BEFORE_TRAINING_CRITERIA
    if not config.active or config.removes_channels or is_frozen:
        return
    given = [name for name in ("best", "patience") if getattr(recipe, name)]
    if given:
        raise ValueError(
            f"{PREFIX}sparsity is {config.sparsity:g} and {' and '.join(given)} is set: the best "
            f"epoch may be one before all was pruned. Leave {' and '.join(given)} out, or "
            f"{PREFIX}sparsity at 0."
        )


def _check_removal(config: PruningConfig, backbone: str) -> None:
    plain = PruningConfig(granularity="channel")
    own = {name: getattr(config, name) for name in ("sparsity", "threshold", "restart")}
    if replace(config, criterion=plain.criterion) != replace(plain, **own):
        raise ValueError(
            f"{PREFIX}granularity is 'channel', and channels are removed once, before the "
            f"training, in each layer: leave {PREFIX}context, {PREFIX}schedule and "
            f"{PREFIX}layers at their defaults."
        )
    if config.criterion not in (plain.criterion, CHANNEL_CRITERION):
        raise ValueError(
            f"{PREFIX}criterion is {config.criterion!r}, and channels are judged before the "
            f"training, by 'magnitude' or {CHANNEL_CRITERION!r}: use one of these."
        )
    if config.criterion == CHANNEL_CRITERION and backbone_has_no_norms(backbone):
        raise ValueError(
            f"{PREFIX}criterion is {CHANNEL_CRITERION!r}, and {backbone} has no batch norms to "
            f"judge its channels by. Use 'magnitude', or a backbone with norms."
        )
    if not backbone.startswith(_REMOVABLE):
        raise ValueError(
            f"{PREFIX}granularity is 'channel', and channels of {backbone} cannot be removed. "
            f"They can be of backbones whose names begin with {', '.join(_REMOVABLE)}. Use "
            f"'filter', which sets them to zero."
        )


def backbone_has_no_norms(backbone: str) -> bool:
    """Return whether a backbone whose channels can be removed has no batch norms.

    >>> backbone_has_no_norms("vgg11"), backbone_has_no_norms("vgg11_bn")
    (True, False)
    """
    is_plain_vgg = backbone.startswith("vgg") and "_bn" not in backbone
    return is_plain_vgg or backbone.startswith("digitnet")


def check_groups(config: PruningConfig, weights: Mapping[str, tuple[int, ...]]) -> None:
    """Reject a sparsity that leaves a layer empty.

    >>> check_groups(PruningConfig(sparsity=0.5), {"features.0.weight": (4, 1, 3, 3)})

    Args:
        config: The pruning.
        weights: Shapes of the pruned weights by name; see `pruned_names`.

    Raises:
        ValueError: It names the layer and its number of groups.
    """
    groups = {name: group_count(config.granularity, shape) for name, shape in weights.items()}
    if config.context == "global":
        total = sum(groups.values())
        kept = total - pruned_count(config.sparsity, total)
        if config.active and kept < len(groups):
            raise ValueError(
                f"{PREFIX}sparsity {config.sparsity:g} leaves {kept} of {total} "
                f"{config.granularity}s for {len(groups)} layers, so that a layer would be empty. "
                f"Prune less, or smaller groups."
            )
        return
    for name, count in groups.items():
        if pruned_count(config.sparsity, count) >= count > 0:
            raise ValueError(
                f"{PREFIX}sparsity {config.sparsity:g} leaves none of the {count} "
                f"{config.granularity}s of {name}, so that the layer would be empty. Prune less, "
                f"or smaller groups."
            )


def pruned_names(config: PruningConfig, is_convolution: Mapping[str, bool]) -> list[str]:
    """Return the weights that are pruned, in the order of the network.

    >>> pruned_names(PruningConfig(sparsity=0.5), {"features.0.weight": True, "head.0.w": False})
    ['features.0.weight']

    Args:
        config: The pruning.
        is_convolution: As `plan_weights` takes it.
    """
    names = [name for name, convolves in is_convolution.items() if convolves]
    if config.layers == "all":
        linear = [name for name, convolves in is_convolution.items() if not convolves]
        names += linear[:-1] if config.granularity == "filter" else linear
    return names if config.active and not config.removes_channels else []


def group_count(granularity: str, shape: tuple[int, ...]) -> int:
    """Return the number of groups of a weight `(out, in, ...)`.

    >>> [group_count(each, (8, 4, 3, 3)) for each in ("weight", "kernel", "filter")]
    [288, 32, 8]
    """
    axes = {"weight": len(shape), "kernel": 2, "filter": 1}[granularity]
    count = 1
    for size in shape[:axes]:
        count *= size
    return count


def pruned_count(sparsity: float, groups: int) -> int:
    """Return how many of some groups are pruned: rounded to the nearest.

    >>> pruned_count(0.3, 8)
    2
    """
    return round(sparsity * groups)
