"""Does a search of each layer's bits gain from the layers' sensitivity?

Two sweeps for each seed, of equal trials: both sample the bits of every convolution and of the FC
layers, with TPE; one tries allocations first that follow from the sensitivity, which is measured
once, as `paretune analyze sensitivity` does. Networks differ in their codes alone: a head is
trained once for each seed. Printed is the hypervolume of both fronts, on validation images, as a
share of the box from the best of each objective to just behind the worst in all sweeps, after a
third, two thirds and all of the trials; with a paired t test over seeds.

Run: ``python benchmarks/bench_first_bits.py``, on scikit-learn's digits, or
``--backbone cifar_resnet20 --weights resnet20.th --data cifar10.npz``.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from options import parsed

from orchestrator import load_sweep, run
from orchestrator.analysis.sensitivity_analysis import analyze_sensitivity
from orchestrator.analysis.statistics.intervals import mean_interval
from orchestrator.analysis.statistics.paired import paired_t
from orchestrator.execution.inline import InlineExecutor
from orchestrator.pareto.hypervolume import HypervolumeScale, complete_in_order
from orchestrator.pareto.losses import loss_matrix
from orchestrator.queries.sweeps import open_sweep
from orchestrator.state_folder import StateFolder
from trainers.data.config import DataConfig
from trainers.data.loading import load_data

SIDES = ("without", "with")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="digitnet")
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--data", default="digits", help="a name, or an npz file")
    parser.add_argument("--limit", type=int, help="images of the data set")
    parser.add_argument("--bits", type=int, nargs="+", default=[2, 3, 4, 5, 6, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--trials", type=int, default=30)
    options = parsed(parser, seeds=[0, 1], trials=3, bits=[2, 4])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        spec = sweep(options, Path(folder))
        losses = {
            (side, seed): searched(Path(folder), spec, side, seed)
            for seed in options.seeds
            for side in SIDES
        }
    report(losses, options)


def sweep(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure the sensitivity, and return a sweep file of the bits of every layer."""
    is_file = options.data.endswith(".npz")
    where = {"npz": str(Path(options.data).resolve())} if is_file else {"name": options.data}
    where |= {} if options.limit is None else {"limit": options.limit}
    began, data = time.process_time(), load_data(DataConfig(seed=0, **where))
    found = analyze_sensitivity(options.backbone, data, weights=options.weights, cumulative=False)
    (folder / "sensitivity.json").write_text(json.dumps(found.as_json()))
    print(f"{options.backbone}, {len(found.layers)} layers, {len(data.val_labels)} images judge;")
    print(f"sensitivity and its head: {time.process_time() - began:.0f} seconds of CPU")
    names = ["fc_bits" if each.number is None else f"bits_{each.number}" for each in found.layers]
    return {
        "backbone": {"name": options.backbone, "weights": options.weights},
        "data": where,
        "space": {name: {"type": "choice", "values": options.bits} for name in names},
        "quantization": {"quantizer": "affine", "step": "mse"},
        "training": {"tune": "head"},
        "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
        "sampler": "tpe",
        "budget": {"trials": options.trials},
        "execution": {"kind": "inline", "siblings": False},
        "tracking": {"kind": "none"},
    }


def searched(folder: Path, spec: dict[str, Any], side: str, seed: int) -> np.ndarray:
    """Run one sweep; error and logarithm of the bytes, in the order of trials: (trials, 2)."""
    given = {**spec, "name": f"{side}-{seed}", "seed": seed}
    if side == "with":
        given["quantization"] = spec["quantization"] | {"sensitivity": "sensitivity.json"}
    file = folder / f"{side}-{seed}.yaml"
    file.write_text(yaml.safe_dump(given))
    state, loaded = StateFolder(folder), load_sweep(file)
    run(loaded, executor=InlineExecutor, state=state)
    trials = complete_in_order(open_sweep(loaded.name, state.store_url).trials())
    names = [objective.name for objective in loaded.directed]
    lost = loss_matrix([{n: t.values[n] for n in names} for t in trials], loaded.directed)
    lost[:, names.index("memory_bytes")] = np.log10(lost[:, names.index("memory_bytes")])
    return lost


def report(losses: dict[tuple[str, int], np.ndarray], options: argparse.Namespace) -> None:
    """Print the hypervolumes."""
    scale = HypervolumeScale.spanning(np.vstack(list(losses.values())))
    print(
        f"| trials | sensitivity | {' | '.join(f'seed {s}' for s in options.seeds)} | mean ",
        end="",
    )
    print("| with less without, 95 % interval | p |")
    print("|--:|---|" + "--:|" * (len(options.seeds) + 1) + "---|--:|")
    for third in (1, 2, 3):
        count = max(1, options.trials * third // 3)
        found = {
            side: [scale.volume(losses[side, seed][:count]) for seed in options.seeds]
            for side in SIDES
        }
        for side in SIDES:
            cells = " | ".join(f"{volume:.3f}" for volume in found[side])
            told = compared(found["with"], found["without"]) if side == "with" else " | "
            print(f"| {count} | {side} | {cells} | {np.mean(found[side]):.3f} | {told} |")


def compared(high: Sequence[float], low: Sequence[float]) -> str:
    """The mean difference, its interval, and p of the paired t test."""
    interval = mean_interval(high, low)
    difference = np.mean(high) - np.mean(low)
    found = f"{difference:+.3f}, {interval.low:+.3f} to {interval.high:+.3f}"
    return f"{found} | {paired_t(high, low):.2g}"


if __name__ == "__main__":
    main()
