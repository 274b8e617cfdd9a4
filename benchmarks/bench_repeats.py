"""How many of 80 trials repeat a configuration that was tried before?

A space of 16 widths x 5 bit-widths, 8 trials in flight, as a small search on two workers of four
threads has them. Ours propose through `orchestrator.sampling`, the peer is Optuna itself with its
defaults: ask, run, tell. A repeat is a trial whose configuration an earlier one had; both sides
are counted by the same function. The space has exactly 80 configurations, so a search without
repeats has seen all of it.

Run: ``python benchmarks/bench_repeats.py --seeds 5`` (``--quick``: without gp)
"""

import argparse
import logging
import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import optuna
from options import parsed

from orchestrator.sampling import SAMPLERS, build_sampler
from orchestrator.testing.sampler_contract import OBJECTIVES, SMALL, Loop, measured

TRIALS, IN_FLIGHT = 80, 8
PEERS: Mapping[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    options = parsed(parser, seeds=1)
    optuna.logging.set_verbosity(logging.ERROR)
    print(f"repeats in {TRIALS} trials, {IN_FLIGHT} in flight, {options.seeds} seeds")
    for kind in SAMPLERS:
        # A Gaussian process takes seconds an ask: one seed says enough of a promise.
        seeds = range(1 if kind == "gp" else options.seeds)
        if kind == "gp" and options.quick:
            continue
        own = [repeats(by_us(kind, seed)) for seed in seeds]
        line = f"{kind:<7} ours {shown(own)}"
        if kind in PEERS:
            line += f"   Optuna {shown([repeats(by_optuna(kind, seed)) for seed in seeds])}"
        print(line, flush=True)
        assert not any(own)


def by_us(kind: str, seed: int) -> Sequence[Mapping[str, object]]:
    # One objective for the Gaussian process: with two an ask takes several times as long.
    objectives = OBJECTIVES[:1] if kind == "gp" else OBJECTIVES
    sampler = build_sampler(kind, SMALL, objectives, (), seed)
    return Loop(sampler, in_flight=IN_FLIGHT).run(TRIALS).params


def by_optuna(kind: str, seed: int) -> Sequence[Mapping[str, object]]:
    study = optuna.create_study(
        directions=[each.direction.value for each in OBJECTIVES], sampler=PEERS[kind](seed)
    )
    running: deque[optuna.Trial] = deque()
    for _ in range(TRIALS):
        trial = study.ask()
        trial.suggest_int("width", 1, 16)
        trial.suggest_categorical("bits", (2, 3, 4, 6, 8))
        running.append(trial)
        if len(running) == IN_FLIGHT:
            told(study, running.popleft())
    while running:
        told(study, running.popleft())
    return [trial.params for trial in study.trials]


def told(study: optuna.Study, trial: optuna.Trial) -> None:
    values = measured(trial.params)[1]
    study.tell(trial, [values[each.name] for each in OBJECTIVES])


def repeats(params: Sequence[Mapping[str, object]]) -> int:
    assert len(params) == TRIALS
    return len(params) - len({tuple(sorted(each.items())) for each in params})


def shown(counts: Sequence[int]) -> str:
    share = statistics.median(counts) / TRIALS
    return f"{statistics.median(counts):4.1f} ({share:4.0%}, {min(counts)} to {max(counts)})"


if __name__ == "__main__":
    main()
