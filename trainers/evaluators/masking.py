"""Signs that an attack fails for want of gradients, and not because the network is robust.

The checks of Athalye, Carlini and Wagner (2018, arXiv:1802.00420, section 3.1) that need no second
network: what a robust network cannot show, and one that hides its gradients does.
"""

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainers.evaluators.accuracy import Images, Labels
from trainers.evaluators.config import AttackConfig
from trainers.evaluators.robustness import RobustResult, robust_accuracy

_MORE = 4
# How rare it may be by chance that an image more is won than lost, for that to be a sign.
_ALPHA = 0.05


def masked_gradient_signs(
    network: nn.Module,
    images: Images,
    labels: Labels,
    attack: AttackConfig,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> tuple[str, ...]:
    """Find out whether accuracy under a gradient attack can be believed.

    Three checks, on the same images:

    1. with four times the steps the attack finds no less;
    2. with an epsilon that reaches every picture, and four times the steps, no more is left than
       the share of the most frequent class: an attacker who shows one and the same picture in
       place of every image leaves no more;
    3. the Square attack, which sees no gradient, finds no more than the attack with four times
       the steps.

    In 1 and 3 a few images change sides by chance. It is a sign only if those that speak against
    the gradients outnumber the others by more than chance would (one-sided sign test at 5 %),
    which takes five images at least.

    Args:
        network: As for `robust_accuracy`.
        images: uint8 (N, C, H, W), at least one.
        labels: int64 (N,).
        attack: ``bim`` or ``pgd``.
        seed: As for `robust_accuracy`.
        device: Where to compute.

    Returns:
        A sentence for each check that failed; none is good.

    Raises:
        ValueError: The attack has no steps, or as for `robust_accuracy`.
        TrainerError: The network answers with NaN.
    """
    if attack.attack not in ("bim", "pgd"):
        raise ValueError(
            f"attack is {attack.attack!r}; the checks for masked gradients vary the steps of bim "
            f"or pgd."
        )

    def result(variant: AttackConfig) -> RobustResult:
        return robust_accuracy(network, images, labels, variant, seed=seed, device=device)

    once = result(attack)
    longer = result(replace(attack, steps=_MORE * attack.steps))
    unbounded = result(_unbounded(attack, images))
    blind = result(AttackConfig("square", attack.epsilon, attack.norm, samples=attack.samples))
    guessing = np.bincount(labels[once.chosen]).max() / once.samples
    signs = []
    if _won(longer.robust, once.robust):
        signs.append(
            f"{_MORE * attack.steps} steps leave {longer.robust_accuracy:.1%} right, but "
            f"{attack.steps} steps only {once.robust_accuracy:.1%}."
        )
    if unbounded.robust_accuracy > guessing:
        signs.append(
            f"An epsilon of {unbounded.epsilon:.3g}, which reaches every picture, still leaves "
            f"{unbounded.robust_accuracy:.1%} right."
        )
    if _won(longer.robust, blind.robust):
        signs.append(
            f"The Square attack, without gradients, leaves {blind.robust_accuracy:.1%} right, but "
            f"{attack.attack} with them {longer.robust_accuracy:.1%}."
        )
    return tuple(signs)


def _unbounded(attack: AttackConfig, images: Images) -> AttackConfig:
    # In L2 the distance of the black picture from the white one.
    radius = 1.0 if attack.norm == "linf" else math.sqrt(images[0].size)
    return replace(attack, epsilon=radius, steps=_MORE * attack.steps, step_size=None)


def _won(by_stronger: NDArray[np.bool_], by_weaker: NDArray[np.bool_]) -> bool:
    """Whether more images stand the attack that should be stronger, beyond chance."""
    against = int((by_stronger & ~by_weaker).sum())
    changed = int((by_stronger ^ by_weaker).sum())
    tail = sum(math.comb(changed, count) for count in range(against, changed + 1))
    return bool(tail / 2**changed < _ALPHA)
