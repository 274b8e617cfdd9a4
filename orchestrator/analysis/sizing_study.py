"""The sizing study: what a smaller head and fewer bits cost, against the full-size network.

After Marrone, Papa and Sansone ("Effects of hidden layer sizing on CNN fine-tuning", 2021): the
reference, networks with a sized head in floating point, and networks whose weights are quantized
too. Which is not measurably worse is decided in `orchestrator.analysis.comparison`; this module
adds the other measurements, accuracy under attack above all, whether favourable or not.
"""

import math
import statistics
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from orchestrator.analysis.comparison import (
    Comparison,
    Kept,
    Reference,
    Selection,
    compare_value,
    smallest,
)
from orchestrator.analysis.outcomes import NoAnswersError, outcomes_of
from orchestrator.analysis.statistics.corrections import holm
from orchestrator.analysis.statistics.intervals import (
    Interval,
    accuracy_interval,
    mean_interval,
)
from orchestrator.analysis.statistics.paired import paired_t, wilcoxon
from orchestrator.analysis.statistics.validation import fraction
from orchestrator.errors import UsageError
from orchestrator.quantities import quantity
from orchestrator.trials import Trial, Value
from trainers.quantization.allocation import ALLOCATED_BITS
from trainers.quantization.config import FLOAT_BITS
from trainers.quantization.layer_bits import LAYER_BITS

HEAD_SAVING = 0.8
"""Share of the head's parameters that the study requires to be saved."""


class Role(StrEnum):
    """The role of a network in the study."""

    REFERENCE = "reference"
    SIZED = "sized"
    QUANTIZED = "quantized"
    BOTH = "sized and quantized"


@dataclass(frozen=True, slots=True)
class Entry:
    """One configuration of the study.

    Attributes:
        role: Its role.
        trials: One trial per seed of the reference.
        values: Means over the seeds of the values that all of them measured.
        accuracy: Confidence interval of the mean accuracy (Wilson's, with the mean count, as for
            one seed: it claims no precision from the repetition); None if some answers are not
            known.
        comparison: The comparison with the reference; None for the reference itself.
    """

    role: Role
    trials: tuple[Trial, ...]
    values: Mapping[str, float]
    accuracy: Interval | None
    comparison: Comparison | None = None

    @property
    def number(self) -> int:
        """Number of its first trial."""
        return self.trials[0].number


@dataclass(frozen=True, slots=True)
class Difference:
    """One accuracy of a network, clean or under attack, against that of the reference.

    Attributes:
        kept: The two means over the seeds, their difference with its interval, and McNemar's test
            of the first seed.
        p_t: Paired t-test over the seeds; None below two seeds, or without any spread.
        p_wilcoxon: Wilcoxon's signed-rank test over the seeds; None as `p_t`.
        over_seeds: Confidence interval of the mean difference over seeds (Student's t); None as
            `p_t`.
        p_adjusted: p-value after Holm's correction over all accuracies compared: of the t-test,
            which is about the means, or of McNemar's where there is no t-test.
        p_same: p-value of "they differ by the margin or more", after the same correction.
    """

    kept: Kept
    p_t: float | None
    p_wilcoxon: float | None
    over_seeds: Interval | None
    p_adjusted: float = 1.0
    p_same: float = 1.0

    @property
    def p(self) -> float:
        """The p-value of a difference between the two values as they are given."""
        return self.kept.p_mcnemar if self.p_t is None else self.p_t


@dataclass(frozen=True, slots=True)
class Study:
    """The reference, the sized networks, and the result.

    Attributes:
        selection: All comparisons that were made, corrected for their number.
        head_saving: Minimum share of the reference head's parameters that was to be saved.
        entries: The reference first, then the others from small to large.
        found: The smallest network that saves that much and is not measurably worse, if any.
        examined: The network that is looked at more closely: the one found, else the smallest that
            is not measurably worse, else the one that came nearest; None if there is no other.
        differences: Its accuracies, clean and under attack, compared with the reference's.
    """

    selection: Selection
    head_saving: float
    entries: tuple[Entry, ...]
    found: Entry | None
    examined: Entry | None
    differences: tuple[Difference, ...]

    @property
    def reference(self) -> Entry:
        """The full-size network."""
        return self.entries[0]

    def saved(self, entry: Entry) -> float:
        """Compute the share of the reference head's parameters saved; below 0 if there are more.

        The share is NaN if one of the two heads was not counted.
        """
        full = self.reference.values.get("head_params", math.nan)
        return 1 - entry.values.get("head_params", math.nan) / full


def sizing_study(  # noqa: PLR0913 - what is compared, and how strictly
    trials: Iterable[Trial],
    reference: Reference,
    *,
    quantization: Mapping[str, Value] | None = None,
    keep: Sequence[str] = ("accuracy",),
    margin: float = 0.02,
    alpha: float = 0.05,
    head_saving: float = HEAD_SAVING,
    allowed: Container[tuple[str, int]] | None = None,
) -> Study:
    """Compare all smaller networks of a sweep with its reference.

    Args:
        trials: All trials that were trained.
        reference: The full-size network, once per seed.
        quantization: The bits that the sweep fixes for trials that sample none.
        keep: Accuracies that must not be worse.
        margin: Largest loss that does not matter.
        alpha: Accepted probability of calling at least one network "not worse" that is worse.
        head_saving: Minimum share of the head's parameters to be saved, in (0, 1).
        allowed: As for `smallest`.

    Raises:
        UsageError: A number is out of range, or a value is not measured image by image.
        OrchestratorError: The reference's answers are not known.
    """
    try:
        fraction(head_saving, "head_saving")
    except ValueError as error:
        raise UsageError(f"The study cannot be made: {error}") from None
    selection = smallest(
        trials,
        reference,
        by="memory_bytes",
        keep=keep,
        margin=margin,
        alpha=alpha,
        allowed=allowed,
    )
    full = _entry(Role.REFERENCE, reference.trials, None)
    entries = [full]
    for each in selection.comparisons:
        role = _role(each.trials[0], full, quantization or {})
        entries.append(_entry(role, each.trials, each))
    plain = Study(selection, head_saving, tuple(entries), None, None, ())
    found = next((entry for entry in entries if _is_found(plain, entry)), None)
    examined = found or _nearest(plain)
    differences = _differences(examined, reference, margin) if examined else ()
    return replace(plain, found=found, examined=examined, differences=differences)


def _is_found(study: Study, entry: Entry) -> bool:
    comparison = entry.comparison
    if comparison is None or not comparison.allowed:
        return False
    if comparison.p_adjusted > study.selection.alpha:
        return False
    return study.saved(entry) >= study.head_saving


def _nearest(study: Study) -> Entry | None:
    selection = study.selection
    if not selection.eligible:
        return None
    nearest = selection.chosen or min(selection.eligible, key=lambda each: each.p)
    return next(entry for entry in study.entries if entry.comparison is nearest)


def _role(trial: Trial, full: Entry, fixed: Mapping[str, Value]) -> Role:
    params = {**fixed, **trial.params}
    deciding = ("bits", "fc_bits", ALLOCATED_BITS, *LAYER_BITS)
    bits = [value for name, value in params.items() if name in deciding]
    is_quantized = any(value != FLOAT_BITS for value in bits)
    is_full = trial.values.get("head_params") == full.values.get("head_params")
    if is_full:
        return Role.QUANTIZED
    return Role.BOTH if is_quantized else Role.SIZED


def _entry(role: Role, trials: Sequence[Trial], comparison: Comparison | None) -> Entry:
    shared = set.intersection(*(set(trial.values) for trial in trials))
    values = {
        name: statistics.fmean(trial.values[name] for trial in trials) for name in sorted(shared)
    }
    return Entry(role, tuple(trials), values, _interval(trials), comparison)


def _interval(trials: Sequence[Trial]) -> Interval | None:
    try:
        right = np.stack([outcomes_of(trial, "accuracy").right for trial in trials])
    except (NoAnswersError, ValueError):  # gone, or to different numbers of images
        return None
    return accuracy_interval(round(right.sum() / len(trials)), right.shape[1])


def _differences(found: Entry, reference: Reference, margin: float) -> tuple[Difference, ...]:
    """Compare every accuracy that both have, on the same images; the clean one first."""
    names = [name for name in found.values if quantity(name).paired_by_image]
    compared = []
    for name in names:
        if all(name in trial.values for trial in reference.trials):
            try:
                kept = compare_value(found.trials, reference, name, margin)
            except (NoAnswersError, UsageError):
                # Measured, but not image by image for both, so that it cannot be paired.
                continue
            compared.append(Difference(kept, *_over_seeds(name, found.trials, reference)))
    if not compared:
        return ()
    differs = holm([each.p for each in compared]).tolist()
    same = holm([each.kept.p_equivalent for each in compared]).tolist()
    return tuple(
        replace(each, p_adjusted=p, p_same=q)
        for each, p, q in zip(compared, differs, same, strict=True)
    )


def _over_seeds(
    name: str, trials: Sequence[Trial], reference: Reference
) -> tuple[float | None, float | None, Interval | None]:
    """Compute paired t, Wilcoxon and Student's interval; all None without a spread over seeds."""
    ours = [trial.values[name] for trial in trials]
    theirs = [trial.values[name] for trial in reference.trials]
    if len(ours) < 2:
        return None, None, None
    try:
        interval = mean_interval(ours, theirs)
        return paired_t(ours, theirs), wilcoxon(ours, theirs), interval
    except ValueError:
        # All differences are equal, so there is no spread to test them against.
        return None, None, None
