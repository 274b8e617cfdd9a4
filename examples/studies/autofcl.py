"""The AutoFCL study: random search, a grid and a Gaussian process over fully connected heads.

    python examples/studies/autofcl.py MOBILENET_V2.pth IMAGES.npz FOLDER > report.md

All heads of `autofcl.yaml` are trained once, on a frozen backbone. Each sampler then searches
among them with many seeds: driver, sampler and store are those of a real sweep, and a head that it
asks for has the accuracy that it had. Everything is kept in the folder.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import wilcoxon

from orchestrator import load_sweep, run
from orchestrator.execution.inline import InlineExecutor
from orchestrator.pareto.hypervolume import complete_in_order
from orchestrator.queries.sweeps import open_sweep
from orchestrator.simulation.executor import SimulatedExecutor
from orchestrator.simulation.table import Table
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import Trial

SWEEP = Path(__file__).with_name("autofcl.yaml")
SAMPLERS = ("random", "grid", "gp", "tpe")
TRIALS = 20
SHOWN = (5, 10, 15, 20)
Curves = Mapping[str, np.ndarray]


def main() -> None:
    """Print the study as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="of mobilenet_v2, from ImageNet")
    parser.add_argument("data", type=Path, help="an .npz file of few images")
    parser.add_argument("folder", type=Path, help="where everything is kept")
    parser.add_argument("--seeds", type=int, default=20, help="searches of each sampler")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    sources = {SWEEP: SWEEP.name, given.weights: "mobilenet_v2.pth", given.data: "few.npz"}
    for source, name in sources.items():
        shutil.copyfile(source, given.folder / name)
    spec = load_sweep(given.folder / SWEEP.name, settings=["tracking.kind=none"])
    state = StateFolder(given.folder.resolve())
    run(spec, executor=InlineExecutor, state=state)
    heads = complete_in_order(open_sweep(spec.name, state.store_url).trials())
    store = open_store(state.store_url)
    table = Table.of_sweep(spec.name, store)
    store.close()
    curves = {
        sampler: np.array([_searched(spec, table, sampler, seed) for seed in range(given.seeds)])
        for sampler in SAMPLERS
    }
    print("\n".join(_report(spec, heads, curves)))


def _searched(spec: SweepSpec, table: Table, sampler: str, seed: int) -> list[float]:
    """Return the best accuracy after each of a sampler's trials."""
    print(f"{sampler} {seed}", file=sys.stderr, flush=True)
    settings = [f"sampler={{kind: {sampler}}}", f"budget={{trials: {TRIALS}}}", f"seed={seed}"]
    settings += ["tracking.kind=none", f"name=search-{sampler}-{seed}"]
    changed = load_sweep(Path(spec.backbone.weights).parent / SWEEP.name, settings=settings)
    with tempfile.TemporaryDirectory() as folder:
        state = StateFolder(Path(folder))
        executor = SimulatedExecutor(table.recording, slots=1)
        run(changed, executor=lambda _: executor, state=state)
        found = complete_in_order(open_sweep(changed.name, state.store_url).trials())
    best = np.maximum.accumulate([trial.values["accuracy"] for trial in found])
    return [float(value) for value in best]


def _report(spec: SweepSpec, heads: Sequence[Trial], curves: Curves) -> Iterator[str]:
    accuracies = np.array([trial.values["accuracy"] for trial in heads])
    seeds = len(curves["random"])
    yield "# AutoFCL's question\n"
    yield "Made by `python examples/studies/autofcl.py MOBILENET_V2.pth IMAGES.npz FOLDER`:"
    yield f"{len(heads)} heads of one to three hidden layers on a frozen {spec.backbone.name},"
    yield f"all trained ({spec.training.epochs} epochs), and {seeds} searches of {TRIALS} trials"
    yield f"by each sampler among them; torch {torch.__version__}.\n"
    yield f"Validation accuracy of all heads: {accuracies.min():.1%} to {accuracies.max():.1%},"
    yield f"median {np.median(accuracies):.1%}.\n"
    yield "Mean of the best accuracy so far, what it lacks of the best head in points, and how"
    yield "many searches found that head. *p* compares the accuracies in the end with those of"
    yield "`random` (Wilcoxon's signed ranks over seeds, not corrected).\n"
    columns = " | ".join(f"after {count}" for count in SHOWN)
    yield f"| sampler | {columns} | lacks | found the best | p |"
    yield "|---|" + "--:|" * (len(SHOWN) + 3)
    last = {name: curve[:, -1] for name, curve in curves.items()}
    for name, curve in curves.items():
        cells = [f"{curve[:, count - 1].mean():.1%}" for count in SHOWN]
        cells += [f"{100 * (accuracies.max() - last[name].mean()):.2f}"]
        cells += [f"{(last[name] == accuracies.max()).sum()} of {seeds}"]
        differs = name != "random" and (last[name] != last["random"]).any()
        cells += [f"{wilcoxon(last[name], last['random']).pvalue:.2g}" if differs else ""]
        yield f"| `{name}` | {' | '.join(cells)} |"
    yield from _sizes(heads)


def _sizes(heads: Sequence[Trial]) -> Iterator[str]:
    yield "\nBy the number of hidden layers, and the five best heads:\n"
    yield "| hidden layers | heads | mean | best |"
    yield "|--:|--:|--:|--:|"
    for layers in (1, 2, 3):
        of = [t.values["accuracy"] for t in heads if t.params["fc_layers"] == layers]
        yield f"| {layers} | {len(of)} | {np.mean(of):.1%} | {max(of):.1%} |"
    yield "\n| widths | accuracy | values of the head |"
    yield "|---|--:|--:|"
    for trial in sorted(heads, key=lambda t: -t.values["accuracy"])[:5]:
        widths = [trial.params[f"fc_width_{n + 1}"] for n in range(int(trial.params["fc_layers"]))]
        size = f"{trial.values['head_params']:,.0f}"
        yield f"| {', '.join(map(str, widths))} | {trial.values['accuracy']:.1%} | {size} |"


if __name__ == "__main__":
    main()
