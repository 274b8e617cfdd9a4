"""The result of a comparison with the reference, in sentences that claim only what was tested."""

from enum import StrEnum
from statistics import fmean

from orchestrator.analysis.comparison import Comparison, Kept, Selection
from orchestrator.analysis.statistics.equivalence import PairedCounts, not_worse
from orchestrator.quantities import human, label


class Finding(StrEnum):
    """What the tests show about a configuration; the same words wherever it is shown."""

    NOT_WORSE = "not measurably worse"
    SLIGHTLY_WORSE = "worse, but by less than the margin"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"


def finding_of(selection: Selection, comparison: Comparison) -> Finding:
    """Classify a configuration: by the margin first, then by whether a loss is beyond chance.

    >>> from orchestrator.analysis.comparison import Reference, Selection
    >>> from orchestrator.analysis.statistics.intervals import Interval
    >>> from orchestrator.trials import Trial, TrialState
    >>> whole = Reference((Trial("digits", 0, {}, 0, TrialState.COMPLETE),))
    >>> kept = Kept("accuracy", 0.90, 0.91, 500, Interval(-0.02, 0.01, 0.95), 0.03, None, 0.4, 0.1)
    >>> small = Comparison((), 22_400, (kept,), p_adjusted=0.03)
    >>> finding_of(Selection(whole, "memory_bytes", 0.02, 0.05, (small,), (), 1), small).value
    'not measurably worse'
    """
    is_worse = _is_worse(comparison, selection.alpha)
    if comparison.p_adjusted <= selection.alpha:
        return Finding.SLIGHTLY_WORSE if is_worse else Finding.NOT_WORSE
    return Finding.WORSE if is_worse else Finding.INCONCLUSIVE


def reason_of(selection: Selection, chosen: Comparison) -> str:
    """Explain why a configuration was chosen: figures, margin, test, images and seeds."""
    reference, by = selection.reference, selection.by
    size = reference.values[by]
    sentences = [
        f"Trial {chosen.trials[0].number} ({human(by, chosen.size)}) is "
        f"{100 * (1 - chosen.size / size):.0f} % smaller than the reference (trial "
        f"{reference.number}, {human(by, size)}) and {_verdict(selection, chosen)}: "
        f"{_figures(chosen)}.",
        f"Non-inferior at a margin of {points(selection.margin)} points: "
        f"{p_value(chosen.p_adjusted)} {corrected(selection)} ({_tests(selection)}).",
        *_on_test(selection, chosen),
        *_left_out(selection),
    ]
    return " ".join(sentences)


def refusal_of(selection: Selection) -> str:
    """Explain why nothing was chosen, and which configuration came nearest.

    >>> from orchestrator.analysis.comparison import Reference
    >>> from orchestrator.trials import Trial, TrialState
    >>> trial = Trial("digits", 0, {}, 0, TrialState.COMPLETE, values={"memory_bytes": 60e3})
    >>> nothing = Selection(Reference((trial,)), "memory_bytes", 0.02, 0.05, (), (), 0)
    >>> refusal_of(nothing).partition(" than ")[0]
    'No complete trial with a smaller memory'
    """
    reference, by = selection.reference, selection.by
    size = human(by, reference.values[by])
    if not selection.eligible:
        within = " within the constraints and conditions" if selection.comparisons else ""
        sentences = [
            f"No complete trial{within} with a smaller {label(by)} than the reference (trial "
            f"{reference.number}, {size}) could be compared with it."
        ]
        return " ".join([*sentences, *_left_out(selection)])
    nearest = min(selection.eligible, key=lambda each: each.p)
    sentences = [
        f"No smaller trial is shown to be not worse than the reference (trial {reference.number}, "
        f"{size}) on validation, at a margin of {points(selection.margin)} points and alpha "
        f"{selection.alpha:g} {corrected(selection)} ({_tests(selection)}).",
        f"Nearest came trial {nearest.trials[0].number} ({human(by, nearest.size)}): "
        f"{_figures(nearest)}; {p_value(nearest.p_adjusted)}.",
        *_no_difference(selection, nearest),
        *_out_of_reach(selection),
        *_left_out(selection),
    ]
    return " ".join(sentences)


def _verdict(selection: Selection, chosen: Comparison) -> str:
    # Within the margin a difference may still be beyond chance; the verdict then says so.
    if finding_of(selection, chosen) is Finding.SLIGHTLY_WORSE:
        return f"worse on validation, but by less than {points(selection.margin)} points"
    return "not measurably worse on validation"


def _is_worse(comparison: Comparison, alpha: float) -> bool:
    """Return whether some kept value is lower beyond chance, however small the difference."""
    return any(
        kept.interval.high < 0 or (kept.p_mcnemar <= alpha and kept.candidate < kept.reference)
        for kept in comparison.kept
    )


def _figures(comparison: Comparison) -> str:
    return "; ".join(_figure(kept) for kept in comparison.kept)


def _figure(kept: Kept) -> str:
    low, high = kept.interval.low, kept.interval.high
    return (
        f"{label(kept.name)} {human(kept.name, kept.candidate)} against "
        f"{human(kept.name, kept.reference)} (difference "
        f"{100 * (kept.candidate - kept.reference):+.1f} points, "
        f"{100 * kept.interval.level:.0f} % interval [{100 * low:+.1f}, {100 * high:+.1f}], "
        f"{kept.images} images, McNemar {p_value(kept.p_mcnemar)})"
    )


def _tests(selection: Selection) -> str:
    seeds = len(selection.reference.trials)
    if seeds == 1:
        return "Tango's one-sided score test; one seed, so nothing is said of others"
    return (
        f"the larger of Tango's one-sided score test over the images and a one-sided t-test over "
        f"{seeds} seeds; figures are means over them, McNemar's test is of the first"
    )


def _on_test(selection: Selection, chosen: Comparison) -> list[str]:
    """Describe the same values on the test set: means over the seeds that were measured there."""
    told = []
    for kept in chosen.kept:
        name = f"test_{kept.name}"
        ours = [trial.values[name] for trial in chosen.trials if name in trial.values]
        theirs = [t.values[name] for t in selection.reference.trials if name in t.values]
        if ours and len(ours) == len(theirs):
            told.append(
                f"{label(kept.name)} {human(name, fmean(ours))} against "
                f"{human(name, fmean(theirs))}"
            )
    return [f"On test, which had no say in this: {', '.join(told)}."] if told else []


def _no_difference(selection: Selection, nearest: Comparison) -> list[str]:
    """Say so if the difference may be chance: absence of evidence refutes nothing."""
    if finding_of(selection, nearest) is not Finding.INCONCLUSIVE:
        return []
    return ["This is inconclusive: that it is worse is not shown either."]


def _out_of_reach(selection: Selection) -> list[str]:
    """Say so if not even the reference's own answers would have passed."""
    images = min(kept.images for kept in selection.comparisons[0].kept)
    least = min(1.0, selection.family * not_worse(PairedCounts(images, 0, 0), selection.margin))
    if least <= selection.alpha:
        return []
    return [
        f"With {images} images not even a copy of the reference would pass ({p_value(least)}): "
        f"compare fewer trials, on more images, or accept a larger margin."
    ]


def _left_out(selection: Selection) -> list[str]:
    if not selection.left_out:
        return []
    numbers = ", ".join(map(str, selection.left_out))
    return [
        f"Not compared, for want of their answers or of a seed of the reference: trials {numbers}."
    ]


def corrected(selection: Selection) -> str:
    """Describe the correction: for all that was trained, whatever may be chosen.

    >>> from orchestrator.analysis.comparison import Reference
    >>> from orchestrator.trials import Trial, TrialState
    >>> whole = Reference((Trial("digits", 0, {}, 0, TrialState.COMPLETE),))
    >>> corrected(Selection(whole, "memory_bytes", 0.02, 0.05, (), (), family=12))
    'after Holm over 12 configurations trained, 0 of them compared'
    """
    made, family = len(selection.comparisons), selection.family
    if family > made:
        return f"after Holm over {family} configurations trained, {made} of them compared"
    return f"after Holm over {made} comparison{'s' if made > 1 else ''}"


def points(margin: float) -> str:
    """Write a margin in points.

    >>> points(0.02)
    '2'
    """
    return f"{100 * margin:.3g}"


def p_value(value: float) -> str:
    """Write a p-value as it is printed.

    >>> p_value(0.0123), p_value(0.00001)
    ('p = 0.012', 'p < 0.001')
    """
    if value < 0.001:
        return "p < 0.001"
    return f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"
