"""What does a search cost when trials share features and trainings, beside one where none does?

The trials of the demo's setting (digitnet, pre-trained, frozen; 1,797 digits; 12 epochs; PGD with
10 steps): every pair of 3 widths and 4 bit-widths, one after another in one process on one thread.
Without a cache; with an empty one, in which 3 trainings and one set of features are computed; and
with the cache that this left, as another sweep or another attack would find it. What the trials
measure is compared bit by bit. CPU time, not wall clock, so that a busy machine does not count.

Run: ``OMP_NUM_THREADS=1 python benchmarks/bench_stage_cache.py``
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from options import parsed

from trainers.config import TrialConfig
from trainers.data import DataConfig, ImageData, load_data
from trainers.evaluators.config import AttackConfig
from trainers.stages.cache import StageCache
from trainers.trial.run import TrialRun

TIMES = ("train_s", "eval_s", "cached_stages")
Values = list[dict[str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--bits", type=int, nargs="+", default=[3, 4, 6, 8])
    options = parsed(parser, widths=[16], bits=[3, 8])
    trials = list(configs(options.widths, options.bits))
    data = load_data(DataConfig(name="digits"))
    with tempfile.TemporaryDirectory() as folder:
        cache = StageCache(str(Path(folder) / "cache"), 1e9)
        run(data, None, Path(folder), trials[:1])  # the first one loads libraries
        print(f"{'':<14}{'CPU s':>8}{'training':>10}{'measuring':>11}{'ratio':>8}   stages taken")
        off = timed("no cache", trials, data, None, Path(folder), 0.0)
        cold = timed("empty cache", trials, data, cache, Path(folder), off[0])
        warm = timed("filled cache", trials, data, cache, Path(folder), off[0])
        assert off[1] == cold[1] == warm[1], "a cache changed what a trial measured"
        print(f"{len(off[1])} trials, with the same values to the last bit in all three")


def timed(
    name: str,
    trials: list[TrialConfig],
    data: ImageData,
    cache: StageCache | None,
    folder: Path,
    off_s: float,
) -> tuple[float, Values]:
    """CPU seconds of all trials, and what they measured."""
    began = time.process_time()
    measured, training_s, taken = run(data, cache, folder, trials)
    seconds = time.process_time() - began
    ratio = f"{off_s / seconds:.1f}x" if off_s else ""
    measuring_s = seconds - training_s
    print(
        f"{name:<14}{seconds:>8.1f}{training_s:>10.1f}{measuring_s:>11.1f}{ratio:>8}{taken:>8.0f}",
        flush=True,
    )
    return seconds, measured


def configs(widths: Sequence[int], choices: Sequence[int]) -> Iterator[TrialConfig]:
    attack = {"robust_accuracy": AttackConfig("pgd", 8 / 255, steps=10)}
    for width, bits in product(widths, choices):
        yield TrialConfig(
            backbone="digitnet",
            weights="bundled",
            widths=(width,),
            bits=bits,
            fc_bits=bits,
            epochs=12,
            attacks=attack,
        )


def run(
    data: ImageData, cache: StageCache | None, folder: Path, trials: list[TrialConfig]
) -> tuple[Values, float, float]:
    """What the trials measured, CPU seconds before they measured it, and stages they took."""
    measured, training_s, taken = [], 0.0, 0.0
    for config in trials:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            began = time.process_time()
            trial = TrialRun(config, data, Path(place), cache=cache)
            trial.advance(to_epoch=config.epochs, seconds=1e9)
            training_s += time.process_time() - began
            values = dict(trial.measure().values)
        taken += values["cached_stages"]
        measured.append({name: v for name, v in values.items() if name not in TIMES})
    return measured, training_s, taken


if __name__ == "__main__":
    main()
