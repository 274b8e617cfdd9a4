"""The sizing study: what a smaller head and fewer bits cost, against the full-size network.

After Marrone, Papa and Sansone ("Effects of hidden layer sizing on CNN fine-tuning", 2021): the
reference, networks with a sized head in floating point, and networks whose weights are quantized
too. Which is not measurably worse is decided in `orchestrator.comparison`; this module puts
beside it what else was measured, accuracy under attack above all, whichever way that went.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.comparison import Comparison, Kept, Reference, Selection, compare_value, smallest
from orchestrator.errors import UsageError
from orchestrator.predictions import NoAnswersError, outcomes_of
from orchestrator.statistics.checking import fraction
from orchestrator.statistics.corrections import holm
from orchestrator.statistics.intervals import Interval, accuracy_interval
from orchestrator.statistics.paired import paired_t, wilcoxon
from orchestrator.trials import Trial, Value

HEAD_SAVING = 0.8
"""Share of the head's parameters that the study wants to see saved."""

_ROBUST = "robust_accuracy"
_FLOAT_BITS = 32


class Role(StrEnum):
    """What a network is in the study."""

    REFERENCE = "reference"
    SIZED = "sized"
    QUANTIZED = "sized and quantized"


@dataclass(frozen=True, slots=True)
class Entry:
    """One configuration of the study.

    Attributes:
        role: What it is.
        trials: One a seed of the reference.
        values: Means over the seeds of what all of them measured.
        accuracy: Where the accuracy of the first seed lies; None if its answers are not known.
        comparison: Against the reference; None for the reference itself.
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
class RobustComparison:
    """One accuracy under attack of the network found, against that of the reference.

    Attributes:
        kept: The two values, their difference with its interval, and McNemar's test.
        p_adjusted: McNemar's p-value after Holm's correction over all attacks compared.
        p_t: Paired t-test over the seeds; None below two seeds, or without any spread.
        p_wilcoxon: Wilcoxon's signed-rank test over the seeds; None as `p_t`.
    """

    kept: Kept
    p_adjusted: float
    p_t: float | None
    p_wilcoxon: float | None


@dataclass(frozen=True, slots=True)
class Study:
    """Reference, sized networks, and what was found.

    Attributes:
        selection: All comparisons that were made, corrected for their number.
        head_saving: Share of the reference head's parameters that was to be saved at least.
        entries: The reference first, then the others from small to large.
        found: The smallest network that saves that much and is not measurably worse, if any.
        robustness: Its accuracies under attack.
    """

    selection: Selection
    head_saving: float
    entries: tuple[Entry, ...]
    found: Entry | None
    robustness: tuple[RobustComparison, ...]

    @property
    def reference(self) -> Entry:
        """The full-size network."""
        return self.entries[0]

    def saved(self, entry: Entry) -> float:
        """Share of the reference head's parameters that is saved; below 0 if there are more."""
        return 1 - entry.values["head_params"] / self.reference.values["head_params"]


def sizing_study(  # noqa: PLR0913 - what is compared, and how strictly
    trials: Iterable[Trial],
    reference: Reference,
    *,
    quantization: Mapping[str, Value] | None = None,
    keep: Sequence[str] = ("accuracy",),
    margin: float = 0.02,
    alpha: float = 0.05,
    head_saving: float = HEAD_SAVING,
) -> Study:
    """Compare all smaller networks of a sweep with its reference.

    Args:
        trials: Complete trials.
        reference: The full-size network, once a seed.
        quantization: What the sweep fixes for trials that sample no bits.
        keep: Accuracies that must not be worse.
        margin: Largest loss that does not matter.
        alpha: Accepted probability of calling one network or more "not worse" that is.
        head_saving: Share of the head's parameters to be saved at least, in (0, 1).

    Raises:
        UsageError: A number is out of range, or a value is not measured image by image.
        OrchestratorError: The reference's answers are not known.
    """
    try:
        fraction(head_saving, "head_saving")
    except ValueError as error:
        raise UsageError(f"The study cannot be made: {error}") from None
    selection = smallest(
        trials, reference, by="memory_bytes", keep=keep, margin=margin, alpha=alpha
    )
    fixed = quantization or {}
    full = _entry(Role.REFERENCE, reference.trials, None)
    entries = (full, *(_entry(_role(c, fixed), c.trials, c) for c in selection.comparisons))
    study = Study(selection, head_saving, entries, None, ())
    found = next((entry for entry in entries[1:] if _is_found(study, entry)), None)
    if found is None:
        return study
    return Study(selection, head_saving, entries, found, _robustness(found, reference, margin))


def _is_found(study: Study, entry: Entry) -> bool:
    comparison = entry.comparison
    if comparison is None or "head_params" not in entry.values:
        return False
    saves_enough = study.saved(entry) >= study.head_saving
    return saves_enough and comparison.p_adjusted <= study.selection.alpha


def _role(comparison: Comparison, fixed: Mapping[str, Value]) -> Role:
    params = {**fixed, **comparison.trials[0].params}
    bits = [value for name, value in params.items() if name == "fc_bits" or _is_bits(name)]
    return Role.QUANTIZED if any(value != _FLOAT_BITS for value in bits) else Role.SIZED


def _is_bits(name: str) -> bool:
    return name == "bits" or (name.startswith("bits_") and name[5:].isdecimal())


def _entry(role: Role, trials: Sequence[Trial], comparison: Comparison | None) -> Entry:
    shared = set.intersection(*(set(trial.values) for trial in trials))
    values = {
        name: statistics.fmean(trial.values[name] for trial in trials) for name in sorted(shared)
    }
    return Entry(role, tuple(trials), values, _interval(trials[0]), comparison)


def _interval(trial: Trial) -> Interval | None:
    try:
        right = outcomes_of(trial, "accuracy").right
    except NoAnswersError:
        return None
    return accuracy_interval(int(right.sum()), len(right))


def _robustness(found: Entry, reference: Reference, margin: float) -> tuple[RobustComparison, ...]:
    """Every accuracy under attack that both were measured by, on the same images."""
    kept: list[Kept] = []
    for name in found.values:
        if name.startswith(_ROBUST) and all(name in trial.values for trial in reference.trials):
            try:
                kept.append(compare_value(found.trials, reference, name, margin))
            except (NoAnswersError, UsageError):
                # Measured, but not image by image for both, so that it cannot be paired.
                continue
    adjusted = holm([each.p_mcnemar for each in kept]).tolist() if kept else []
    return tuple(
        RobustComparison(each, p, *_over_seeds(each.name, found.trials, reference))
        for each, p in zip(kept, adjusted, strict=True)
    )


def _over_seeds(
    name: str, trials: Sequence[Trial], reference: Reference
) -> tuple[float | None, float | None]:
    ours = [trial.values[name] for trial in trials]
    theirs = [trial.values[name] for trial in reference.trials]
    if len(ours) < 2:
        return None, None
    try:
        return paired_t(ours, theirs), wilcoxon(ours, theirs)
    except ValueError:
        # All differences are the same: there is no spread to judge them by.
        return None, None
