"""How long does a search take to the front, with early stopping and without?

Simulated: the trials of a table that was recorded from real trainings (`make_table.py`), replayed
on a virtual clock. All sides have the same slots, the same seconds and the same measurements at
milestones, which cost time. They differ in what they propose and when they stop:

* *paretune*: this project as it comes; and with `scheduler: moasha` from some epoch on; *alone* is
  without the stage cache and its siblings, so that no training is shared;
* *plain*: Optuna's TPE as OptunaSearch uses it, every trial to its end (FIFO);
* *Syne Tune*: its MO-ASHA, with its own random proposals; where `--syne-tune`, or the variable
  ``PARETUNE_BENCH_SYNE_TUNE``, names the Python of an environment that has it (``uv venv x && uv
  pip install --python x/bin/python syne-tune``). Its ranking of all it has seen takes longer with
  each trial, so that a seed ends where that has used `--peer-cpu` seconds of a core; the simulated
  moment is printed.

Printed are medians over the seeds: simulated time to 99 % of the hypervolume of the whole table,
from a reference point behind all of it, and the hypervolume at the end. *Worse* counts the seeds
in which the end's hypervolume is smaller than that of the plain stack with the same seed.

Run: ``python benchmarks/bench_search.py --seeds 10``; ours takes ten minutes of a core for each of
``--min-epochs``, Syne Tune's side at most `--peer-cpu` seconds a seed.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from options import parsed
from search_loop import Trial, search

from orchestrator import load_sweep
from orchestrator.scheduling.milestones import halving_milestones
from orchestrator.simulation.comparing import Scale, SimulatedSweep, as_trials, compare
from orchestrator.simulation.table import Table
from orchestrator.simulation.table_files import read_table
from orchestrator.spec.sweep_spec import SweepSpec

TABLES = Path(__file__).parent / "tables"
REDUCTION = 3
ALONE = "execution.cache=off"
PLAIN, SYNE_TUNE = "plain: Optuna TPE, FIFO", "Syne Tune, MO-ASHA"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=TABLES / "fashion.csv.gz")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--seconds", type=float, help="default: all of the table once, FIFO")
    parser.add_argument("--min-epochs", type=int, nargs="+", default=[1, 9])
    own = os.environ.get("PARETUNE_BENCH_SYNE_TUNE", sys.executable)
    parser.add_argument("--syne-tune", metavar="PYTHON", default=own)
    parser.add_argument("--peer-cpu", type=float, default=120.0, metavar="SECONDS")
    options = parsed(parser, seeds=1, seconds=200.0, min_epochs=[9], peer_cpu=5.0)
    table = read_table(options.table)
    path = options.table.with_name(options.table.name.partition(".")[0] + ".yaml")
    seconds = options.seconds or whole_s(table) / options.slots
    print(
        f"{len(table.recordings)} recorded trials of {path.stem}, {options.slots} slots, "
        f"{seconds:.0f} simulated seconds, medians of {options.seeds} seeds",
        flush=True,
    )
    seeds = range(options.seeds)
    plain = plain_sweeps(load_sweep(path), table, seeds, options.slots, seconds)
    show(PLAIN, plain, plain)
    budget = (f"budget.seconds={seconds}", f"budget.trials={10 * len(table.recordings)}")
    for name, changes in ours(options.min_epochs).items():
        spec = load_sweep(path, settings=[*changes, *budget])
        show(name, compare({name: spec}, table, seeds=seeds, slots=options.slots), plain)
    for epochs in options.min_epochs:
        task = syne_tune_task(load_sweep(path), table, seeds, options.slots, seconds)
        task |= {
            "cpu_s": options.peer_cpu,
            "min_epochs": epochs,
            "milestones": halving_milestones(epochs, REDUCTION, task["epochs"]),
        }
        peer = syne_tune_sweeps(options.syne_tune, task, load_sweep(path), table)
        if not peer:
            return
        show(f"{SYNE_TUNE} from {epochs}", peer, plain)
        until = statistics.median(each.seconds for each in peer)
        if until < seconds:
            print(
                f"  ended at {until:.0f} simulated seconds (median), a seed's CPU time was used up"
            )


def ours(min_epochs: Sequence[int]) -> dict[str, tuple[str, ...]]:
    """Our variants, as changes of the sweep file."""
    variants: dict[str, tuple[str, ...]] = {
        "paretune, FIFO": (),
        "paretune alone, FIFO": (ALONE,),
    }
    for epochs in min_epochs:
        stopping = (
            "scheduler.kind=moasha",
            f"scheduler.min_epochs={epochs}",
            f"scheduler.reduction={REDUCTION}",
        )
        variants[f"paretune, MO-ASHA from {epochs}"] = stopping
        variants[f"paretune alone, MO-ASHA from {epochs}"] = (*stopping, ALONE)
    return variants


def whole_s(table: Table) -> float:
    """What all of the table takes, one trial after the other."""
    return sum(each.values["train_s"] + each.eval_s for each in table.recordings)


def show(name: str, found: Sequence[SimulatedSweep], plain: Sequence[SimulatedSweep]) -> None:
    if name == PLAIN:
        print(
            f"{'':<34}{'complete':>9}{'stopped':>9}{'to 99 %':>9}{'reached':>9}{'faster':>8}"
            f"{'end':>9}{'worst':>9}{'worse':>7}"
        )
    needed = statistics.median(each.seconds_to() for each in found)
    before = statistics.median(each.seconds_to() for each in plain)
    # Who never got there needs longer than there was.
    faster = f"{'' if math.isfinite(before) else '>'}{min(before, plain[0].seconds) / needed:.1f}x"
    worse = sum(a.volume < b.volume - 1e-9 for a, b in zip(found, plain, strict=True))
    print(
        f"{name:<34}"
        f"{statistics.median(each.complete for each in found):>9.0f}"
        f"{statistics.median(each.stopped for each in found):>9.0f}"
        f"{f'{needed:.0f}s' if math.isfinite(needed) else 'never':>9}"
        f"{sum(math.isfinite(each.seconds_to()) for each in found):>6}/{len(found)}"
        f"{faster if math.isfinite(needed) else '-':>8}"
        f"{statistics.median(each.volume for each in found):>9.4f}"
        f"{min(each.volume for each in found):>9.4f}"
        f"{worse:>7}",
        flush=True,
    )


class Plain:
    """Optuna's TPE, asked and told as OptunaSearch does."""

    def __init__(self, spec: SweepSpec, seed: int) -> None:
        self._objectives = spec.directed
        self._kinds = {
            name: optuna.distributions.CategoricalDistribution(list(domain.values()))
            for name, domain in spec.search_space.domains.items()
        }
        directions = [objective.direction.value for objective in spec.directed]
        sampler = optuna.samplers.TPESampler(seed=seed)
        self._study = optuna.create_study(sampler=sampler, directions=directions)
        self._asked: dict[int, optuna.Trial] = {}

    def suggest(self, trial: int) -> dict[str, Any]:
        """Ask for a configuration."""
        self._asked[trial] = self._study.ask(self._kinds)
        return dict(self._asked[trial].params)

    def goes_on(self, trial: int, epoch: int, values: Mapping[str, float]) -> bool:
        """Ask for a verdict."""
        raise AssertionError("it has no milestones")

    def complete(self, trial: int, values: Mapping[str, float]) -> None:
        """Tell the end."""
        told = [values[objective.name] for objective in self._objectives]
        self._study.tell(self._asked.pop(trial), told)


def plain_sweeps(
    spec: SweepSpec, table: Table, seeds: Sequence[int], slots: int, seconds: float
) -> list[SimulatedSweep]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = as_json(table)

    def lookup(params: Mapping[str, Any]) -> Trial:
        return rows[key(params)]

    numbers = {name: number for number, name in enumerate(rows)}
    found = []
    for seed in seeds:
        done, _ = search(Plain(spec, seed), lookup, milestones=(), slots=slots, seconds=seconds)
        ends = [(moment, numbers[key(row["params"])]) for moment, row in done]
        found.append(as_sweep(PLAIN, seed, ends, spec, table, seconds))
    return found


def syne_tune_task(
    spec: SweepSpec, table: Table, seeds: Sequence[int], slots: int, seconds: float
) -> dict[str, Any]:
    epochs = spec.training.epochs
    return {
        "space": {name: list(d.values()) for name, d in spec.search_space.domains.items()},
        "signs": {objective.name: objective.loss(1.0) for objective in spec.directed},
        "trials": list(as_json(table).values()),
        "epochs": epochs,
        "reduction": REDUCTION,
        "seeds": list(seeds),
        "slots": slots,
        "seconds": seconds,
    }


def syne_tune_sweeps(
    python: str, task: Mapping[str, Any], spec: SweepSpec, table: Table
) -> list[SimulatedSweep]:
    script = Path(__file__).with_name("search_syne_tune.py")
    ended = subprocess.run(
        [python, str(script)], input=json.dumps(task), capture_output=True, text=True, check=False
    )
    if "No module named 'syne_tune'" in ended.stderr:
        print(f"{SYNE_TUNE}: not measured, because {python} has no syne_tune (--syne-tune PYTHON)")
        return []
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    found = json.loads(ended.stdout)
    return [
        replace(
            as_sweep(SYNE_TUNE, seed, each["ends"], spec, table, each["until"]),
            stopped=each["stopped"],
        )
        for seed, each in zip(task["seeds"], found, strict=True)
    ]


def as_sweep(
    name: str,
    seed: int,
    ends: Sequence[tuple[float, int]],
    spec: SweepSpec,
    table: Table,
    seconds: float,
) -> SimulatedSweep:
    """What a peer did, measured as our own sweeps are: moments, and numbers in the table."""
    complete = as_trials(table.recordings[number] for _, number in ends)
    scale = Scale.of(spec, table, seed)
    volumes = scale.volumes(scale.losses(complete))
    moments = np.array([moment for moment, _ in ends])
    return SimulatedSweep(name, seed, 0, 0, seconds, moments, volumes)


def as_json(table: Table) -> dict[str, Trial]:
    return {
        key(each.params): {
            "params": dict(each.params),
            "values": dict(each.values),
            "reports": [{"values": dict(report.values)} for report in each.reports],
        }
        for each in table.recordings
    }


def key(params: Mapping[str, Any]) -> str:
    return json.dumps(dict(params), sort_keys=True)


if __name__ == "__main__":
    main()
