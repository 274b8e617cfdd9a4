"""Signs that an attack fails for lack of useful gradients, not because a network is robust.

The checks of Athalye, Carlini and Wagner (2018, arXiv:1802.00420, section 3.1) that need no second
network: behaviour that gradient masking causes and that a robust network does not show.
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
# Significance level of the sign test.
_ALPHA = 0.05
# The smallest number of images that can be significant: all changed to one side.
_FEWEST = math.ceil(math.log2(1 / _ALPHA))


def masked_gradient_signs(
    network: nn.Module,
    images: Images,
    labels: Labels,
    attack: AttackConfig,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> tuple[str, ...]:
    """Check whether the accuracy under a gradient attack is credible.

    Three checks, on the same images:

    1. with four times the steps, the attack succeeds at least as often;
    2. with an epsilon that reaches every image, and four times the steps, the accuracy is at most
       the share of the most frequent class: replacing every image by the same one leaves no more;
    3. the Square attack, which uses no gradient, succeeds no more often than the attack with four
       times the steps.

    In 1 and 3 a few images differ by chance. It is a sign only if significantly more images speak
    against the gradients than for them (one-sided sign test at 5 %), which takes at least five
    images. If fewer than five withstand the attack with four times the steps, as is usual, no sign
    is possible and the other attacks are skipped: the checks then cost little more than that one
    attack. Otherwise the other attacks are first run on the images that withstood it.

    Args:
        network: As for `robust_accuracy`.
        images: uint8 (N, C, H, W), at least one.
        labels: int64 (N,).
        attack: ``bim`` or ``pgd``.
        seed: As for `robust_accuracy`.
        device: Where to compute.

    Returns:
        A sentence for each check that failed; empty if all passed.

    Raises:
        ValueError: The attack has no steps, or as for `robust_accuracy`.
        TrainerError: The network answers with NaN.
    """
    if attack.attack not in ("bim", "pgd"):
        raise ValueError(
            f"attack is {attack.attack!r}; the checks for masked gradients vary the steps of bim "
            f"or pgd."
        )

    longer = replace(attack, steps=_MORE * attack.steps)
    checks = _Checks(network, images, labels, seed, device, longer)
    strong = checks.strong
    signs = []
    once = checks.found_more(attack)
    if once is not None:
        signs.append(
            f"{_MORE * attack.steps} steps leave {strong.robust_accuracy:.1%} right, but "
            f"{attack.steps} steps only {once.robust_accuracy:.1%}."
        )
    unbounded = _unbounded(attack, images)
    guessing = np.bincount(labels[strong.chosen]).max() / strong.samples
    # A success within epsilon also counts for the attack with the larger epsilon.
    if strong.robust_accuracy > guessing:
        share = checks.left(unbounded) / strong.samples
        if share > guessing:
            signs.append(
                f"An epsilon of {unbounded.epsilon:.3g}, which reaches every picture, still "
                f"leaves {share:.1%} right."
            )
    square = AttackConfig("square", attack.epsilon, attack.norm, samples=attack.samples)
    blind = checks.found_more(square)
    if blind is not None:
        signs.append(
            f"The Square attack, without gradients, leaves {blind.robust_accuracy:.1%} right, but "
            f"{attack.attack} with them {strong.robust_accuracy:.1%}."
        )
    return tuple(signs)


class _Checks:
    """Images that withstand a strong attack, and other attacks on them.

    Attributes:
        strong: Result of the strong attack.
    """

    def __init__(
        self,
        network: nn.Module,
        images: Images,
        labels: Labels,
        seed: int,
        device: torch.device | str,
        attack: AttackConfig,
    ) -> None:
        self._network, self._seed, self._device = network, seed, device
        self._images, self._labels = images, labels
        self.strong = self._result(images, labels, attack)
        self._standing = self.strong.chosen[self.strong.robust]

    def left(self, attack: AttackConfig) -> int:
        """Count the images that withstand both the strong attack and another one."""
        which = self._standing
        if not len(which):
            return 0
        few = replace(attack, samples=len(which))
        return int(self._result(self._images[which], self._labels[which], few).robust.sum())

    def found_more(self, attack: AttackConfig) -> RobustResult | None:
        """Return the result of a weaker attack if it succeeds significantly more often."""
        count = len(self._standing)
        # Usually so few images withstand that no attack can be significantly better.
        if count < _FEWEST or count - self.left(attack) < _FEWEST:
            return None
        found = self._result(self._images, self._labels, attack)
        return found if _won(self.strong.robust, found.robust) else None

    def _result(self, images: Images, labels: Labels, attack: AttackConfig) -> RobustResult:
        return robust_accuracy(
            self._network, images, labels, attack, seed=self._seed, device=self._device
        )


def _unbounded(attack: AttackConfig, images: Images) -> AttackConfig:
    # In L2 the distance of the black image from the white one.
    radius = 1.0 if attack.norm == "linf" else math.sqrt(images[0].size)
    return replace(attack, epsilon=radius, steps=_MORE * attack.steps, step_size=None)


def _won(by_stronger: NDArray[np.bool_], by_weaker: NDArray[np.bool_]) -> bool:
    """Return whether significantly more images withstand the supposedly stronger attack."""
    against = int((by_stronger & ~by_weaker).sum())
    changed = int((by_stronger ^ by_weaker).sum())
    tail = sum(math.comb(changed, count) for count in range(against, changed + 1))
    return bool(tail / 2**changed < _ALPHA)
