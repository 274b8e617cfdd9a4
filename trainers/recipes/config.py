"""The recipe of a training: plain values, checked once, importable without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from trainers.accepted import Accepts
from trainers.recipes.augmentations import AUGMENT_TEXT, AUGMENTATIONS, augmentations

SCHEDULES = ("cosine", "step", "constant", "one_cycle")
CLASS_WEIGHTS = ("none", "balanced")
MAX_VIEWS = 64
FUSABLE_NAMES = frozenset(("schedule", "warmup", "momentum"))
"""What may differ between heads that are trained together."""

RECIPE_PARAMETERS: Mapping[str, Accepts] = {
    "augment": Accepts(
        "what is done to a training image; see docs/guides/train-well.md",
        words=("none", "flip", "crop_flip", "trivial", "randaugment"),
        pattern=AUGMENT_TEXT,
        example="crop, flip, rotation:10",
    ),
    "views": Accepts(
        "augmented views of an image that a frozen backbone sees", 1, MAX_VIEWS, whole=True
    ),
    "erasing": Accepts("probability that a rectangle is erased", 0.0, 1.0),
    "mixup": Accepts("alpha of MixUp; 0 is off", 0.0, 10.0),
    "cutmix": Accepts("alpha of CutMix; 0 is off", 0.0, 10.0),
    "schedule": Accepts("how the learning rate falls", words=SCHEDULES),
    "warmup": Accepts("share of the steps in which the learning rate rises", 0.0, 0.9),
    "momentum": Accepts("momentum of sgd", 0.0, 0.999),
    "clip": Accepts("largest norm of all gradients together; 0 is off", 0.0, 1e6),
    "ema": Accepts("decay of the moving average of the weights; 0 is off", 0.0, 0.99999),
    "backbone_rate_factor": Accepts("learning rate of the backbone, of the head's", 0.0, 10.0),
    "layer_decay": Accepts("factor of the learning rate from a block to the one below", 0.01, 1.0),
    "freeze_batch_norm": Accepts("whether running statistics stay as they were", flag=True),
    "class_weights": Accepts("weight of a class in the loss", words=CLASS_WEIGHTS),
    "balanced_sampling": Accepts("whether each class is drawn equally often", flag=True),
    "precision": Accepts(
        "number format of a training's forward passes",
        words=("auto", "float32", "bfloat16", "float16"),
    ),
    "parts": Accepts("parts in which a batch is computed", 1, 4096, whole=True),
    "compile": Accepts("whether torch.compile compiles the network", flag=True),
    "best": Accepts("whether the best epoch is kept, rather than the last", flag=True),
    "patience": Accepts("epochs without a better one before it ends; 0 is off", 0, whole=True),
}
"""What of a recipe may be sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeConfig:
    """How a network is trained, beyond the optimizer's settings; the defaults change nothing.

    Attributes:
        augment: A preset or a text of augmentations; see `trainers.recipes.augmentations`.
        views: With ``tune: head``: so many augmented views of each image have their features
            computed once, and epoch `t` trains on view `t` modulo this number.
        erasing: Probability that a rectangle of an image is erased, to mid-grey, after `augment`.
        mixup: Parameter of the Beta distribution of MixUp; 0 is off.
        cutmix: Parameter of the Beta distribution of CutMix; 0 is off. With both, each image gets
            one of them with equal probability.
        schedule: How the learning rate falls after its warm-up.
        warmup: Share of all steps in which the learning rate rises; None is 0.05, and 0.3 for
            ``one_cycle``.
        momentum: Nesterov momentum of sgd; None is 0.9. Not read by adamw.
        clip: Largest norm of the gradients of all parameters together; 0 is off.
        ema: Decay of the moving average of weights and statistics, which is what is measured and
            kept; 0 is off.
        backbone_rate_factor: Learning rate of the backbone's blocks, of the head's.
        layer_decay: Further factor for each block that lies between a block and the head, and for
            the block itself.
        freeze_batch_norm: Whether batch norms use, and keep, the statistics they came with.
        class_weights: ``none``, ``balanced`` (inverse to the number of training images), or a
            weight for each class.
        balanced_sampling: Whether an epoch draws its images with replacement, each class with the
            same probability.
        precision: Number format of the forward passes: ``auto`` is bfloat16 on GPUs that have it,
            else float32. With ``float16`` losses are scaled, and steps whose gradients overflow
            are not taken.
        parts: A batch is computed in so many parts of nearly one size, and a step taken with the
            sum of their gradients: for batches that do not fit into the device's memory. Batch
            norms see a part at a time.
        compile: Whether `torch.compile` compiles the network before its first epoch.
        best: Whether the weights of the epoch of best validation accuracy are kept (the first in a
            tie), rather than those of the last.
        patience: End the training after so many epochs without a better validation accuracy; 0 is
            off.
    """

    augment: str = "none"
    views: int = 8
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    schedule: str = "cosine"
    warmup: float | None = None
    momentum: float | None = None
    clip: float = 0.0
    ema: float = 0.0
    backbone_rate_factor: float = 1.0
    layer_decay: float = 1.0
    freeze_batch_norm: bool = False
    class_weights: str | tuple[float, ...] = "none"
    balanced_sampling: bool = False
    precision: str = "auto"
    parts: int = 1
    compile: bool = False
    best: bool = False
    patience: int = 0

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: A value is not accepted; the sentence says what would be.
        """
        augmentations(self.augment)
        for name, accepts in RECIPE_PARAMETERS.items():
            value = getattr(self, name)
            if value is None or isinstance(value, tuple):
                continue
            if not accepts.accepts(value):
                raise ValueError(f"{name} is {value!r}, but a trial needs {accepts}.")
        self._check_class_weights()

    def _check_class_weights(self) -> None:
        weights = self.class_weights
        if isinstance(weights, tuple) and not all(0 < weight < 1e6 for weight in weights):
            raise ValueError(
                f"class_weights are {list(weights)}; each class needs a number above 0. Leave a "
                f"class out of the data if it is not to count."
            )
        if weights != "none" and self.mixes:
            raise ValueError(
                "class_weights cannot be used with mixup or cutmix: a mixed image belongs to two "
                "classes, and has no weight of its own. Use balanced_sampling: true, or leave one "
                "of them out."
            )

    @property
    def augments(self) -> bool:
        """Whether an image looks different in different epochs."""
        return bool(augmentations(self.augment)) or self.erasing > 0

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with one another."""
        return self.mixup > 0 or self.cutmix > 0

    def problem(self, *, channels: int, classes: int) -> str:
        """Say why images cannot be trained on by this recipe; empty if they can.

        >>> RecipeConfig(augment="flip").problem(channels=1, classes=10)
        ''

        Args:
            channels: Channels of an image.
            classes: Number of classes.
        """
        names = (name for name, _ in augmentations(self.augment))
        colours = [name for name in names if AUGMENTATIONS[name].needs_colour]
        if colours and channels == 1:
            return (
                f"augment: {' and '.join(colours)} would do nothing, because the images are grey: "
                f"leave that out."
            )
        weights = self.class_weights
        if isinstance(weights, tuple) and len(weights) != classes:
            return (
                f"class_weights has {len(weights)} numbers, and there are {classes} classes: give "
                f"one for each, in the order of the classes, or write 'balanced'."
            )
        return ""

    @property
    def keeps_features(self) -> bool:
        """Whether the features of a frozen backbone can be computed once."""
        return not self.mixes

    def kept_views(self, tune: str, epochs: int) -> int:
        """Count the augmented views of an image whose features are kept; 0 if they are not.

        An epoch trains on one view, so that there are never more than epochs.

        >>> RecipeConfig(augment="flip").kept_views("head", 5)
        5
        """
        has_views = tune == "head" and self.augments and self.keeps_features
        return min(self.views, epochs) if has_views else 0

    @property
    def is_fusable(self) -> bool:
        """Whether heads can be trained together by this recipe: it is no more than a schedule."""
        return self.changed().keys() <= FUSABLE_NAMES

    def view_parameters(self) -> dict[str, str | float]:
        """Return what decides an augmented view of an image, but for the seed.

        >>> RecipeConfig(augment="flip").view_parameters()
        {'augment': 'flip', 'erasing': 0.0}
        >>> RecipeConfig().view_parameters()
        {}
        """
        return {"augment": self.augment, "erasing": self.erasing} if self.augments else {}

    def changed(self) -> dict[str, Any]:
        """Return the values other than the defaults, as JSON values; the rest need no mention.

        >>> RecipeConfig(ema=0.99).changed()
        {'ema': 0.99}
        """
        given = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        defaults = {entry.name: entry.default for entry in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in given.items()
            if value != defaults[name]
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "RecipeConfig":
        """Build the recipe from the result of `changed`.

        >>> RecipeConfig.from_mapping({"class_weights": [1.0, 2.0]}).class_weights
        (1.0, 2.0)
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in mapping.items()
        }
        return cls(**values)


RECIPE_NAMES = frozenset(RECIPE_PARAMETERS)
"""Names of the fields of `RecipeConfig`."""
