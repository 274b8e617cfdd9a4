"""The five-axes study: width, bits, sparsity, depth and reuse together, beside width and bits.

    python examples/studies/five_axes.py WEIGHTS.th CIFAR10.npz FOLDER > report.md

Both sides are sweeps of `examples/studies/five_axes.yaml`, one of them without three of its axes,
with equal trials and the same seeds, on one thread. Everything is kept in the folder, so that an
interrupted study goes on where it was.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from orchestrator import load_sweep, run
from orchestrator.analysis.reuse_analysis import analyze_reuse
from orchestrator.analysis.statistics.intervals import mean_interval
from orchestrator.analysis.statistics.paired import paired_t
from orchestrator.execution.inline import InlineExecutor
from orchestrator.pareto.hypervolume import HypervolumeScale, complete_in_order
from orchestrator.pareto.losses import loss_matrix
from orchestrator.queries.sweeps import open_sweep
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.trials import Trial
from trainers.reuse.arms import Budget
from trainers.stages.cache import StageCache

SWEEP = Path(__file__).with_name("five_axes.yaml")
FIXED = ("pruning_sparsity", "depth", "policy")
SIDES = ("width and bits", "five axes")
SEEDS = (0, 1, 2)
# Whether the accuracy is of test images, which only members of a front have, and whether bytes
# count by their logarithm.
SCALES = {
    "validation, log bytes": (False, True),
    "test, log bytes": (True, True),
    "validation, bytes": (False, False),
}


@dataclass(frozen=True, slots=True)
class Searched:
    """One sweep.

    Attributes:
        side: A word of `SIDES`.
        seed: Its seed.
        spec: What it searched.
        trials: What it measured, in the order in which trials ended.
        members: Numbers of the trials of its front.
    """

    side: str
    seed: int
    spec: SweepSpec
    trials: tuple[Trial, ...]
    members: frozenset[int]

    def losses(self, what: str) -> np.ndarray:
        """Return accuracy and bytes as losses, of all trials or of the front's.

        Args:
            what: A key of `SCALES`.
        """
        test, by_log = SCALES[what]
        chosen = [t for t in self.trials if not test or t.number in self.members]
        named = {"accuracy": "test_accuracy" if test else "accuracy"}
        values = [{name: t.values[named.get(name, name)] for name in self.names} for t in chosen]
        found = loss_matrix(values, self.spec.directed)
        if by_log:
            column = self.names.index("memory_bytes")
            found[:, column] = np.log10(found[:, column])
        return found

    @property
    def names(self) -> list[str]:
        """Names of the objectives."""
        return [objective.name for objective in self.spec.directed]


def main() -> None:
    """Print the study as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="of cifar_resnet20, from CIFAR-10")
    parser.add_argument("data", type=Path, help="an .npz file of CIFAR-10")
    parser.add_argument("folder", type=Path, help="where everything is kept")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    for source, name in (
        (SWEEP, SWEEP.name),
        (given.weights, "resnet20.th"),
        (given.data, "cifar10.npz"),
    ):
        shutil.copyfile(source, given.folder / name)
    (given.folder / "reuse.json").write_text(json.dumps(_judged(given.folder)))
    found = [_searched(given.folder, side, seed) for seed in SEEDS for side in SIDES]
    print("\n".join(_report(given.folder, found)))


def _judged(folder: Path) -> dict[str, object]:
    """Judge the kernels for the data of the sweep."""
    # The verdict itself is what is to be made: any will do to read the rest of the file.
    text = (folder / SWEEP.name).read_text().replace(", verdict: reuse.json", "")
    plain = folder / "plain.yaml"
    plain.write_text(text.replace(", judged,", ","))
    spec = load_sweep(plain)
    report = analyze_reuse(
        spec.backbone.name,
        str(folder / "resnet20.th"),
        "finetuned",
        spec.data_config(),
        budget=Budget(
            epochs=spec.training.epochs,
            batch_size=spec.training.batch_size,
            learning_rate=spec.training.learning_rate,
            image_size=spec.backbone.image_size,
        ),
        cache=StageCache(str(folder / "judged"), 20e9),
    )
    return report.as_json()


def _searched(folder: Path, side: str, seed: int) -> Searched:
    """Run one sweep, or read it."""
    name = f"{side.replace(' ', '-')}-{seed}"
    settings = [f"name={name}", f"seed={seed}", "tracking.kind=none"]
    path = folder / SWEEP.name
    if side == SIDES[0]:
        path = folder / "width_and_bits.yaml"
        lines = (folder / "plain.yaml").read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.strip().startswith(FIXED)))
    spec = load_sweep(path, settings=settings)
    print(f"{name}", file=sys.stderr, flush=True)
    state = StateFolder(folder.resolve())
    run(spec, executor=InlineExecutor, state=state)
    sweep = open_sweep(name, state.store_url)
    trials = tuple(complete_in_order(sweep.trials()))
    members = frozenset(member.trial for member in sweep.front())
    return Searched(side, seed, spec, trials, members)


def _report(folder: Path, found: Sequence[Searched]) -> Iterator[str]:
    spec, verdict = found[-1].spec, json.loads((folder / "reuse.json").read_text())["verdict"]
    fates = sorted({*verdict.values()})
    counts = ", ".join(f"{list(verdict.values()).count(fate)} {fate}" for fate in fates)
    trials = sorted({len(each.trials) for each in found})
    yield "# Five axes beside two\n"
    yield "Made by `python examples/studies/five_axes.py WEIGHTS.th CIFAR10.npz FOLDER` from"
    yield f"`examples/sweeps/{SWEEP.name}`: {spec.backbone.name} with weights from CIFAR-10, on"
    yield f"{spec.data.limit} images of it at {spec.backbone.image_size} pixels,"
    yield f"{spec.training.epochs} epochs, {', '.join(map(str, trials))} trials a sweep,"
    yield f"{len(SEEDS)} seeds, torch {torch.__version__}. *Width and bits* searches `fc_width_1`,"
    yield f"`bits` and `fc_bits`; *five axes* also {', '.join(f'`{name}`' for name in FIXED)}. The"
    yield f"verdict that `judged` follows is, of {len(verdict)} layers: {counts}.\n"
    yield from _volumes(found)
    yield from _ends(found)
    yield from _fronts(found)


def _ends(found: Sequence[Searched]) -> Iterator[str]:
    """Print the ends of the fronts: the best accuracy, and what the smallest files reach."""
    least = min(_bytes(t) for each in found if each.side == SIDES[0] for t in each.trials)
    yield f"\nThe ends of the fronts, on validation images; no network of *{SIDES[0]}* is below"
    yield f"{least:,.0f} bytes:\n"
    yield "| search | seed | best accuracy | its bytes | best below that size | smallest bytes |"
    yield "|---|--:|--:|--:|--:|--:|"
    for each in sorted(found, key=lambda each: (each.side != SIDES[0], each.seed)):
        best = max(each.trials, key=lambda t: t.values["accuracy"])
        small = [t.values["accuracy"] for t in each.trials if _bytes(t) < least]
        cells = [each.side, str(each.seed), f"{best.values['accuracy']:.3f}"]
        cells += [f"{_bytes(best):,.0f}", f"{max(small):.3f}" if small else ""]
        yield f"| {' | '.join(cells)} | {min(map(_bytes, each.trials)):,.0f} |"
    two, five = (
        [max(t.values["accuracy"] for t in each.trials) for each in found if each.side == side]
        for side in SIDES
    )
    interval = mean_interval(five, two)
    yield f"\nBest accuracy, five axes less two: {np.mean(five) - np.mean(two):+.3f}, 95 %"
    yield f"interval {interval.low:+.3f} to {interval.high:+.3f}, p {paired_t(five, two):.3f}."


def _bytes(trial: Trial) -> float:
    return trial.values["memory_bytes"]


def _volumes(found: Sequence[Searched]) -> Iterator[str]:
    """Compare the hypervolumes, all on one scale each."""
    yield "Hypervolume of the front, as a share of the box from the best of each objective to just"
    yield "behind the worst, in all six sweeps. *Difference* is five axes less two, with a 95 %"
    yield "interval and a paired t test over seeds, not corrected.\n"
    seeds = " | ".join(f"seed {seed}" for seed in SEEDS)
    yield f"| scale | search | {seeds} | mean | difference | p |"
    yield "|---|---|" + "--:|" * (len(SEEDS) + 1) + "---|--:|"
    for what in SCALES:
        scale = HypervolumeScale.spanning(np.vstack([each.losses(what) for each in found]))
        volumes = {
            side: [scale.volume(each.losses(what)) for each in found if each.side == side]
            for side in SIDES
        }
        two, five = (volumes[side] for side in SIDES)
        interval = mean_interval(five, two)
        told = f"{np.mean(five) - np.mean(two):+.3f}, {interval.low:+.3f} to {interval.high:+.3f}"
        for side, tested in ((SIDES[0], " | "), (SIDES[1], f"{told} | {paired_t(five, two):.3f}")):
            numbers = [f"{each:.3f}" for each in (*volumes[side], np.mean(volumes[side]))]
            yield f"| {what} | {side} | {' | '.join(numbers)} | {tested} |"


def _fronts(found: Sequence[Searched]) -> Iterator[str]:
    """Print both fronts of the first seed."""
    for each in found:
        if each.seed != SEEDS[0]:
            continue
        yield f"\n## The front of {each.side}, seed {each.seed}\n"
        names = sorted({name for trial in each.trials for name in trial.params})
        yield "| accuracy | test | bytes | " + " | ".join(f"`{name}`" for name in names) + " |"
        yield "|--:" * 3 + "|---" * len(names) + "|"
        members = [trial for trial in each.trials if trial.number in each.members]
        for trial in sorted(members, key=lambda t: t.values["memory_bytes"]):
            values = trial.values
            cells = [f"{values['accuracy']:.3f}", f"{values['test_accuracy']:.3f}"]
            cells += [f"{values['memory_bytes']:,.0f}"]
            cells += [str(trial.params.get(name, "")) for name in names]
            yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
