"""The result of a sizing study in sentences and rows, whether favourable or not."""

import math
from collections.abc import Iterator

from orchestrator.analysis.comparison import Selection
from orchestrator.analysis.sizing_study import Difference, Entry, Study
from orchestrator.analysis.statistics.intervals import Interval
from orchestrator.analysis.verdict import (
    Finding,
    finding_of,
    p_value,
    points,
    reason_of,
    refusal_of,
)
from orchestrator.quantities import NOTHING, human, human_params, label, quantity

# The values shown for each network, where measured.
_SIZES = ("params", "head_params", "head_bytes", "backbone_bytes", "memory_bytes", "storage_bytes")


def verdict_of(study: Study) -> str:
    """Summarise the study in a few sentences."""
    selection, saving = study.selection, study.head_saving
    shown = study.found or study.examined
    if shown is None or shown.comparison is None:
        return refusal_of(selection)
    wanted = f"whose head has {100 * saving:.0f} % fewer parameters"
    if study.found is not None:
        sentences = [reason_of(selection, shown.comparison), _head(study, shown)]
    elif selection.chosen is not None:
        sentences = [
            f"No network {wanted} is shown to be not worse.",
            reason_of(selection, shown.comparison),
            _head(study, shown),
        ]
    else:
        sentences = [f"No network {wanted} was found.", refusal_of(selection)]
    return " ".join([*sentences, *_robustness(study, shown)])


def headings_of(study: Study) -> list[str]:
    """Return the names of the columns of `rows_of`.

    >>> from orchestrator.analysis.comparison import Reference, Selection
    >>> from orchestrator.trials import Trial, TrialState
    >>> whole = Reference((Trial("digits", 0, {}, 0, TrialState.COMPLETE),))
    >>> selection = Selection(whole, "memory_bytes", 0.02, 0.05, (), (), 0)
    >>> headings_of(Study(selection, 0.8, (), None, None, ()))
    ['trial', 'network', 'parameters', 'verdict', 'accuracy']
    """
    return ["trial", "network", "parameters", "verdict", *map(label, _shown(study))]


def rows_of(study: Study) -> Iterator[list[str]]:
    """Yield one row of texts per network, the reference first."""
    for entry in study.entries:
        values = [_value(entry, name) for name in _shown(study)]
        configuration = human_params(entry.trials[0].params) or "full head, float weights"
        number = str(entry.number) if len(entry.trials) == 1 else _numbers(entry)
        yield [number, entry.role.value, configuration, _judged(study, entry), *values]


def difference_rows(study: Study) -> Iterator[list[str]]:
    """Yield one row of texts for each accuracy of the network that is examined."""
    for each in study.differences:
        kept = each.kept
        change = 100 * (kept.candidate - kept.reference)
        yield [
            label(kept.name),
            human(kept.name, kept.reference),
            human(kept.name, kept.candidate),
            f"{change:+.1f} points {_points(kept.interval)}",
            str(kept.images),
            NOTHING if each.over_seeds is None else _points(each.over_seeds),
            p_value(each.p_adjusted),
            p_value(each.p_same),
            p_value(kept.p_mcnemar),
            NOTHING if each.p_t is None else p_value(each.p_t),
            NOTHING if each.p_wilcoxon is None else p_value(each.p_wilcoxon),
            _shows(each, study.selection),
        ]


DIFFERENCE_HEADINGS = (
    "value",
    "reference",
    "this network",
    "difference [95 %]",
    "images",
    "over seeds [95 %]",
    "differs, after Holm",
    "within the margin (TOST), after Holm",
    "McNemar, first seed",
    "paired t",
    "Wilcoxon",
    "shows",
)


def _shown(study: Study) -> list[str]:
    """Select the values that the reference and another network have, in a fixed order."""
    measured = {name for entry in study.entries for name in entry.values}
    further = sorted(name for name in measured if quantity(name).is_attack)
    return ["accuracy", *(n for n in _SIZES if n in measured), *further]


def _value(entry: Entry, name: str) -> str:
    text = human(name, entry.values.get(name))
    if name != "accuracy" or entry.accuracy is None:
        return text
    return f"{text} [{100 * entry.accuracy.low:.1f}, {100 * entry.accuracy.high:.1f}]"


def _judged(study: Study, entry: Entry) -> str:
    comparison = entry.comparison
    if comparison is None:
        return "what others are compared with"
    finding = finding_of(study.selection, comparison)
    text = finding.value
    if finding is Finding.SLIGHTLY_WORSE:
        text = f"worse, but by less than {points(study.selection.margin)} points"
    saved = f", head {100 * study.saved(entry):.0f} % smaller" if entry is study.found else ""
    outside = "" if comparison.allowed else "; outside the constraints"
    return f"{text} ({p_value(comparison.p_adjusted)}){saved}{outside}"


def _points(interval: Interval) -> str:
    return f"[{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def _numbers(entry: Entry) -> str:
    return ", ".join(str(trial.number) for trial in entry.trials)


def _head(study: Study, entry: Entry) -> str:
    saved = study.saved(entry)
    if math.isnan(saved):
        return "The parameters of its head were not counted."
    return (
        f"Its head has {100 * saved:.0f} % fewer parameters "
        f"({human('head_params', entry.values['head_params'])} instead of "
        f"{human('head_params', study.reference.values['head_params'])})."
    )


def _robustness(study: Study, entry: Entry) -> Iterator[str]:
    attacked = [each for each in study.differences if each.kept.name != "accuracy"]
    if not attacked:
        yield f"Of the robustness of trial {entry.number} nothing was measured image by image."
    for each in attacked:
        yield _told(each, study.selection)


def _told(each: Difference, selection: Selection) -> str:
    """Describe an attacked accuracy. No evidence of a difference is not evidence of equality."""
    kept, shown = each.kept, _shows(each, selection)
    name, margin = label(kept.name).capitalize(), points(selection.margin)
    figures = f"from {human(kept.name, kept.reference)} to {human(kept.name, kept.candidate)}"
    within = f"within {margin} points"
    if shown in ("rose", "fell"):
        by = f", {within}" if each.p_same <= selection.alpha else ""
        return f"{name} {shown} {figures} ({p_value(each.p_adjusted)}){by}."
    if shown == "same":
        return f"{name} stayed {within}: {figures} (equivalence {p_value(each.p_same)})."
    return (
        f"{name} went {figures}: inconclusive (difference {p_value(each.p_adjusted)}, equivalence "
        f"{within} {p_value(each.p_same)})."
    )


def _shows(each: Difference, selection: Selection) -> str:
    if each.p_adjusted <= selection.alpha:
        return "rose" if each.kept.candidate > each.kept.reference else "fell"
    return "same" if each.p_same <= selection.alpha else Finding.INCONCLUSIVE.value
