"""The tables of the reuse study, as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from orchestrator.analysis.reuse_analysis import ReuseReport
from orchestrator.analysis.reuse_verdict import verdict
from orchestrator.analysis.statistics.corrections import holm
from orchestrator.analysis.statistics.intervals import mean_interval
from orchestrator.analysis.statistics.paired import paired_t

INTRODUCTION = """# Which kernels are worth reusing, and with how few images?

Made by `python benchmarks/reuse_study.py SHARED_DATA FOLDER`, on one thread, torch {torch}.

The question of Wang et al., arXiv 2008.03411, whose thresholds and rule no source names: those of
[the guide](../guides/reuse-kernels.md) are a proposal. Networks are trained that reuse all kernels
of a source (*all*) or none (*none*), everything trained, and measured on {test} test images (250
of imagenette). Some cells are also judged as `paretune analyze reuse SOURCE finetuned` does, on
validation images; networks that follow the verdict (*judged*) are then trained with the seeds of
*all* and *none*, which are not those that judged.

**Decided before any result was looked at**, except those of a pilot on cifar_resnet20, which chose
the rate: {epochs} epochs of AdamW in batches of {batch}, a peak rate of {rate:g} on a cosine,
{seeds} seeds, {val} validation images (100 of imagenette). Sources are the shared weights:
CIFAR-10 for the ResNets, ImageNet for the others. Inputs have 16 pixels for the ResNets, 48 for
squeezenet1_0 and 32 for mobilenet_v2.

**Limits.** Three seeds give a paired test two degrees of freedom. All seeds train on the same few
images, so that they vary the start and the order, not the data. Inputs are smaller than those that
the kernels were trained on, which costs them something. The judge's target is the source,
fine-tuned on the same images."""

Row = tuple[Any, ReuseReport | None, Mapping[str, np.ndarray]]
FATES = ("freeze", "tune", "reinitialize")


def fates(report: ReuseReport, mode: str) -> dict[str, str]:
    """Return the verdict that a mode gives, by the command's rule."""
    return {
        layer.name: verdict(
            network=report.network.reusable,
            works=layer.tests[mode].works,
            close=layer.close,
            may_freeze=mode != "tune",
            helps=report.network.helps,
        )
        for layer in report.layers
    }


def mode_table(
    name: str,
    verdicts: Mapping[str, Mapping[str, str]],
    trained: Mapping[str, np.ndarray],
    report: ReuseReport,
) -> Iterator[str]:
    """Yield what each mode advises, and how well networks do that follow it."""
    yield f"\n## Which mode should decide? {name}\n"
    yield "| policy | freeze | tune | re-initialize | test | less all, 95 % interval | p |"
    yield "|---|--:|--:|--:|--:|---|--:|"
    for policy, found in trained.items():
        given = list(verdicts.get(policy, {}).values())
        label = f"judged by `{policy}`" if given else policy
        counts = [str(given.count(fate)) if given else "" for fate in FATES]
        cells = [label, *counts, accuracy(found)]
        cells += ["", ""] if policy == "all" else difference(found, trained["all"])
        yield f"| {' | '.join(cells)} |"
    yield "\nPoints that a layer loses, by mode, and its RMSE as a share of the null:\n"
    yield "| layer | " + " | ".join(report.layers[0].tests) + " | RMSE |"
    yield "|---" + "|--:" * (len(report.layers[0].tests) + 1) + "|"
    for layer in report.layers:
        drops = " | ".join(f"{100 * test.drop:.1f}" for test in layer.tests.values())
        yield f"| {layer.name} | {drops} | {layer.distance.ratio:.2f} |"


def cell_tables(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the judgements, and what became of those who followed them."""
    yield "\n## Is the network reusable?\n"
    yield "Validation accuracy. Frozen kernels: random, the source's, the target's own; p of the"
    yield "source's against random ones. Everything trained: from scratch, from the source, p of"
    yield "the difference. Paired t tests over seeds, not corrected.\n"
    yield (
        "| network | target | a class | random | source | own | p | retention | scratch | tuned "
        "| p | retention, scratch | reusable |"
    )
    yield "|---|---|--:" + "|--:" * 9 + "|---|"
    for cell, report, _ in rows:
        if report is None:
            continue
        found = report.network
        cells = [cell.backbone, cell.target, str(cell.count)]
        cells += [accuracy(np.array(getattr(found, n))) for n in ("random", "reuse", "own")]
        cells += [p_text(found.p_random), ratio(found.retention)]
        cells += [accuracy(np.array(getattr(found, n))) for n in ("scratch", "tuned")]
        cells += [p_text(found.p_tuned), ratio(found.retention_scratch)]
        yield f"| {' | '.join([*cells, 'yes' if found.reusable else 'no'])} |"
    yield from reuse_table(rows)
    yield from verdict_table(rows)


def reuse_table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what reusing all kernels is worth against reusing none."""
    yield "\n## Does reuse pay?\n"
    yield "Test accuracy, everything trained; p of a paired t test, after Holm's correction over"
    yield "the rows.\n"
    yield "| network | target | a class | rate | all | none | all less none, 95 % interval | p |"
    yield "|---|---|--:|--:|--:|--:|---|--:|"
    corrected = adjusted([p_of(found["all"], found["none"]) for _, _, found in rows])
    for (cell, _, found), p in zip(rows, corrected, strict=True):
        told = difference(found["all"], found["none"])[0]
        cells = [cell.backbone, cell.target, str(cell.count), f"{cell.rate:g}"]
        cells += [accuracy(found[name]) for name in ("all", "none")]
        yield f"| {' | '.join([*cells, told, p_text(p)])} |"


def verdict_table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what following the verdict is worth against reusing all kernels."""
    judged = [(cell, report, found) for cell, report, found in rows if report is not None]
    yield "\n## Does following the verdict pay?\n"
    yield "Likewise; p after Holm's correction over these rows.\n"
    yield (
        "| network | target | images a class | freeze, tune, re-initialize | judged "
        "| judged less all, 95 % interval | p |"
    )
    yield "|---|---|--:|---|--:|---|--:|"
    corrected = adjusted([p_of(found["replace"], found["all"]) for _, _, found in judged])
    for (cell, report, found), p in zip(judged, corrected, strict=True):
        given = list(fates(report, "replace").values())
        counts = ", ".join(str(given.count(fate)) for fate in FATES)
        told = difference(found["replace"], found["all"])[0]
        cells = [cell.backbone, cell.target, str(cell.count), counts]
        yield f"| {' | '.join([*cells, accuracy(found['replace']), told, p_text(p)])} |"


def accuracy(found: np.ndarray) -> str:
    """Write mean and standard deviation in per cent."""
    return f"{100 * found.mean():.1f} ± {100 * found.std(ddof=1):.1f}"


def difference(one: np.ndarray, other: np.ndarray) -> list[str]:
    """Write the difference in points with its interval, and the p-value of a paired t test."""
    told = f"{100 * (one - other).mean():+.1f}"
    try:
        interval = mean_interval(list(one), list(other))
    except ValueError:
        return [told, "-"]
    low, high = (f"{100 * end:+.1f}" for end in (interval.low, interval.high))
    return [f"{told}, {low} to {high}", p_text(p_of(one, other))]


def p_of(one: np.ndarray, other: np.ndarray) -> float | None:
    """Compute the p-value of a paired t test; None if all differences are equal."""
    try:
        return paired_t(list(one), list(other))
    except ValueError:
        return None


def adjusted(values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for their number (Holm)."""
    known = [value for value in values if value is not None]
    corrected = iter(holm(known).tolist() if known else [])
    return [None if value is None else next(corrected) for value in values]


def p_text(value: float | None) -> str:
    """Write a p-value."""
    if value is None:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def ratio(value: float | None) -> str:
    """Write a retention."""
    return "-" if value is None else f"{value:.2f}"
