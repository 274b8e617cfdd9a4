"""Configuration of attacks: plain values, checked once, importable without torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from trainers.doors import is_part, part_name
from trainers.errors import did_you_mean

AttackName = Literal[
    "fgsm", "bim", "pgd", "apgd", "autoattack", "square", "deepfool", "corruptions"
]
Norm = Literal["linf", "l2"]

ATTACKED = "robust_accuracy"
"""Prefix of the names of accuracies under attack."""
FROM_REFERENCE = "robust_accuracy_from_reference"
"""Prefix of the names of accuracies under images that were made against the reference."""
OF_REFERENCE = "robust_accuracy_of_reference"
"""Prefix of the names of the reference's accuracies under images made against a network."""
PERTURBATION = "deepfool_perturbation"
"""Prefix of the names of DeepFool's mean relative perturbations."""
CORRUPTED = "corruption_accuracy"
"""Prefix of the names of mean accuracies on corrupted images."""
OWN_ATTACKS: Mapping[str, AttackName] = {PERTURBATION: "deepfool", CORRUPTED: "corruptions"}
"""What yields values whose names begin so, and nothing else does."""
AT_MILESTONE = "milestone_"
"""Prefix of the names of milestone values; the rest is the name of the final value."""
MASKED = "masked_gradient_signs"
"""Prefix of the names of counts of signs that gradients are masked."""
GRADIENT_CHECK = f"{MASKED}_quick"
"""What the front is measured by unasked where robustness is an objective."""
_CHECKED_IMAGES = 50

_BALL = ("epsilon", "norm", "samples")
_TAKEN_BY_OWN = (*_BALL, "steps", "step_size", "restarts", "queries")
_TAKES: Mapping[str, tuple[str, ...]] = {
    "fgsm": _BALL,
    "bim": (*_BALL, "steps", "step_size"),
    "pgd": (*_BALL, "steps", "step_size", "restarts"),
    "apgd": _BALL,
    "autoattack": _BALL,
    "square": (*_BALL, "queries"),
    "deepfool": ("samples",),
    "corruptions": ("samples",),
}


@dataclass(frozen=True, slots=True)
class AttackConfig:
    """An attack and its strength, on pixels in [0, 1].

    Attacks with a norm search for a misclassified image within epsilon, and yield an accuracy:

    * ``fgsm``: one step of size epsilon (Goodfellow et al. 2015, arXiv:1412.6572);
    * ``bim``: many small steps from the image itself (Kurakin et al. 2017, arXiv:1607.02533);
    * ``pgd``: many small steps from a random start (Madry et al. 2018, arXiv:1706.06083);
    * ``apgd``: the two parts of AutoAttack that find nearly all it finds, APGD-CE and APGD-T;
    * ``autoattack``: all four of them (Croce and Hein 2020, arXiv:2003.01690), several times as
      slow. With fewer than four classes, which have no targeted DLR loss, ``apgd`` is
      APGD-CE and ``autoattack`` is APGD-CE and Square;
    * ``square``: random search without a gradient (Andriushchenko et al. 2020,
      arXiv:1912.00049).

    ``deepfool`` searches for the nearest image with another prediction, at any distance, and
    yields that distance (Moosavi-Dezfooli et al. 2016, arXiv:1511.04599).

    ``corruptions`` are no attack: noise, blur, contrast, brightness, pixelation and JPEG at five
    severities; they yield the mean accuracy (Hendrycks and Dietterich 2019, arXiv:1903.12261).

    ``module:name`` is an attack of a user's own with a norm; see `trainers.evaluators.attacks`.

    Attributes:
        attack: Name of the attack; code of a user's own is named by its content here.
        epsilon: Largest perturbation in `norm`, above 0; at most 1 for `linf`, which reaches every
            image. Not for deepfool and corruptions.
        norm: `linf`, the largest change of a pixel, or `l2`, the length of all changes.
        steps: For bim and pgd, at least 1; the others have a stopping rule.
        step_size: For bim and pgd, in `norm`; None means 2.5 * epsilon / steps, with which every
            point of the ball can be reached (Madry et al. 2018, appendix B).
        restarts: Random starts of pgd; an image counts as robust if it withstands them all.
        samples: Largest number of images to attack.
        queries: For square, the number of forward passes per image; 5,000 in AutoAttack.
    """

    attack: str
    epsilon: float = 8 / 255
    norm: Norm = "linf"
    steps: int = 10
    step_size: float | None = None
    restarts: int = 1
    samples: int = 200
    queries: int = 1_000

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: A value is not accepted; the message says what would be.
        """
        if self.is_own:
            object.__setattr__(self, "attack", part_name("attacks", self.attack))
        elif self.attack not in get_args(AttackName):
            hint = did_you_mean(self.attack, get_args(AttackName))
            raise ValueError(
                f"attack is {self.attack!r}; known are {_listed(AttackName)}, and module:name of "
                f"an attack of your own.{hint}"
            )
        if self.norm not in get_args(Norm):
            raise ValueError(f"norm is {self.norm!r}; known are {_listed(Norm)}.")
        limit = 1.0 if self.norm == "linf" else math.inf
        # Written so that NaN, which compares false, is refused too.
        if not (0 < self.epsilon <= limit and math.isfinite(self.epsilon)):
            raise ValueError(
                f"epsilon is {self.epsilon!r}; pixels lie in [0, 1], so a number above 0 "
                f"{'and at most 1 ' if self.norm == 'linf' else ''}is needed. 8/255 is common for "
                f"linf, 0.5 for l2."
            )
        for key in ("steps", "restarts", "samples", "queries"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{key} is {value!r}; an integer of at least 1 is needed.")
        step = self.step_size
        if step is not None and not (step > 0 and math.isfinite(step)):
            raise ValueError(f"step_size is {step!r}; a number above 0 is needed, or None.")
        self._check_keys()

    @property
    def is_own(self) -> bool:
        """Whether the attack is code of a user's own."""
        return self.attack not in get_args(AttackName) and is_part("attacks", self.attack)

    def _check_keys(self) -> None:
        """Reject settings that this attack would ignore."""
        takes = _TAKES.get(self.attack, _TAKEN_BY_OWN)
        taken = ("attack", *takes)
        spare = [
            entry.name
            for entry in fields(self)
            if entry.name not in taken and getattr(self, entry.name) != entry.default
        ]
        if spare:
            raise ValueError(
                f"{self.attack} has no {' and no '.join(spare)}: leave that out, or use another "
                f"attack. It takes {', '.join(takes)}."
            )


def gradient_check(attack: AttackConfig) -> AttackConfig:
    """Build the check of the gradients behind an objective: the same ball, one start.

    >>> check = gradient_check(AttackConfig("square", epsilon=0.1))
    >>> check.attack, check.epsilon, check.restarts
    ('pgd', 0.1, 1)
    """
    samples = min(attack.samples, _CHECKED_IMAGES)
    if attack.attack in ("bim", "pgd"):
        return replace(attack, restarts=1, samples=samples)
    return AttackConfig("pgd", attack.epsilon, attack.norm, samples=samples)


def _listed(words: object) -> str:
    *most, last = get_args(words)
    return f"{', '.join(most)} and {last}"
