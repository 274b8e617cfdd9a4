"""Does a search lose anything when TPE sees a window of the trials instead of all of them?

Both search the same synthetic problem, ZDT1 of four parameters, with the same seeds; compared is
the hypervolume of what they found (reference point 1.1, 1.1; at most 0.877) after some numbers of
trials. Both begin alike, until the window is full.

Run: ``python benchmarks/bench_window.py --seeds 10 --trials 300``

E. Zitzler, K. Deb, L. Thiele. Comparison of multiobjective evolutionary algorithms: empirical
results. Evolutionary Computation 8(2), 2000. https://doi.org/10.1162/106365600568202
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from unittest.mock import patch

import numpy as np
from options import parsed

from orchestrator.objectives import Direction, Objective
from orchestrator.pareto.dominance import hypervolume
from orchestrator.sampling import build_sampler, optuna_sampler
from orchestrator.sampling.history_window import horizon
from orchestrator.testing.sampler_contract import Loop
from orchestrator.trials import TrialState, Value
from search_spaces import Float, SearchSpace

SPACE = SearchSpace({name: Float(0.0, 1.0) for name in ("x", "y", "z", "u")})
LOSSES = (Objective("a", Direction.MINIMIZE), Objective("b", Direction.MINIMIZE))
CORNER = np.array([1.1, 1.1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--kind", default="tpe")
    options = parsed(parser, seeds=2, trials=160)
    marks = [mark for mark in (150, 200, 250, 300, 400, 600) if mark <= options.trials]
    volumes: dict[str, list[list[float]]] = {"window": [], "all": []}
    for seed in range(options.seeds):
        for name, chosen in (("window", horizon), ("all", lambda _: 0)):
            began = time.process_time()
            with patch.object(optuna_sampler, "horizon", chosen):
                sampler = build_sampler(options.kind, SPACE, LOSSES, (), seed)
                loop = Loop(sampler, zdt1, in_flight=4).run(options.trials)
            spent = time.process_time() - began
            losses = np.array([[t.values["a"], t.values["b"]] for t in loop.trials])
            volumes[name].append([hypervolume(losses[:mark], CORNER) for mark in marks])
            shown = "  ".join(f"{v:.4f}" for v in volumes[name][-1])
            print(f"seed {seed} {name:>6}: {shown}  {spent:.1f} s of CPU", flush=True)
    for place, mark in enumerate(marks):
        ours, full = ([run[place] for run in volumes[name]] for name in ("window", "all"))
        lead = [a - b for a, b in zip(ours, full, strict=True)]
        error = statistics.stdev(lead) / len(lead) ** 0.5
        print(
            f"after {mark} trials: window {statistics.mean(ours):.4f}, all "
            f"{statistics.mean(full):.4f}, difference {statistics.mean(lead):+.4f} "
            f"(standard error {error:.4f}, {len(lead)} seeds)"
        )


def zdt1(params: Mapping[str, Value]) -> tuple[TrialState, Mapping[str, float]]:
    """Two losses; the front is y = z = u = 0."""
    first, *rest = (float(params[name]) for name in SPACE.names)
    slope = 1 + 9 * sum(rest) / len(rest)
    return TrialState.COMPLETE, {"a": first, "b": slope * (1 - (first / slope) ** 0.5)}


if __name__ == "__main__":
    main()
