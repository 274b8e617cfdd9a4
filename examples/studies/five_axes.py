"""The five-axes study: width, bits, sparsity, depth and reuse together, beside width and bits.

    python examples/studies/five_axes.py WEIGHTS.th CIFAR10.npz FOLDER > report.md

Both sides are sweeps of `examples/sweeps/five_axes.yaml`, one of them without three of its axes,
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

SWEEP = Path(__file__).parents[1] / "sweeps" / "five_axes.yaml"
FIXED = ("pruning_sparsity", "depth", "policy")
SIDES = ("width and bits", "five axes")
SEEDS = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Searched:
    """One sweep.

    Attributes:
        side: A word of `SIDES`.
        seed: Its seed.
        spec: What it searched.
        trials: What it measured, in the order in which trials ended.
        members: Numbers of the trials of its front.
        seconds: Sum of what its trials took to train and to measure.
    """

    side: str
    seed: int
    spec: SweepSpec
    trials: tuple[Trial, ...]
    members: frozenset[int]
    seconds: float

    def losses(self, *, test: bool = False) -> np.ndarray:
        """Return accuracy and the logarithm of the bytes as losses: all trials, or the front's.

        Args:
            test: Take the accuracy on test images, which the members of the front have.
        """
        chosen = [t for t in self.trials if not test or t.number in self.members]
        named = {"accuracy": "test_accuracy" if test else "accuracy"}
        values = [{name: t.values[named.get(name, name)] for name in self.names} for t in chosen]
        found = loss_matrix(values, self.spec.directed)
        found[:, self.names.index("memory_bytes")] = np.log10(
            found[:, self.names.index("memory_bytes")]
        )
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
    seconds = sum(t.values.get("train_s", 0) + t.values.get("eval_s", 0) for t in trials)
    return Searched(side, seed, spec, trials, members, seconds)


def _report(folder: Path, found: Sequence[Searched]) -> Iterator[str]:
    verdict = json.loads((folder / "reuse.json").read_text())["verdict"]
    counts = ", ".join(
        f"{list(verdict.values()).count(f)} {f}" for f in sorted({*verdict.values()})
    )
    trials = {len(each.trials) for each in found}
    yield f"# Five axes beside two\n\n`judged` is, of {len(verdict)} layers: {counts}.\n"
    yield f"Trials of each sweep that were measured: {', '.join(map(str, sorted(trials)))}.\n"
    yield from _volumes(found)
    yield from _fronts(found)


def _volumes(found: Sequence[Searched]) -> Iterator[str]:
    """Compare the hypervolumes, all on one scale."""
    scales = {
        test: HypervolumeScale.spanning(np.vstack([each.losses(test=test) for each in found]))
        for test in (False, True)
    }
    yield (
        "| seed | "
        + " | ".join(f"{side}, {what}" for what in ("validation", "test") for side in SIDES)
        + " | trained s, "
        + " | ".join(SIDES)
        + " |"
    )
    yield "|--:" * 7 + "|"
    volumes = {
        (each.side, each.seed, test): scale.volume(each.losses(test=test))
        for each in found
        for test, scale in scales.items()
    }
    seconds = {(each.side, each.seed): each.seconds for each in found}
    for seed in SEEDS:
        cells = [f"{volumes[side, seed, test]:.3f}" for test in (False, True) for side in SIDES]
        cells += [f"{seconds[side, seed]:.0f}" for side in SIDES]
        yield f"| {seed} | {' | '.join(cells)} |"
    for test, what in ((False, "validation"), (True, "test")):
        two, five = ([volumes[side, seed, test] for seed in SEEDS] for side in SIDES)
        interval = mean_interval(five, two)
        yield (
            f"\nOn {what} images five axes less two: {np.mean(five) - np.mean(two):+.3f} (95 % "
            f"interval {interval.low:+.3f} to {interval.high:+.3f}, paired t test p "
            f"{paired_t(five, two):.3f})."
        )


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
