"""What does a reproducible sweep cost in waiting, where trials take very unequal times?

Trials run on a simulated clock through the whole driver, as they come and with
``execution: {reproducible: true}``. Their seconds are log-normal; sigma 1 means that one in six
takes more than 2.7 times the median, sigma 0 that all take the same. Printed is the median over
the seeds of the simulated time of a reproducible sweep by that of the usual one.

Run: ``python benchmarks/bench_reproducible.py``; ``--quick`` takes seconds.
"""

import argparse
import math
import random
import statistics
import tempfile
from pathlib import Path

from options import parsed

from orchestrator.driver.running import run
from orchestrator.simulation.executor import SimulatedExecutor
from orchestrator.simulation.table import Recording
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import Params, Report

SLOTS, SIGMAS = (2, 4, 8, 16), (0.0, 0.5, 1.0, 1.5)


def seconds_of(trials: int, slots: int, sigma: float, seed: int, *, reproducible: bool) -> float:
    """Return the simulated seconds of a sweep."""
    execution = {"reproducible": reproducible, "max_slots": slots, "cache": "off"}
    spec = SweepSpec.model_validate(
        {
            "name": "unequal",
            "backbone": {"name": "digitnet", "weights": "scratch"},
            "data": {"name": "digits"},
            "space": {"learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1}},
            "training": {"epochs": 1},
            "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
            "sampler": "random",
            "budget": trials,
            "execution": execution,
            "tracking": "none",
            "seed": seed,
        }
    )

    def lookup(params: Params, of: int) -> Recording:
        took = math.exp(random.Random(str(params)).gauss(0, sigma))  # noqa: S311 - no secret
        values = {"accuracy": 0.5, "memory_bytes": 1.0, "train_s": took, "eval_s": 0.0}
        return Recording(params, of, values, (Report(1, {"seconds": took}),))

    executor = SimulatedExecutor(lookup, slots=slots)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'sweeps.db'}")
        run(spec, store=store, executor=lambda _: executor, state=StateFolder(Path(folder)))
        store.close()
    return executor.clock()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200, help="of each sweep")
    parser.add_argument("--seeds", type=int, default=3, help="of which medians are shown")
    options = parsed(parser, trials=40, seeds=1)
    trials, seeds = options.trials, options.seeds
    print(f"{trials} trials, median of {seeds}: reproducible / usual")
    print("slots  " + "  ".join(f"sigma {sigma:3g}" for sigma in SIGMAS))
    for slots in SLOTS:
        ratios = []
        for sigma in SIGMAS:
            each = [
                seconds_of(trials, slots, sigma, seed, reproducible=True)
                / seconds_of(trials, slots, sigma, seed, reproducible=False)
                for seed in range(seeds)
            ]
            ratios.append(statistics.median(each))
        print(f"{slots:5}  " + "  ".join(f"{ratio:9.2f}" for ratio in ratios), flush=True)


if __name__ == "__main__":
    main()
