"""What does the driver cost a trial as a sweep grows?

Simulated trials of no work (an objective each of a synthetic function, three epochs reported at
once) run through the whole driver: proposals, the loop, the store on SQLite. Counted are seconds
of the process on its CPUs a trial, over the last tenth of so many trials, so that what grows with
their number shows; of a small sweep the median of five. A sweep is longer than that by a trial a
slot: at its end none follows a trial that ended, and nothing is proposed any more. Of a sweep that
is longer than `--drive-all` the beginning is written into the store, and only the last `--tail`
trials are driven, by a driver that takes the sweep up; counted is the last tenth of these. Memory
is the most that the process of a sweep had resident, libraries included, and the store's size that
of its file.

The peer is Optuna as OptunaSearch asks and tells it, with RDBStorage on SQLite, without any loop
around it; beyond `--peer-trials` it is not run but extrapolated, by a straight line through its
last two numbers.

Run: ``python benchmarks/bench_driver.py --trials 100 1000 --samplers random tpe``
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from math import isnan, log10, nan
from multiprocessing import get_context
from pathlib import Path

import optuna
from driver_history import Answer, fill
from options import parsed

from orchestrator.contracts import Silent
from orchestrator.driver.running import run
from orchestrator.simulation.executor import SimulatedExecutor
from orchestrator.simulation.table import Recording
from orchestrator.spec.run_sections import BudgetSection
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import Params, Report, Trial

SLOTS, EPOCHS = 8, 3
SPACE = {
    "fc_width_1": {"type": "int", "low": 1, "high": 4096},
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "bits": {"type": "choice", "values": [2, 3, 4, 5, 6, 8]},
}

Side = Callable[..., "Driven"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    parser.add_argument("--peer-trials", type=int, default=1_000, help="largest that is run")
    parser.add_argument("--drive-all", type=int, default=10_000, help="largest without a past")
    parser.add_argument("--tail", type=int, default=1_000, help="driven after a past")
    options = parsed(parser, trials=[20, 40], samplers=["random"], drive_all=20, tail=10)
    heads = "".join(f"{name:>10}" for name in ("ours ms", "peer ms", "ratio", "MiB", "store MB"))
    print(f"{'':<10}{'trials':>8}{heads}   (CPU a trial)")
    for sampler in options.samplers:
        ours: list[float] = []
        peers: list[tuple[int, float]] = []
        for trials in options.trials:
            # Ten trials are few milliseconds.
            turns = range(max(1, min(5, 500 // trials)))
            past = 0 if trials <= options.drive_all else trials - options.tail
            found = [alone(driven, sampler, trials + SLOTS, past) for _ in turns]
            ours.append(
                statistics.median(last_tenth(each.moments, trials - past) for each in found)
            )
            measured = trials <= options.peer_trials
            if measured:
                cost = last_tenth(alone(asked, sampler, trials + SLOTS).moments, trials)
            else:
                cost = beyond(peers, trials)
            peers.append((trials, cost))
            mark = "" if measured else f"  peer {'not run' if isnan(cost) else 'extrapolated'}"
            print(
                f"{sampler:<10}{trials:>8}{1e3 * ours[-1]:>10.1f}{1e3 * cost:>10.1f}"
                f"{cost / ours[-1]:>9.1f}x{found[-1].peak / 2**20:>10.0f}"
                f"{found[-1].stored / 1e6:>10.1f}{mark}",
                flush=True,
            )
        growth, peer = ours[-1] / ours[0], peers[-1][1] / peers[0][1]
        print(f"{sampler:<10}grows {growth:.2f} times, the peer {peer:.1f}; at most 1.5 is wanted")


@dataclass(frozen=True, slots=True)
class Driven:
    """What a sweep took: CPU seconds at the end of each trial, and bytes."""

    moments: Sequence[float]
    stored: int = 0
    peak: int = 0


def alone(side: Side, *arguments: object) -> Driven:
    """Run a side in a process of its own, and note the most memory that it had."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_watched, side, *arguments).result()


def _watched(side: Side, *arguments: object) -> Driven:
    found = side(*arguments)
    status = Path("/proc/self/status").read_text()
    (kilobytes,) = re.findall(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return replace(found, peak=1024 * int(kilobytes))


def last_tenth(moments: Sequence[float], trials: int) -> float:
    """Seconds a trial over the last tenth of so many, with every slot still in use."""
    last = max(1, trials // 10)
    return (moments[trials - 1] - moments[trials - 1 - last]) / last


def beyond(known: Sequence[tuple[int, float]], trials: int) -> float:
    """A straight line through the last two numbers, if any; none that falls, which is noise."""
    if len(known) < 2:
        return nan
    (a, low), (b, high) = known[-2:]
    return high + max(0.0, high - low) / (b - a) * (trials - b)


def measured(params: Params) -> tuple[float, float]:
    """Accuracy and bytes of a configuration."""
    width, bits = int(params["fc_width_1"]), int(params["bits"])
    rate = float(params["learning_rate"])
    accuracy = 1 - 1 / (1 + width) - 0.5**bits - abs(log10(rate) + 3) / 10
    return accuracy, 100.0 * width * bits


@dataclass
class Watch(Silent):
    """Notes what the process had used when each trial ended."""

    moments: list[float] = field(default_factory=list)

    def trial_ended(self, trial: Trial) -> None:
        """Take a note."""
        self.moments.append(time.process_time())


def driven(sampler: str, trials: int, past: int = 0) -> Driven:
    """Drive a simulated sweep, or what follows so many trials of its past."""
    spec = SweepSpec.model_validate(
        {
            "name": "driven",
            "backbone": {"name": "digitnet", "weights": "scratch"},
            "data": {"name": "digits"},
            "space": SPACE,
            "training": {"epochs": EPOCHS},
            "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
            "sampler": {"kind": sampler},
            "budget": {"trials": trials},
            "execution": {"cache": "off"},
            "tracking": {"kind": "none"},
        }
    )
    with tempfile.TemporaryDirectory(prefix="paretune-bench-") as folder:
        state = StateFolder(Path(folder))
        if past:
            # The spec and the first trial are those of a driver.
            _run(spec.model_copy(update={"budget": BudgetSection(trials=1)}), state)
            fill(state.store_url, spec.search_space, past, _answer)
        watch = _run(spec, state)
        stored = sum(file.stat().st_size for file in Path(folder).glob("*.db*"))
    return Driven(watch.moments, stored)


def _run(spec: SweepSpec, state: StateFolder) -> Watch:
    watch, store = Watch(), open_store(state.store_url)
    executor = SimulatedExecutor(recorded, slots=SLOTS)
    run(spec, store=store, progress=watch, executor=lambda task: executor, state=state)
    store.close()
    return watch


def _answer(params: Params) -> Answer:
    found = recorded(params, 0)
    return found.values, found.reports


def recorded(params: Params, seed: int) -> Recording:
    accuracy, size = measured(params)
    epochs = tuple(Report(n, {"seconds": 1.0, "float_accuracy": accuracy}) for n in (1, 2, 3))
    return Recording(params, seed, {"accuracy": accuracy, "memory_bytes": size}, epochs)


def asked(sampler: str, trials: int) -> Driven:
    """The same for Optuna with RDBStorage, as many trials asked for as there are slots."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = {
        "random": optuna.samplers.RandomSampler,
        "tpe": optuna.samplers.TPESampler,
        "nsga2": optuna.samplers.NSGAIISampler,
    }
    kinds = {
        "fc_width_1": optuna.distributions.IntDistribution(1, 4096),
        "learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True),
        "bits": optuna.distributions.CategoricalDistribution([2, 3, 4, 5, 6, 8]),
    }
    moments = []
    with tempfile.TemporaryDirectory(prefix="paretune-bench-") as folder:
        study = optuna.create_study(
            storage=f"sqlite:///{Path(folder) / 'optuna.db'}",
            sampler=samplers[sampler](seed=0),
            directions=["maximize", "minimize"],
        )
        running = [study.ask(kinds) for _ in range(min(SLOTS, trials))]
        started = len(running)
        while running:
            trial = running.pop(0)
            study.tell(trial, measured(trial.params))
            moments.append(time.process_time())
            if started < trials:
                running.append(study.ask(kinds))
                started += 1
    return Driven(moments)


if __name__ == "__main__":
    main()
