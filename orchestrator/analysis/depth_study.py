"""Compare a full network with cut ones, and cut ones that were widened, over seeds.

After Gowdra, Sinha, MacDonell and Yan (arXiv 2106.14190, 2021), who report 25 to 79 % less
training time without worse accuracy; which tests they used is not known to this project. Here:
Welch's and Mann and Whitney's for a difference, and two one-sided Welch tests for equivalence.
Seeds are not paired: networks of another depth share neither initial weights nor their gradients.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from orchestrator.analysis.statistics.corrections import holm
from orchestrator.analysis.statistics.validation import fraction


@dataclass(frozen=True, slots=True)
class Arm:
    """One network of the study, trained once per seed.

    Attributes:
        label: In words.
        network: Its name, such as ``cifar_resnet32[depth=1]``.
        accuracies: One per seed, at least two.
        seconds: CPU seconds of each training.
        params: Learnable values of the network with its head.
        macs: Multiplications for one image.
    """

    label: str
    network: str
    accuracies: tuple[float, ...]
    seconds: tuple[float, ...]
    params: int
    macs: int

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the seeds."""
        return statistics.fmean(self.accuracies)


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """An arm against the full network.

    Attributes:
        arm: The arm.
        difference: Its mean accuracy less that of the full network.
        saved: Share of the full network's training time that it saves; below 0 if it takes more.
        p_welch: Two-sided p-value of Welch's test of equal means.
        p_mann_whitney: Two-sided p-value of Mann and Whitney's test.
        p_equivalent: The larger p-value of two one-sided Welch tests against the margin.
        p_adjusted: `p_equivalent` after Holm's correction over the arms.
    """

    arm: Arm
    difference: float
    saved: float
    p_welch: float
    p_mann_whitney: float
    p_equivalent: float
    p_adjusted: float = 1.0

    def verdict(self, alpha: float) -> str:
        """Say what was shown: ``equivalent``, ``worse``, ``better``, or ``not shown``."""
        if self.p_adjusted <= alpha:
            return "equivalent"
        if self.p_welch <= alpha:
            return "worse" if self.difference < 0 else "better"
        return "not shown"


def compare_arms(full: Arm, others: Sequence[Arm], margin: float) -> list[ArmComparison]:
    """Compare each arm with the full network.

    Args:
        full: The full network.
        others: The arms, at least one.
        margin: Largest difference of accuracies that does not matter, in (0, 1).

    Raises:
        ValueError: The margin is out of range, or an arm has fewer than two seeds.

    >>> full = Arm("full", "vgg16", (0.90, 0.91, 0.92), (4.0, 4.0, 4.0), params=2000, macs=9000)
    >>> cut = replace(full, label="cut", network="vgg16[depth=1]", seconds=(1.0, 1.0, 1.0))
    >>> (found,) = compare_arms(full, [cut], margin=0.05)
    >>> found.verdict(0.05), found.saved
    ('equivalent', 0.75)
    """
    fraction(margin, "margin")
    for arm in (full, *others):
        if len(arm.accuracies) < 2:
            raise ValueError(
                f"{arm.label} was trained {len(arm.accuracies)} times; a spread over seeds takes "
                f"two at least."
            )
    found = [_compared(full, arm, margin) for arm in others]
    adjusted = holm([each.p_equivalent for each in found]).tolist()
    return [replace(each, p_adjusted=p) for each, p in zip(found, adjusted, strict=True)]


def _compared(full: Arm, arm: Arm, margin: float) -> ArmComparison:
    ours, theirs = np.array(arm.accuracies), np.array(full.accuracies)
    not_worse = stats.ttest_ind(ours + margin, theirs, equal_var=False, alternative="greater")
    not_better = stats.ttest_ind(ours - margin, theirs, equal_var=False, alternative="less")
    return ArmComparison(
        arm,
        difference=arm.accuracy - full.accuracy,
        saved=1 - sum(arm.seconds) * len(full.seconds) / (sum(full.seconds) * len(arm.seconds)),
        p_welch=float(stats.ttest_ind(ours, theirs, equal_var=False).pvalue),
        p_mann_whitney=float(stats.mannwhitneyu(ours, theirs).pvalue),
        p_equivalent=float(max(not_worse.pvalue, not_better.pvalue)),
    )
