"""Signs that an attack fails because gradients are masked, not because the network is robust.

The checks of Athalye, Carlini and Wagner (2018, arXiv:1802.00420, section 3.1): behaviour that a
robust network cannot show, but one with masked gradients does. Weights and activations of few bits
can do that (Bernhard, Moellic and Dutertre 2019, arXiv:1909.12741).
"""

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainers.evaluators.accuracy import Images, Labels
from trainers.evaluators.config import AttackConfig
from trainers.evaluators.robustness import RobustResult, Transfer, robust_accuracy

_MORE = 4
# Queries of the Square attack for each step of the strong one: a step costs about as much.
_QUERIES_A_STEP = 3
# Significance level of the sign test.
_ALPHA = 0.05
# With fewer images won, and none lost, the sign test is never significant.
_FEWEST = math.ceil(math.log2(1 / _ALPHA))


def masked_gradient_signs(  # noqa: PLR0913 - an attack and whom it attacks
    network: nn.Module,
    images: Images,
    labels: Labels,
    attack: AttackConfig,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    reference: nn.Module | None = None,
) -> tuple[str, ...]:
    """Find out whether accuracy under a gradient attack can be believed.

    Three checks, and a fourth with a second network, on the same images:

    1. with four times the steps, the attack fools the network on no fewer images;
    2. with an epsilon that reaches every picture, and four times the steps, no more images
       survive than the share of the most frequent class: replacing all images by one and the
       same picture would leave no more;
    3. the Square attack, which uses no gradient, fools the network on no more images than the
       attack with four times the steps at about the same cost: three queries per step;
    4. images made against the second network, with four times the steps, fool this one no more
       often than images made against itself.

    In 1, 3 and 4 a few images differ by chance. It is a sign only if the images that suggest
    masked gradients outnumber the others by more than chance would (one-sided sign test at 5 %),
    which takes at least five images. If fewer than five survive the attack with four times the
    steps, as is usual, there is nothing to find and the other attacks are not run, so that the
    checks cost little more than that one attack. Otherwise, the others are run on the survivors
    first.

    Args:
        network: As for `robust_accuracy`.
        images: uint8 (N, C, H, W), at least one.
        labels: int64 (N,).
        attack: ``bim`` or ``pgd``.
        seed: As for `robust_accuracy`.
        device: Where to compute.
        reference: The second network: the one in floating point.

    Returns:
        A sentence for each check that failed; empty if there is no sign.

    Raises:
        ValueError: The attack has no steps, or as for `robust_accuracy`.
        TrainerError: The network answers with NaN.
    """
    if attack.attack not in ("bim", "pgd"):
        raise ValueError(
            f"attack is {attack.attack!r}; the checks for masked gradients vary the steps of bim "
            f"or pgd."
        )
    checks = _Checks(network, images, labels, seed, device, attack)
    signs = [checks.of_steps(), checks.of_epsilon(), checks.of_square()]
    if reference is not None:
        signs.append(checks.of_transfer(reference))
    return tuple(sign for sign in signs if sign is not None)


class _Checks:
    """Compare what an attack with four times the steps leaves with what others leave of that."""

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
        self._attack = attack
        self._strong = self._result(images, labels, replace(attack, steps=_MORE * attack.steps))
        self._standing = self._strong.chosen[self._strong.robust]

    def of_steps(self) -> str | None:
        """Say so if the attack as it is finds more than with four times the steps."""
        once = self._found_more(self._attack)
        if once is None:
            return None
        steps = self._attack.steps
        return (
            f"{_MORE * steps} steps leave {self._strong.robust_accuracy:.1%} right, but "
            f"{steps} steps only {once.robust_accuracy:.1%}."
        )

    def of_epsilon(self) -> str | None:
        """Say so if an epsilon that reaches every picture leaves more than guessing would."""
        strong = self._strong
        guessing = np.bincount(self._labels[strong.chosen]).max() / strong.samples
        # What an attack finds within epsilon counts for the one that may go farther.
        if strong.robust_accuracy <= guessing:
            return None
        # A quarter of the steps nearly always suffices, and more would find no less.
        for steps in (self._attack.steps, _MORE * self._attack.steps):
            unbounded = _unbounded(self._attack, self._images, steps)
            share = self._left(unbounded) / strong.samples
            if share <= guessing:
                return None
        return (
            f"An epsilon of {unbounded.epsilon:.3g}, which reaches every picture, still "
            f"leaves {share:.1%} right."
        )

    def of_square(self) -> str | None:
        """Say so if the Square attack, which sees no gradient, finds more."""
        attack = self._attack
        queries = _QUERIES_A_STEP * _MORE * attack.steps
        square = AttackConfig(
            "square", attack.epsilon, attack.norm, samples=attack.samples, queries=queries
        )
        blind = self._found_more(square)
        if blind is None:
            return None
        return (
            f"The Square attack, without gradients, leaves {blind.robust_accuracy:.1%} right, but "
            f"{attack.attack} with them {self._strong.robust_accuracy:.1%}."
        )

    def of_transfer(self, reference: nn.Module) -> str | None:
        """Say so if images made against another network fool this one more often."""
        transfer = Transfer(made_on=reference, tried_on=self._network)
        strong = replace(self._attack, steps=_MORE * self._attack.steps)
        found = self._found_more(strong, transfer)
        if found is None:
            return None
        return (
            f"Images made against the reference leave {found.robust_accuracy:.1%} right, but "
            f"those made against the network itself {self._strong.robust_accuracy:.1%}."
        )

    def _left(self, attack: AttackConfig, asked: nn.Module | Transfer | None = None) -> int:
        """Count the images that the strong attack leaves, and this one too."""
        which = self._standing
        if not len(which):
            return 0
        few = replace(attack, samples=len(which))
        result = self._result(self._images[which], self._labels[which], few, asked)
        return int(result.robust.sum())

    def _found_more(
        self, attack: AttackConfig, asked: nn.Module | Transfer | None = None
    ) -> RobustResult | None:
        """Return the result of an attack that should be weaker if it finds more beyond chance."""
        count = len(self._standing)
        # Nearly always too few survive for any attack to be better beyond chance.
        if count < _FEWEST or count - self._left(attack, asked) < _FEWEST:
            return None
        found = self._result(self._images, self._labels, attack, asked)
        return found if _won(self._strong.robust, found.robust) else None

    def _result(
        self,
        images: Images,
        labels: Labels,
        attack: AttackConfig,
        asked: nn.Module | Transfer | None = None,
    ) -> RobustResult:
        return robust_accuracy(
            self._network if asked is None else asked,
            images,
            labels,
            attack,
            seed=self._seed,
            device=self._device,
        )


def _unbounded(attack: AttackConfig, images: Images, steps: int) -> AttackConfig:
    # In L2 the distance of the black picture from the white one.
    radius = 1.0 if attack.norm == "linf" else math.sqrt(images[0].size)
    return replace(attack, epsilon=radius, steps=steps, step_size=None)


def _won(by_stronger: NDArray[np.bool_], by_weaker: NDArray[np.bool_]) -> bool:
    """Whether, beyond chance, more images survive the attack that should be stronger."""
    against = int((by_stronger & ~by_weaker).sum())
    changed = int((by_stronger ^ by_weaker).sum())
    tail = sum(math.comb(changed, count) for count in range(against, changed + 1))
    return bool(tail / 2**changed < _ALPHA)
