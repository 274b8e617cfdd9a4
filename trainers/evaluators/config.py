"""How a network is attacked: plain values, checked once, importable without torch."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

AttackName = Literal["fgsm", "pgd"]
Norm = Literal["linf", "l2"]


@dataclass(frozen=True, slots=True)
class AttackConfig:
    """An attack and its strength, on pixels in [0, 1].

    Attributes:
        attack: `fgsm` (one step of size epsilon; Goodfellow et al. 2015, arXiv:1412.6572) or `pgd`
            (many small steps from a random start; Madry et al. 2018, arXiv:1706.06083).
        epsilon: Largest perturbation in `norm`, above 0; at most 1 for `linf`, which reaches every
            picture there is.
        norm: `linf`, the largest change of a pixel, or `l2`, the length of all changes.
        steps: Of pgd, at least 1; fgsm takes one.
        step_size: Of pgd, in `norm`; None means 2.5 * epsilon / steps, with which every point of
            the ball can be reached (Madry et al. 2018, appendix B).
        restarts: Random starts of pgd; an image counts as robust if it withstands them all.
        samples: Attack at most so many images.
    """

    attack: AttackName
    epsilon: float
    norm: Norm = "linf"
    steps: int = 10
    step_size: float | None = None
    restarts: int = 1
    samples: int = 200

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: A value is not accepted; the sentence says what would be.
        """
        if self.attack not in get_args(AttackName):
            raise ValueError(f"attack is {self.attack!r}; known are fgsm and pgd.")
        if self.norm not in get_args(Norm):
            raise ValueError(f"norm is {self.norm!r}; known are linf and l2.")
        limit = 1.0 if self.norm == "linf" else math.inf
        # Written so that NaN, which compares false, is refused too.
        if not (0 < self.epsilon <= limit and math.isfinite(self.epsilon)):
            raise ValueError(
                f"epsilon is {self.epsilon!r}; pixels lie in [0, 1], so a number above 0 "
                f"{'and at most 1 ' if self.norm == 'linf' else ''}is needed. 8/255 is common for "
                f"linf, 0.5 for l2."
            )
        for key in ("steps", "restarts", "samples"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{key} is {value!r}; an integer of at least 1 is needed.")
        self._check_step_size()

    def _check_step_size(self) -> None:
        step = self.step_size
        if step is not None and not (step > 0 and math.isfinite(step)):
            raise ValueError(f"step_size is {step!r}; a number above 0 is needed, or None.")
        if self.attack == "fgsm" and (step is not None or self.restarts != 1):
            raise ValueError(
                "fgsm takes one step of size epsilon from the image itself: it has neither "
                "step_size nor restarts. Leave them out, or use pgd."
            )
