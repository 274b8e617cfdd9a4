"""What a check says of recipes and classes: what fails, and what is slower than it looks."""

import random
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.quantities import human
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import Params
from trainers.config import TrialConfig, with_params
from trainers.networks.backbone_table import backbone_info

if TYPE_CHECKING:
    import numpy as np

    from trainers.data import ImageData

# Of a space that is too large to be listed.
_SAMPLED = 1_000
# Of which the true one is always among the five largest logits.
_TOP = 5
# From here on, accuracy says little of the small classes.
_UNEVEN = 5


@dataclass(frozen=True, slots=True)
class RecipeChecks:
    """What was found.

    Attributes:
        problems: Why no trial could be trained, as sentences.
        notes: What a person should know.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_recipes(
    spec: SweepSpec, data: "ImageData | None", said: Collection[str] = ()
) -> RecipeChecks:
    """Try a sweep's configurations, and their recipes on its images, without training.

    All configurations are tried if there are at most a thousand, else a thousand drawn at random.

    Args:
        spec: The sweep.
        data: Its images; None if they are not on this machine.
        said: Reasons of failures that are said elsewhere.

    >>> from orchestrator.spec.files import load_sweep
    >>> from trainers.data.loading import load_data
    >>> changes = ["space={bits: {type: choice, values: [4, 8]}}", "training.class_weights=[1, 2]"]
    >>> spec = load_sweep("examples/sweeps/digits.yaml", settings=changes)
    >>> check_recipes(spec, load_data(spec.data_config())).problems
    ["class_weights has 2 numbers, and there are 10 classes: ..."]
    """
    found = RecipeChecks()
    reasons: Counter[str] = Counter()
    configs: list[TrialConfig] = []
    fixed, tried = spec.trial_config(), 0
    for params in _configurations(spec):
        tried += 1
        try:
            config = with_params(fixed, params, seed=0)
        except ValueError as error:
            reasons[str(error)] += 1
            continue
        reasons[_problem(config, data)] += 1
        configs.append(config)
    no_trial_works = reasons.pop("", 0) == 0 and tried > 0
    told = dict.fromkeys(map(_without_numbers, said), "")
    wrong = [text for text in reasons if told.setdefault(_without_numbers(text), text) == text]
    if no_trial_works:
        found.problems.extend(wrong or reasons)
    else:
        found.notes.extend(f"some trials will fail: {reason}" for reason in wrong)
    if data is not None:
        costs = (_cost(config, data) for config in configs)
        found.notes.extend(dict.fromkeys(filter(None, costs)))
    if any(config.methods.distillation for config in configs):
        found.notes.extend(filter(None, [_teaching(spec)]))
    return found


def _without_numbers(reason: str) -> str:
    """Return what is common to a reason for each value of a continuous parameter."""
    return re.sub(r"[0-9][0-9.e+-]*", "", reason)


def _problem(config: TrialConfig, data: "ImageData | None") -> str:
    if data is None:
        return ""
    if config.recipe.precision != "auto":
        # Imported here: it needs torch.
        from trainers.training.devices import precision_problem_here

        if problem := precision_problem_here(config.recipe.precision):
            return problem
    return config.recipe.problem(channels=data.train_images.shape[1], classes=len(data.classes))


def _teaching(spec: SweepSpec) -> str:
    """Say where the network that teaches comes from; empty if it is a trial of its own."""
    if spec.execution.cache == "off":
        return (
            "distillation without a cache: every trial trains the full-size network anew, before "
            "its own first step (execution.cache)"
        )
    if not spec.reference:
        return (
            "distillation: the first trial of each seed trains the full-size network too; with "
            "'reference: true' that is a trial of its own"
        )
    return ""


def balance_text(classes: Sequence[str], labels: "np.ndarray") -> str:
    """Write how many training images a class has, and what to do if the classes differ much.

    >>> import numpy as np
    >>> balance_text(("cat", "dog"), np.array([0, 1, 1]))
    '1 (cat) to 2 (dog) training images in a class'
    """
    counts = [int((labels == label).sum()) for label in range(len(classes))]
    few, many = min(counts), max(counts)
    smallest, largest = (classes[counts.index(count)] for count in (few, many))
    if few == many:
        return f"{few:,} training images in each class"
    text = f"{few:,} ({smallest}) to {many:,} ({largest}) training images in a class"
    if many < _UNEVEN * few:
        return text
    return (
        f"{text}; accuracy hardly counts the small classes: see balanced_accuracy and macro_f1, "
        f"and training: class_weights or balanced_sampling"
    )


def unmeasured_problems(spec: SweepSpec, classes: int) -> list[str]:
    """List the objectives and constraints on values that no trial on so many classes has.

    >>> from orchestrator.spec.files import load_sweep
    >>> asked = ["objectives.top5_accuracy=maximize"]
    >>> spec = load_sweep("examples/sweeps/digits.yaml", settings=asked)
    >>> unmeasured_problems(spec, classes=10), len(unmeasured_problems(spec, classes=5))
    ([], 1)
    """
    asked = [*spec.objectives, *(limit.name for limit in spec.limits)]
    if classes > _TOP or "top5_accuracy" not in asked:
        return []
    return [
        f"top5_accuracy is always 1 with {classes} classes, and is not measured: use accuracy, or "
        f"balanced_accuracy."
    ]


def _cost(config: TrialConfig, data: "ImageData") -> str:
    """Say what a recipe costs where only the head is trained; empty if it costs nothing."""
    recipe, methods = config.recipe, config.methods
    if config.tune != "head":
        return ""
    if methods.needs_pixels:
        return (
            f"{' and '.join(methods.used())} with tune: head: no features are kept, and each "
            f"epoch computes the whole backbone"
        )
    if not recipe.keeps_features:
        return (
            "mixup and cutmix with tune: head: mixed images differ in every epoch, so that no "
            "features are kept, and each epoch computes the whole backbone"
        )
    return _cost_of_views(config, data) if recipe.augments else ""


def _cost_of_views(config: TrialConfig, data: "ImageData") -> str:
    # Imported here: it needs torch, which a check without images can do without.
    from trainers.training.examples import FEATURE_BYTES

    per_image = 4 * backbone_info(config.architecture).n_features
    views = config.recipe.kept_views(config.tune, config.epochs)
    of_training = views * per_image * len(data.train_labels)
    taken = human("memory_bytes", of_training)
    if of_training + per_image * len(data.val_labels) > FEATURE_BYTES:
        return (
            f"augment with tune: head: the features of {views} augmented views of each image "
            f"({taken}) are too large to be kept, and each epoch computes the whole backbone: "
            f"lower training.views"
        )
    return (
        f"augment with tune: head: the features of {views} augmented views of each image "
        f"are computed once ({taken}), and the epochs take them in turn (training.views)"
    )


def _configurations(spec: SweepSpec) -> Iterator[Params]:
    space = spec.search_space
    if space.size is not None and space.size <= _SAMPLED:
        yield from space.grid()
        return
    rng = random.Random(spec.seed)  # noqa: S311 - a sample, not a secret
    for _ in range(_SAMPLED):
        yield space.sample(rng)
