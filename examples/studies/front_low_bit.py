"""The front study of few bits: rounding and allocation beside bits that are sampled and rounded.

    python examples/studies/front_low_bit.py WEIGHTS.th CIFAR10.npz FOLDER > report.md

Both sides are sweeps with equal trials and the same seeds, on one thread. Everything is kept in
the folder, so that an interrupted study goes on where it was.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from orchestrator import load_sweep, run
from orchestrator.analysis.statistics.intervals import mean_interval
from orchestrator.analysis.statistics.paired import paired_t
from orchestrator.execution.inline import InlineExecutor
from orchestrator.pareto.hypervolume import HypervolumeScale, complete_in_order
from orchestrator.pareto.losses import loss_matrix
from orchestrator.queries.sweeps import open_sweep
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.trials import Trial

HERE = Path(__file__).parent
SIDES = {"sampled, nearest": "front_low_bit", "allocated, gptq": "front_low_bit_allocated"}
POINT = 0.01  # of accuracy


@dataclass(frozen=True, slots=True)
class Searched:
    """One sweep.

    Attributes:
        side: A key of `SIDES`.
        seed: Its seed.
        spec: What it searched.
        trials: What it measured, in the order in which trials ended; without the reference.
        reference: The network in floating point.
        members: Numbers of the trials of its front.
    """

    side: str
    seed: int
    spec: SweepSpec
    trials: tuple[Trial, ...]
    reference: Trial
    members: frozenset[int]

    def losses(self, *, by_log: bool) -> np.ndarray:
        """Return accuracy and bytes, or their logarithm, as losses."""
        names = [objective.name for objective in self.spec.directed]
        values = [{name: t.values[name] for name in names} for t in self.trials]
        found = loss_matrix(values, self.spec.directed)
        if by_log:
            column = names.index("memory_bytes")
            found[:, column] = np.log10(found[:, column])
        return found

    def smallest(self, name: str) -> Trial | None:
        """Return the smallest network within a point of the float one; None if none is.

        Args:
            name: ``accuracy`` or, which only members of the front have, ``test_accuracy``.
        """
        least = self.reference.values[name] - POINT
        good = [t for t in self.trials if t.values.get(name, 0) >= least]
        return min(good, key=_bytes, default=None)


def main() -> None:
    """Print the study as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="of cifar_resnet20, from CIFAR-10")
    parser.add_argument("data", type=Path, help="an .npz file of CIFAR-10")
    parser.add_argument("folder", type=Path, help="where everything is kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(given.weights, given.folder / "resnet20.th")
    shutil.copyfile(given.data, given.folder / "cifar10.npz")
    for name in SIDES.values():
        shutil.copyfile(HERE / f"{name}.yaml", given.folder / f"{name}.yaml")
    found = [_searched(given.folder, side, seed) for seed in given.seeds for side in SIDES]
    print("\n".join(_report(found)))


def _searched(folder: Path, side: str, seed: int) -> Searched:
    """Run one sweep, or read it."""
    name = f"{SIDES[side].replace('_', '-')}-{seed}"
    settings = [f"name={name}", f"seed={seed}", "tracking.kind=none"]
    spec = load_sweep(folder / f"{SIDES[side]}.yaml", settings=settings)
    print(name, file=sys.stderr, flush=True)
    state = StateFolder(folder.resolve())
    run(spec, executor=InlineExecutor, state=state)
    sweep = open_sweep(name, state.store_url)
    complete = complete_in_order(sweep.trials())
    (reference,) = (t for t in complete if t.is_reference)
    trials = tuple(t for t in complete if t is not reference)
    members = frozenset(member.trial for member in sweep.front())
    return Searched(side, seed, spec, trials, reference, members)


def _report(found: Sequence[Searched]) -> Iterator[str]:
    spec = found[0].spec
    yield "# A front of few bits\n"
    yield "Made by `python examples/studies/front_low_bit.py WEIGHTS.th CIFAR10.npz FOLDER`:"
    yield f"{spec.backbone.name} with weights from CIFAR-10 and a new head, on the"
    yield f"images of {Path(spec.data.npz or '').name}, {len(found[0].trials)} networks a sweep,"
    yield f"{len(found) // len(SIDES)} seeds, torch {torch.__version__}. *Sampled, nearest* is"
    yield "`front_low_bit.yaml`: `bits` and `fc_bits` are sampled, and codes are the nearest of"
    yield "symmetric levels. *Allocated, gptq* is `front_low_bit_allocated.yaml`: mean bits are"
    yield "sampled, layers get theirs by their sensitivity, and `gptq` chooses codes of `affine`"
    yield "levels with step `mse`.\n"
    yield from _volumes(found)
    yield from _smallest(found)
    yield from _fronts([each for each in found if each.seed == found[0].seed])


def _volumes(found: Sequence[Searched]) -> Iterator[str]:
    """Compare the hypervolumes, all on one scale each."""
    yield "Hypervolume of the front on validation images, as a share of the box from the best of"
    yield "each objective to just behind the worst, in all sweeps. *Difference* is allocated less"
    yield "sampled, with a 95 % interval and a paired t test over seeds.\n"
    seeds = sorted({each.seed for each in found})
    yield f"| scale | side | {' | '.join(f'seed {seed}' for seed in seeds)} | difference | p |"
    yield "|---|---|" + "--:|" * len(seeds) + "---|--:|"
    for what, by_log in (("bytes", False), ("log bytes", True)):
        losses = [each.losses(by_log=by_log) for each in found]
        scale = HypervolumeScale.spanning(np.vstack(losses))
        sides = [
            [
                scale.volume(lost)
                for each, lost in zip(found, losses, strict=True)
                if each.side == s
            ]
            for s in SIDES
        ]
        told = " | "
        if len(seeds) > 1:
            low, high = sides
            interval = mean_interval(high, low)
            told = f"{np.mean(high) - np.mean(low):+.3f}, {interval.low:+.3f} to"
            told += f" {interval.high:+.3f} | {paired_t(high, low):.2g}"
        for side, volumes in zip(SIDES, sides, strict=True):
            cells = " | ".join(f"{volume:.3f}" for volume in volumes)
            yield f"| {what} | {side} | {cells} | {told if side == list(SIDES)[1] else ' | '} |"


def _smallest(found: Sequence[Searched]) -> Iterator[str]:
    """Print the smallest networks within a point of the float one."""
    yield "\nThe smallest network within one point of the float network, by validation images and,"
    yield "of the members of the front, by test images:\n"
    yield "| side | seed | float bytes | float validation | float test | by validation | by test |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for each in sorted(found, key=lambda each: list(SIDES).index(each.side)):
        values = each.reference.values
        cells = [each.side, str(each.seed), f"{_bytes(each.reference):,.0f}"]
        names = ("accuracy", "test_accuracy")
        cells += [f"{values[name]:.1%}" for name in names]
        smallest = [each.smallest(name) for name in names]
        cells += ["none" if chosen is None else f"{_bytes(chosen):,.0f}" for chosen in smallest]
        yield f"| {' | '.join(cells)} |"


def _fronts(found: Sequence[Searched]) -> Iterator[str]:
    """Print both fronts of a seed."""
    for each in found:
        yield f"\n## The front of *{each.side}*, seed {each.seed}\n"
        names = sorted({name for trial in each.trials for name in trial.params})
        yield f"| accuracy | test | bytes | {' | '.join(f'`{name}`' for name in names)} |"
        yield "|--:" * (3 + len(names)) + "|"
        members = [trial for trial in each.trials if trial.number in each.members]
        for trial in sorted(members, key=_bytes):
            cells = [f"{trial.values[name]:.1%}" for name in ("accuracy", "test_accuracy")]
            cells += [f"{_bytes(trial):,.0f}"]
            cells += [f"{trial.params[name]:.3g}" for name in names]
            yield f"| {' | '.join(cells)} |"


def _bytes(trial: Trial) -> float:
    return trial.values["memory_bytes"]


if __name__ == "__main__":
    main()
