"""The page of `pruning_matched.py`: curves, potentials, excess errors and tests."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from pruning_matched_settings import (
    BATCH,
    NETWORKS,
    RATE,
    SEVERITIES,
    SHIFTS,
    STARTS,
    STUDY,
    Settings,
)
from pruning_study import p_value

from orchestrator.analysis.statistics.intervals import mean_interval

Run = tuple[str, str, str, float, int]
Found = Mapping[Run, Mapping[str, float]]
Dense = Mapping[tuple[str, str, int], Mapping[str, float]]
DROP, CHANCE = 0.02, 0.1
TITLES = {"equal": "equal budget", "matched": "matched accuracy"}


def page(found: Found, dense: Dense, settings: Settings, cpus: int) -> str:
    """Write the page."""
    networks = list(dict.fromkeys(run[1] for run in found))
    ways = list(dict.fromkeys(run[0] for run in found))
    parts = [_introduction(networks, ways, settings)]
    for name in networks:
        seconds = sum(values["seconds"] for run, values in found.items() if run[1] == name)
        count = sum(run[1] == name for run in found)
        parts.append(
            f"\n## {name}\n\n{count} pruned trainings in {seconds / 60:.1f} minutes of one CPU of "
            f"{cpus}, which others kept busy; torch {torch.__version__}."
        )
        parts += ["\n".join(_way(found, dense, settings, name, way)) for way in ways]
    return "\n".join(parts)


def _curve(found: Found, name: str, way: str, start: str, images: str = "none") -> np.ndarray:
    """Accuracies: a row a seed, a column a sparsity."""
    own = [run for run in found if run[:3] == (way, name, start)]
    sparsities, seeds = sorted({run[3] for run in own}), sorted({run[4] for run in own})
    return np.array(
        [[found[way, name, start, s, seed][images] for s in sparsities] for seed in seeds]
    )


def _way(found: Found, dense: Dense, settings: Settings, name: str, way: str) -> Iterator[str]:
    sparsities = settings.sparsities[way]
    curves = {start: _curve(found, name, way, start) for start in STARTS}
    yield f"\n### {name}, {TITLES[way]}\n"
    if way == "matched":
        yield from _matched(dense, settings, name)
    yield "Test accuracy, mean over seeds, and its standard deviation:\n"
    yield "| start | " + " | ".join(f"{s:g}" for s in sparsities) + " | area under the curve |"
    yield "|---" * (len(sparsities) + 2) + "|"
    for start, own in curves.items():
        pairs = zip(own.mean(0), own.std(0, ddof=1), strict=True)
        cells = " | ".join(f"{mean:.3f} ± {spread:.3f}" for mean, spread in pairs)
        yield f"| {start} | {cells} | {_area(own, sparsities).mean():.3f} |"
    areas = [_area(own, sparsities) for own in curves.values()]
    yield f"\nAreas differ by {(areas[0] - areas[1]).mean():+.3f} (pre-trained less scratch, p"
    yield f"{p_value(*areas)}).\n"
    yield from _losses(curves, sparsities)
    yield from _shifts(found, settings, name, way)


def _matched(dense: Dense, settings: Settings, name: str) -> Iterator[str]:
    yield "Before the pruning, validation and test accuracy of the same seed, and steps:\n"
    yield "| seed | scratch | steps | pre-trained | steps |"
    yield "|--:|---|--:|---|--:|"
    for seed in settings.seeds:
        cells = []
        for start in ("scratch", "pretrained"):
            values = dense[name, start, seed]
            cells += [f"{values['val']:.3f}, {values['test']:.3f}", f"{values['steps']:.0f}"]
        yield f"| {seed} | {' | '.join(cells)} |"
    yield ""


def _losses(curves: Mapping[str, np.ndarray], sparsities: Sequence[float]) -> Iterator[str]:
    yield "Lost to pruning: accuracy at sparsity 0 less that of the same seed; *keeps* is what is"
    yield "left of what is above chance. Pre-trained less scratch, 95 % interval, paired t test:\n"
    yield "| sparsity | pre-trained loses | keeps | scratch loses | keeps | difference | p |"
    yield "|--:|--:|--:|--:|--:|---|--:|"
    for column, sparsity in list(enumerate(sparsities))[1:]:
        lost = [own[:, 0] - own[:, column] for own in curves.values()]
        cells = []
        for own, each in zip(curves.values(), lost, strict=True):
            kept = (own[:, column].mean() - CHANCE) / (own[:, 0].mean() - CHANCE)
            cells += [f"{each.mean():+.3f}", f"{kept:.0%}"]
        try:
            interval = mean_interval(*lost)
            width = f"{interval.low:+.3f} to {interval.high:+.3f}"
        except ValueError:
            width = "without a spread"
        difference = f"{(lost[0] - lost[1]).mean():+.3f}, {width}"
        yield f"| {sparsity:g} | {' | '.join(cells)} | {difference} | {p_value(*lost)} |"


def _shifts(found: Found, settings: Settings, name: str, way: str) -> Iterator[str]:
    sparsities = settings.sparsities[way]
    some = settings.shifted_images
    yield f"\nOn the first {some} test images, shifted: prune potential (largest"
    yield f"sparsity of the grid up to which mean accuracy is at most {DROP:g} lower) and excess"
    yield "error by sparsity, mean over seeds:\n"
    excess = [f"excess at {s:g}" for s in sparsities[1:]]
    columns = [f"{start}: {each}" for start in STARTS for each in ("potential", *excess)]
    yield "| images | severity | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 2) + "|"
    rows = [("not shifted", "", "some")]
    rows += [(s, str(v), f"{s}-{v}") for s in SHIFTS for v in SEVERITIES]
    for shift, severity, images in rows:
        cells = []
        for start in STARTS:
            plain, own = (_curve(found, name, way, start, each) for each in ("some", images))
            cells.append(f"{_potential(own, sparsities):g}")
            lost = (own[:, :1] - own[:, 1:]) - (plain[:, :1] - plain[:, 1:])
            cells += [f"{each:+.3f}" for each in lost.mean(0)]
        yield f"| {shift} | {severity} | {' | '.join(cells)} |"


def _area(accuracies: np.ndarray, sparsities: Sequence[float]) -> np.ndarray:
    """The area under accuracy over sparsity, by trapezoids, divided by its width; one a seed."""
    steps = np.diff(sparsities)
    middle = (accuracies[:, 1:] + accuracies[:, :-1]) / 2
    return np.asarray((middle * steps).sum(axis=1) / steps.sum())


def _potential(accuracies: np.ndarray, sparsities: Sequence[float]) -> float:
    means = accuracies.mean(axis=0)
    fine = np.minimum.accumulate(means >= means[0] - DROP)
    return float(np.array(sparsities)[fine].max())


_SOURCES = {
    "vgg11_bn": "vgg11_bn, a quarter as wide, was trained on some 6,500 images of CIFAR-10 for\n"
    "10 epochs, and goes to Fashion-MNIST.",
    "mobilenet_v2": "mobilenet_v2 was trained on ImageNet, and goes to CIFAR-10, at 32 pixels.",
}


_SHORT = """\
**A short run, which is no result**: it has fewer images, seeds and epochs than is said below.

"""


def _told(way: str, settings: Settings) -> str:
    sparsities = ", ".join(f"{each:g}" for each in settings.sparsities[way])
    if way == "equal":
        return f"""\
- *Equal budget*: pruned while trained, {settings.epochs} epochs of 1,200 images in batches of
  {BATCH}, AdamW, a peak rate of {RATE:g}. Sparsities {sparsities}."""
    return f"""\
- *Matched accuracy*: a network from scratch is trained for {settings.dense_epochs} epochs; the
  pre-trained one for 1, 2, 3, 4, 6 or 8, the fewest that give it the accuracy of the other on
  {settings.matching_images} validation images. Both are pruned for
  {settings.pruning_epochs} more; at sparsity 0 they are only trained on.
  Sparsities {sparsities}."""


def _introduction(networks: Sequence[str], ways: Sequence[str], settings: Settings) -> str:
    named = "" if list(networks) == [*NETWORKS] else f" --networks {' '.join(networks)}"
    named += "" if list(ways) == [*STUDY.sparsities] else f" --ways {' '.join(ways)}"
    if settings != STUDY:
        named += " --quick"
    told = "\n".join(_told(way, settings) for way in ways)
    sources = " ".join(_SOURCES[name] for name in networks)
    short = "" if settings == STUDY else _SHORT
    return f"""# Does pre-training help pruning at matched accuracy, and under shifts?

{short}Made by `python benchmarks/pruning_matched.py SHARED_DATA FOLDER{named}`.

[The first study](pruning.md) compared starts of very different accuracy, on a grid without a point
below 0.8, with weights from the same data. Here the pre-trained kernels are from other images.
{sources}

Single convolution weights are pruned by magnitude, each layer alike, on the one-cycle schedule;
each has three seeds.

{told}
- 500 test images. Shifts are those of CIFAR-10-C, severities
  {" and ".join(map(str, SEVERITIES))} of five. Excess error, as in *Lost in Pruning*
  (Liebenwein et al. 2021): what pruning costs on shifted images beyond what it costs on others.

**Limits.** The standard error of an accuracy is near 0.02, of one of shifted images near 0.035.
The same images measure every network, so that seeds vary the training only. A paired test of three
seeds has two degrees of freedom. Its p-values are not corrected for their number."""
