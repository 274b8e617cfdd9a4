"""Which configurations are not measurably worse than a reference, and the smallest of them.

The evidence is paired: the same validation images, the same seeds. Each configuration has to
refute that it is worse by the margin or more on *every* kept value, so that its p-value is the
largest of theirs (an intersection-union test). Holm's correction pays for trying several: for all
that were trained, also those that constraints on measured values, or conditions, exclude
afterwards. Correcting only for configurations selected by their results would bias the tests.
"""

import json
import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.analysis.outcomes import NoAnswersError, Outcomes, outcomes_of
from orchestrator.analysis.statistics.corrections import holm
from orchestrator.analysis.statistics.equivalence import (
    PairedCounts,
    difference_interval,
    equivalent,
    not_worse,
    seeds_not_worse,
)
from orchestrator.analysis.statistics.intervals import Interval
from orchestrator.analysis.statistics.paired import mcnemar
from orchestrator.analysis.statistics.validation import fraction
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.quantities import quantity
from orchestrator.trials import Trial, TrialState, Value


@dataclass(frozen=True, slots=True)
class Reference:
    """The baseline of all comparisons: the full-size network, once per seed.

    Attributes:
        trials: Complete trials of one configuration, at least one, in order of their seeds.
    """

    trials: tuple[Trial, ...]

    def __post_init__(self) -> None:
        """Check that there is something to compare with.

        Raises:
            OrchestratorError: There is no trial, or one is not complete.
        """
        if not self.trials or any(t.state is not TrialState.COMPLETE for t in self.trials):
            states = ", ".join(f"trial {t.number} is {t.state.value}" for t in self.trials)
            raise OrchestratorError(
                f"A reference needs complete trials, at least one; {states or 'none was given'}."
            )

    @property
    def first(self) -> Trial:
        """The trial of the first seed."""
        return self.trials[0]

    @property
    def number(self) -> int:
        """Number of that trial."""
        return self.first.number

    @property
    def values(self) -> dict[str, float]:
        """Values of that trial."""
        return dict(self.first.values)


@dataclass(frozen=True, slots=True)
class Kept:
    """One value of a candidate compared with that of the reference; means over the seeds.

    Attributes:
        name: Name of the value.
        candidate: The candidate's value.
        reference: The reference's value.
        images: Number of images on which both were measured.
        interval: Confidence interval of the difference, not corrected for multiple comparisons.
        p_images: One-sided p-value of "worse by the margin", over the images.
        p_seeds: The same over the seeds; None for a single seed, which shows no spread.
        p_mcnemar: Two-sided p-value of "they are right equally often", with the first seed.
        p_equivalent: p-value of "they differ by the margin or more", either way, over the images
            and, where there are several, over the seeds.
    """

    name: str
    candidate: float
    reference: float
    images: int
    interval: Interval
    p_images: float
    p_seeds: float | None
    p_mcnemar: float
    p_equivalent: float

    @property
    def p(self) -> float:
        """The larger of the p-values over images and over seeds: both have to refute."""
        return self.p_images if self.p_seeds is None else max(self.p_images, self.p_seeds)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A configuration against the reference.

    Attributes:
        trials: Its trials, one per seed of the reference.
        size: The value that is minimised; the largest among its trials.
        kept: The comparison of each value that is to be kept.
        p_adjusted: p-value of the configuration after Holm's correction.
        allowed: Whether it may be chosen.
    """

    trials: tuple[Trial, ...]
    size: float
    kept: tuple[Kept, ...]
    p_adjusted: float = 1.0
    allowed: bool = True

    @property
    def p(self) -> float:
        """One-sided p-value of "worse by the margin on some kept value"."""
        return max(kept.p for kept in self.kept)


@dataclass(frozen=True, slots=True)
class Selection:
    """All comparisons that were made, and their settings.

    Attributes:
        reference: The baseline of the comparisons.
        by: Name of the value that is minimised.
        margin: Largest loss that does not matter.
        alpha: Accepted probability of at least one wrong "not worse".
        comparisons: Smallest configuration first.
        left_out: Smaller trials that could not be compared: a seed or their answers are missing.
        family: Number of configurations that the correction covers: all that were trained and are
            not known to be as large as the reference, compared or not.
    """

    reference: Reference
    by: str
    margin: float
    alpha: float
    comparisons: tuple[Comparison, ...]
    left_out: tuple[int, ...]
    family: int

    @property
    def eligible(self) -> tuple[Comparison, ...]:
        """The comparisons that may be chosen, smallest first."""
        return tuple(each for each in self.comparisons if each.allowed)

    @property
    def chosen(self) -> Comparison | None:
        """The smallest configuration that is not measurably worse, if there is one."""
        return next((c for c in self.eligible if c.p_adjusted <= self.alpha), None)


def smallest(  # noqa: PLR0913 - what is compared, and how strictly
    trials: Iterable[Trial],
    reference: Reference,
    *,
    by: str,
    keep: Sequence[str],
    margin: float,
    alpha: float,
    allowed: Container[tuple[str, int]] | None = None,
) -> Selection:
    """Compare all configurations that are smaller than the reference with it.

    Args:
        trials: All that were trained, to the end or until they were stopped; those of the
            reference are ignored.
        reference: The baseline.
        by: Name of the value that is minimised.
        keep: Names of accuracies that are to be kept.
        margin: Largest loss that does not matter, in (0, 1).
        alpha: In (0, 1).
        allowed: Sweep and number of the trials that may be chosen: those within constraints and
            conditions, which may concern measured values. None for all.

    Raises:
        UsageError: Nothing is to be kept, margin or alpha is outside of (0, 1), or a name is not
            measured.
        OrchestratorError: The reference's answers are not known.
    """
    names = _checked(reference, by, keep, margin, alpha)
    known = [{name: outcomes_of(trial, name) for name in names} for trial in reference.trials]
    limit = min(trial.values[by] for trial in reference.trials)
    made: list[Comparison] = []
    left_out: list[int] = []
    family = 0
    for group in _configurations(trials, reference):
        size = max((trial.values[by] for trial in group if by in trial.values), default=-math.inf)
        if size >= limit:
            # If the size is only known by measuring, the choice was made after seeing it, so the
            # configuration still counts towards the correction.
            family += not quantity(by).known_before_training
            continue
        family += 1
        complete = [trial for trial in group if trial.state is TrialState.COMPLETE]
        try:
            replicates = _paired(complete, reference)
            kept = _kept(replicates, reference, known, margin)
        except (NoAnswersError, UnknownNameError):
            # The reference has this name, so it is this trial in which it was not measured.
            left_out += [trial.number for trial in complete]
        else:
            may = allowed is None or all((t.sweep, t.number) in allowed for t in replicates)
            made.append(Comparison(replicates, size, kept, allowed=may))
    ordered = sorted(
        _corrected(made, family), key=lambda each: (each.size, each.p, each.trials[0].number)
    )
    return Selection(reference, by, margin, alpha, tuple(ordered), tuple(sorted(left_out)), family)


def _corrected(made: Sequence[Comparison], family: int) -> list[Comparison]:
    """Correct for all that were trained; those that could not be compared count with p = 1."""
    if not made:
        return []
    p_values = [*(each.p for each in made), *[1.0] * (family - len(made))]
    return [
        replace(each, p_adjusted=p) for each, p in zip(made, holm(p_values).tolist(), strict=False)
    ]


def compare_value(trials: Sequence[Trial], reference: Reference, name: str, margin: float) -> Kept:
    """Compare one value of a configuration with that of the reference.

    Args:
        trials: One trial per seed of the reference, in the order of its seeds.
        reference: The baseline.
        name: Name of an accuracy.
        margin: Largest loss that does not matter, in (0, 1).

    Raises:
        UnknownNameError: The value is not measured image by image.
        NoAnswersError: The answers of a trial are not known, or belong to other images.
    """
    known = [{name: outcomes_of(trial, name)} for trial in reference.trials]
    (kept,) = _kept(trials, reference, known, margin)
    return kept


def _checked(
    reference: Reference, by: str, keep: Sequence[str], margin: float, alpha: float
) -> list[str]:
    names = [keep] if isinstance(keep, str) else list(dict.fromkeys(keep))
    if not names:
        raise UsageError("Say what is to be kept, for example accuracy.")
    if by not in reference.values:
        known = ", ".join(sorted(reference.values))
        raise UsageError(f"The reference has no value {by!r}, only {known}.")
    try:
        fraction(margin, "margin")
        fraction(alpha, "alpha")
    except ValueError as error:
        raise UsageError(f"The comparison cannot be made: {error} 0.02 is two points.") from None
    return names


def _configurations(trials: Iterable[Trial], reference: Reference) -> list[list[Trial]]:
    """Group the trials by configuration, without those of the reference."""
    own = {(trial.sweep, trial.number) for trial in reference.trials}
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        if trial.is_reference or (trial.sweep, trial.number) in own:
            continue
        params: dict[str, Value] = dict(trial.params)
        groups.setdefault((trial.sweep, json.dumps(params, sort_keys=True)), []).append(trial)
    return list(groups.values())


def _paired(group: Sequence[Trial], reference: Reference) -> tuple[Trial, ...]:
    """Find the trial of each seed of the reference.

    Raises:
        NoAnswersError: A seed has no trial; comparing the other seeds alone would be biased.
    """
    if not group:
        raise NoAnswersError("No trial of the configuration is complete.")
    by_seed = {trial.seed: trial for trial in group}
    missing = [trial.seed for trial in reference.trials if trial.seed not in by_seed]
    if missing:
        raise NoAnswersError(f"Trial {group[0].number} has no replicate with seed {missing[0]}.")
    return tuple(by_seed[trial.seed] for trial in reference.trials)


def _kept(
    replicates: Sequence[Trial],
    reference: Reference,
    known: Sequence[dict[str, Outcomes]],
    margin: float,
) -> tuple[Kept, ...]:
    found = []
    for name in known[0]:
        theirs = [outcomes[name] for outcomes in known]
        ours = [outcomes_of(trial, name) for trial in replicates]
        if not all(a.same_images(b) for a, b in zip(ours, theirs, strict=True)):
            raise NoAnswersError(
                f"Trial {replicates[0].number} answered other images than the reference."
            )
        found.append(_compared(name, ours, theirs, margin))
    return tuple(found)


def _compared(
    name: str, ours: Sequence[Outcomes], theirs: Sequence[Outcomes], margin: float
) -> Kept:
    right = np.stack([outcomes.right for outcomes in ours])
    expected = np.stack([outcomes.right for outcomes in theirs])
    counts = PairedCounts.of(right, expected)
    differences = right.mean(axis=1) - expected.mean(axis=1)
    over_seeds, same = None, equivalent(counts, margin)
    if len(ours) > 1:
        least = 1 / counts.images
        over_seeds = seeds_not_worse(differences, margin, resolution=least)
        same = max(same, over_seeds, seeds_not_worse(-differences, margin, resolution=least))
    return Kept(
        name,
        float(right.mean()),
        float(expected.mean()),
        counts.images,
        difference_interval(counts),
        not_worse(counts, margin),
        over_seeds,
        mcnemar(right[0], expected[0]),
        same,
    )
