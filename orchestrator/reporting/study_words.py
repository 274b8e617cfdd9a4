"""What a sizing study found, in sentences and rows; whichever way it went."""

from collections.abc import Iterator

from orchestrator.objectives import known_direction
from orchestrator.reporting.formats import NOTHING, human, human_params, label
from orchestrator.reporting.verdict import p_value, reason_of, refusal_of
from orchestrator.study import Entry, RobustComparison, Study

# What is shown of each network, where it was measured.
_SIZES = ("params", "head_params", "head_bytes", "backbone_bytes", "memory_bytes", "storage_bytes")
_FURTHER = ("robust_accuracy", "deepfool_perturbation", "masked_gradient_signs")


def verdict_of(study: Study) -> str:
    """The study in a few sentences."""
    selection, saving = study.selection, study.head_saving
    if study.found is None:
        why = refusal_of(selection) if selection.chosen is None else _too_large(study)
        return (
            f"No network was found whose head is {100 * saving:.0f} % smaller and which is shown "
            f"not to be worse. {why}"
        )
    found, comparison = study.found, study.found.comparison
    if comparison is None:
        raise ValueError("the reference cannot be what was found")
    head = (
        f"Its head has {100 * study.saved(found):.0f} % fewer parameters "
        f"({human('head_params', found.values['head_params'])} instead of "
        f"{human('head_params', study.reference.values['head_params'])})."
    )
    return " ".join([reason_of(selection, comparison), head, *_robustness(study)])


def headings_of(study: Study) -> list[str]:
    """Names of the columns of `rows_of`."""
    return [
        "trial",
        "network",
        "parameters",
        *map(label, _shown(study)),
        "p, after Holm",
        "verdict",
    ]


def rows_of(study: Study) -> Iterator[list[str]]:
    """One row of texts a network, the reference first."""
    for entry in study.entries:
        values = [_value(entry, name) for name in _shown(study)]
        configuration = human_params(entry.trials[0].params) or "full head, float weights"
        number = str(entry.number) if len(entry.trials) == 1 else _numbers(entry)
        yield [number, entry.role.value, configuration, *values, *_judged(study, entry)]


def robust_rows(study: Study) -> Iterator[list[str]]:
    """One row of texts for each accuracy under attack of the network that was found."""
    for each in study.robustness:
        kept = each.kept
        low, high = 100 * kept.interval.low, 100 * kept.interval.high
        yield [
            label(kept.name),
            human(kept.name, kept.reference),
            human(kept.name, kept.candidate),
            f"{100 * (kept.candidate - kept.reference):+.1f} points [{low:+.1f}, {high:+.1f}]",
            str(kept.images),
            p_value(each.p_adjusted),
            NOTHING if each.p_t is None else p_value(each.p_t),
            NOTHING if each.p_wilcoxon is None else p_value(each.p_wilcoxon),
        ]


ROBUST_HEADINGS = (
    "attack",
    "reference",
    "found",
    "difference [95 %]",
    "images",
    "McNemar, after Holm",
    "paired t",
    "Wilcoxon",
)


def _shown(study: Study) -> list[str]:
    """Values that the reference and some other network have, in a fixed order."""
    measured = {name for entry in study.entries for name in entry.values}
    further = sorted(
        name for name in measured if name.startswith(_FURTHER) and known_direction(name)
    )
    return [*(n for n in _SIZES if n in measured), "accuracy", *further]


def _value(entry: Entry, name: str) -> str:
    text = human(name, entry.values.get(name))
    if name != "accuracy" or entry.accuracy is None:
        return text
    return f"{text} [{100 * entry.accuracy.low:.1f}, {100 * entry.accuracy.high:.1f}]"


def _judged(study: Study, entry: Entry) -> list[str]:
    comparison = entry.comparison
    if comparison is None:
        return [NOTHING, "compared with"]
    passed = comparison.p_adjusted <= study.selection.alpha
    verdict = "not measurably worse" if passed else "not shown to be as good"
    return [p_value(comparison.p_adjusted), "found" if entry is study.found else verdict]


def _numbers(entry: Entry) -> str:
    return ", ".join(str(trial.number) for trial in entry.trials)


def _too_large(study: Study) -> str:
    chosen = study.selection.chosen
    if chosen is None:
        return ""
    entry = next(entry for entry in study.entries if entry.comparison == chosen)
    return (
        f"The smallest that is not measurably worse, trial {entry.number}, saves "
        f"{100 * study.saved(entry):.0f} % of the head's parameters."
    )


def _robustness(study: Study) -> Iterator[str]:
    if not study.robustness:
        yield "Its robustness was not measured image by image, so that nothing is said of it."
    for each in study.robustness:
        yield _told(each, study.selection.alpha)


def _told(each: RobustComparison, alpha: float) -> str:
    kept = each.kept
    change = kept.candidate - kept.reference
    figures = (
        f"from {human(kept.name, kept.reference)} to {human(kept.name, kept.candidate)} "
        f"({p_value(each.p_adjusted)})"
    )
    if each.p_adjusted > alpha:
        return f"{label(kept.name).capitalize()} went {figures}: no more than chance would do."
    return f"{label(kept.name).capitalize()} {'rose' if change > 0 else 'fell'} {figures}."
