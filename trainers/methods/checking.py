"""What the methods of a training do not go together with; importable without torch."""

from collections.abc import Iterator, Sequence

from trainers.methods.config import MethodsConfig
from trainers.pruning.config import PruningConfig
from trainers.recipes.config import RecipeConfig


class MethodError(ValueError):
    """A method that a training does not support, or that would do nothing in it."""


def check_methods(
    methods: MethodsConfig,
    *,
    weights: str,
    tune: str,
    qat: str,
    pruning: PruningConfig,
    recipe: RecipeConfig,
) -> None:
    """Reject methods that would do nothing in this training, or that it does not support.

    >>> given = {"weights": "scratch", "qat": "none", "pruning": PruningConfig()}
    >>> check_methods(MethodsConfig(halo=1e-8), tune="all", recipe=RecipeConfig(), **given)
    >>> check_methods(MethodsConfig(halo=1e-8), tune="head", recipe=RecipeConfig(), **given)
    Traceback (most recent call last):
    trainers.methods.checking.MethodError: halo shrinks the weights of convolutions, and tune: ...

    Args:
        methods: The methods.
        weights: The weights that training begins with.
        tune: As `TrialConfig.tune`.
        qat: As `TrialConfig.qat`.
        pruning: The pruning of the training.
        recipe: Its recipe.

    Raises:
        MethodError: With the sentence.
    """
    problems = [
        *_from_scratch(methods, weights),
        *_without_effect(methods, weights, tune),
        *_adapted(methods, tune, pruning),
        *_reparametrized(methods, tune, qat, pruning),
        *_shared(methods, weights, tune, qat, pruning),
        *_mixed(methods, recipe),
    ]
    if problems:
        raise MethodError(problems[0])


def check_window(share: float, side: int, least: int) -> None:
    """Reject a window that is too small for the backbone.

    >>> check_window(0.5, 64, 32)
    >>> check_window(0.5, 28, 28)
    Traceback (most recent call last):
    trainers.methods.checking.MethodError: training_window is 0.5 of 28 pixels, a side of 14, ...

    Args:
        share: The window's side, of an image's as the backbone sees it.
        side: That side in pixels.
        least: The smallest side that the backbone accepts.

    Raises:
        MethodError: With the sentence.
    """
    if share < 1 and round(share * side) < least:
        raise MethodError(
            f"training_window is {share:g} of {side} pixels, a side of {round(share * side)}, and "
            f"the backbone takes {least} at least. Use a larger one, or a larger image_size."
        )


def check_adjoined(widths: Sequence[int], full: Sequence[int]) -> None:
    """Reject a head that is no part of the full one.

    >>> check_adjoined((8, 4), (256, 128))
    >>> check_adjoined((8,), (256, 128))
    Traceback (most recent call last):
    ValueError: adjoined trains a head as the first units of the full one, of the widths 256, ...

    Args:
        widths: Hidden widths of the head.
        full: Those of the full head.

    Raises:
        ValueError: With the sentence.
    """
    fits = len(widths) == len(full)
    if not (fits and all(own <= most for own, most in zip(widths, full, strict=True))):
        raise ValueError(
            f"adjoined trains a head as the first units of the full one, of the widths "
            f"{', '.join(map(str, full))}, and this head has {', '.join(map(str, widths))}: give "
            f"it as many layers, none of them wider, or leave adjoined out."
        )


def expands(shape: tuple[int, ...]) -> bool:
    """Return whether a kernel of this shape (out, in, k, k) is trained as several.

    >>> [expands((8, 4, k, k)) for k in (1, 3, 5, 6, 7)]
    [False, False, True, False, True]
    """
    return len(shape) == 4 and shape[2] == shape[3] >= 5 and shape[2] % 2 == 1


def check_large_kernels(found: int) -> None:
    """Reject a backbone without a kernel to expand.

    >>> check_large_kernels(1)

    Args:
        found: How many kernels are expanded.

    Raises:
        MethodError: None is.
    """
    if not found:
        raise MethodError(
            "expand is 'kernels', which trains kernels of 5x5 and more as several of 3x3, and "
            "this backbone has none whose channels are not grouped. Use expand: convolutions, or "
            "a backbone such as alexnet, squeezenet1_0 or resnet18."
        )


def _from_scratch(methods: MethodsConfig, weights: str) -> Iterator[str]:
    if methods.expand == "kernels" and weights != "scratch":
        yield (
            f"expand is 'kernels', whose small kernels start at random, and weights is "
            f"{weights!r}: the large ones would be lost. Use weights: scratch, or expand: "
            f"convolutions, which keeps them."
        )


def _without_effect(methods: MethodsConfig, weights: str, tune: str) -> Iterator[str]:
    if methods.l2sp and weights == "scratch":
        yield (
            "l2sp pulls weights towards the pre-trained ones, and weights is 'scratch': there are "
            "none. Give pre-trained weights, or use weight_decay."
        )
    if methods.l2sp and tune == "head":
        yield (
            "l2sp pulls the weights of the backbone towards the pre-trained ones, and tune: head "
            "freezes them there. Use tune: all or last_blocks:N, or leave l2sp out."
        )
    if methods.halo and tune == "head":
        yield (
            "halo shrinks the weights of convolutions, and tune: head freezes them. Use tune: all "
            "or last_blocks:N, or leave halo out."
        )
    if methods.training_window < 1 and tune == "head":
        yield (
            "training_window shows the training a part of each image, and with tune: head the "
            "convolutions learn nothing from it. Use tune: all or last_blocks:N, or leave it out."
        )


def _adapted(methods: MethodsConfig, tune: str, pruning: PruningConfig) -> Iterator[str]:
    if not methods.adapter_rank:
        return
    if tune != "head":
        yield (
            f"adapter_rank is {methods.adapter_rank} and tune is {tune!r}; adapters stand beside "
            f"frozen convolutions. Use tune: head, or adapter_rank 0."
        )
    if pruning.active and not pruning.removes_channels:
        yield (
            "adapter_rank and pruning exclude each other: an adapter is added to the kernel "
            "beside it, so that pruned weights would not stay zero. Leave one of them out."
        )


def _reparametrized(
    methods: MethodsConfig, tune: str, qat: str, pruning: PruningConfig
) -> Iterator[str]:
    changed = {
        "expand": methods.expand != "none",
        "adapter_rank": methods.adapter_rank > 0,
        "adjoined": methods.adjoined,
    }
    given = [name for name, is_on in changed.items() if is_on]
    if given and qat != "none":
        yield (
            f"{given[0]} trains weights in another form, and qat is {qat!r}, which needs them as "
            f"they are packed. Use qat: none, or leave {given[0]} out."
        )
    convolves = methods.expand in ("convolutions", "all", "kernels")
    forms_head = methods.adjoined
    prunes_head = pruning.layers == "all" and (forms_head or methods.expand in ("head", "all"))
    if pruning.active and not pruning.removes_channels and (convolves or prunes_head):
        yield (
            f"{given[0]} and pruning exclude each other where they concern the same layers: masks "
            f"need the weights as they are packed. Leave one of them out."
        )
    if convolves and tune == "head":
        yield (
            f"expand is {methods.expand!r}, and tune: head freezes the convolutions, of which "
            f"nothing would be trained. Use expand: head, or tune more."
        )
    if convolves and (methods.halo or methods.l2sp):
        yield (
            f"expand is {methods.expand!r}, and halo and l2sp penalize the weights of "
            f"convolutions, which are products then. Use expand: head, or leave the penalty out."
        )
    if methods.adjoined and methods.expand in ("head", "all"):
        yield (
            "adjoined and expand both train the head in a form of their own. Use one of them, or "
            "expand: convolutions."
        )


def _shared(
    methods: MethodsConfig, weights: str, tune: str, qat: str, pruning: PruningConfig
) -> Iterator[str]:
    if not methods.share_kernels:
        return
    if weights != "scratch" or tune != "all":
        yield (
            f"share_kernels trains one kernel for all convolutions of its shape, and weights is "
            f"{weights!r} and tune {tune!r}: pre-trained kernels differ from layer to layer, and "
            f"a shared one cannot be frozen in some. Use weights: scratch and tune: all."
        )
    others = {
        "qat": qat != "none",
        "pruning": pruning.active,
        "expand": methods.expand in ("convolutions", "all", "kernels"),
        "halo": methods.halo > 0,
    }
    for name, is_on in others.items():
        if is_on:
            yield (
                f"share_kernels and {name} exclude each other: {name} treats the kernels of each "
                f"layer on their own, and they are one. Leave one of them out."
            )


def _mixed(methods: MethodsConfig, recipe: RecipeConfig) -> Iterator[str]:
    if methods.adversarial != "none" and recipe.mixes:
        yield (
            "adversarial training cannot be used with mixup or cutmix: an attack moves away from "
            "a label, and a mixed image has two. Leave one of them out."
        )
