"""What does the driver cost a trial as a sweep grows?

Simulated trials of no work (an objective each of a synthetic function, three epochs reported at
once) run through the whole driver: proposals, the loop, the store on SQLite. Counted are seconds
of the process on its CPUs a trial, over the last tenth of so many trials, so that what grows with
their number shows; of a small sweep the median of five. A sweep is longer than that by a trial a
slot: at its end none follows a trial that ended, and nothing is proposed any more. The peer is
Optuna as OptunaSearch asks and tells it, with RDBStorage on SQLite, without any loop around it;
beyond `--peer-trials` it is not run but extrapolated, by a straight line through its last two
numbers.

Run: ``python benchmarks/bench_driver.py --trials 100 1000 --samplers random tpe``
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from options import parsed

from orchestrator.contracts import Silent
from orchestrator.driver.running import run
from orchestrator.simulation.executor import SimulatedExecutor
from orchestrator.simulation.table import Recording
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

Side = Callable[[str, int], list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    parser.add_argument("--peer-trials", type=int, default=1_000, help="largest that is run")
    options = parsed(parser, trials=[20, 40], samplers=["random"])
    print(f"{'':<10}{'trials':>8}{'ours ms':>10}{'peer ms':>10}{'ratio':>8}   (CPU a trial)")
    for sampler in options.samplers:
        ours: list[float] = []
        peers: list[tuple[int, float]] = []
        for trials in options.trials:
            # Ten trials are few milliseconds.
            turns = range(max(1, min(5, 500 // trials)))
            ours.append(statistics.median(at(driven, sampler, trials) for _ in turns))
            measured = trials <= options.peer_trials or len(peers) < 2
            cost = at(asked, sampler, trials) if measured else beyond(peers, trials)
            peers.append((trials, cost))
            mark = "" if measured else "  peer extrapolated"
            print(
                f"{sampler:<10}{trials:>8}{1e3 * ours[-1]:>10.1f}{1e3 * cost:>10.1f}"
                f"{cost / ours[-1]:>7.1f}x{mark}",
                flush=True,
            )
        growth, peer = ours[-1] / ours[0], peers[-1][1] / peers[0][1]
        print(f"{sampler:<10}grows {growth:.2f} times, the peer {peer:.1f}; at most 1.5 is wanted")


def at(side: Side, sampler: str, trials: int) -> float:
    """Seconds a trial over the last tenth of so many, with every slot still in use."""
    moments = side(sampler, trials + SLOTS)
    last = max(1, trials // 10)
    return (moments[trials - 1] - moments[trials - 1 - last]) / last


def beyond(known: Sequence[tuple[int, float]], trials: int) -> float:
    """A straight line through the last two numbers; none that falls, which is noise."""
    (a, low), (b, high) = known[-2:]
    return high + max(0.0, high - low) / (b - a) * (trials - b)


def measured(params: Params) -> tuple[float, float]:
    """Accuracy and bytes of a configuration."""
    width, bits = int(params["fc_width_1"]), int(params["bits"])
    rate = float(params["learning_rate"])
    accuracy = 1 - 1 / (1 + width) - 0.5**bits - abs(math.log10(rate) + 3) / 10
    return accuracy, 100.0 * width * bits


@dataclass
class Watch(Silent):
    """Notes what the process had used when each trial ended."""

    moments: list[float] = field(default_factory=list)

    def trial_ended(self, trial: Trial) -> None:
        """Take a note."""
        self.moments.append(time.process_time())


def driven(sampler: str, trials: int) -> list[float]:
    """CPU seconds of the process at the end of each trial of a simulated sweep."""
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
    watch = Watch()
    with tempfile.TemporaryDirectory(prefix="paretune-bench-") as folder:
        state = StateFolder(Path(folder))
        store = open_store(state.store_url)
        executor = SimulatedExecutor(recorded, slots=SLOTS)
        run(spec, store=store, progress=watch, executor=lambda task: executor, state=state)
        store.close()
    return watch.moments


def recorded(params: Params, seed: int) -> Recording:
    accuracy, size = measured(params)
    epochs = tuple(Report(n, {"seconds": 1.0, "float_accuracy": accuracy}) for n in (1, 2, 3))
    return Recording(params, seed, {"accuracy": accuracy, "memory_bytes": size}, epochs)


def asked(sampler: str, trials: int) -> list[float]:
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
    return moments


if __name__ == "__main__":
    main()
