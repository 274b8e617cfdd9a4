"""What does an orchestrator cost beside the training it orchestrates?

The same training function (fine-tune digitnet's head on digits, pack, measure, attack) on the same
number of trials and two CPUs, once through this project and once through the stack that people
glue by hand: Ray Tune with a function trainable, OptunaSearch and MLflowLoggerCallback on SQLite.
The goals are for trials of about a second; ``--epochs`` makes them as long as that. Each side runs
in a process of its own, one after the other. What this project shares between trials (stages,
siblings, fused heads) is off: both sides do the same work.

The ideal is the time spent inside the training function (``train_s`` + ``eval_s``, as the function
itself measures them), summed over trials and divided by the number of CPUs. Printed are two
multiples of it: *steady*, from the first trial's start to the last one's end, and *with start-up*,
from the start of the process to the last trial's end. *Whole* goes on to the end of the process,
where this project also measures the front on the test images, which its peer does not.

Run: ``python benchmarks/bench_overhead.py --trials 64 --rounds 3 --peer-rounds 1 --epochs 10``
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from options import parsed
from overhead_work import CPUS, SPANS_NAME
from side_process import environment

SIDES = ("paretune", "plain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=1, help="one takes minutes")
    parser.add_argument("--epochs", type=int, default=10, help="of a trial")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    options = parsed(parser, trials=2, rounds=1, epochs=1)
    results: dict[str, list[dict[str, float]]] = {side: [] for side in options.sides}
    for number in range(options.rounds):
        for side in options.sides:
            if side == "plain" and number >= options.peer_rounds:
                continue
            results[side].append(measure(side, options.trials, options.epochs))
            print(f"round {number + 1}, {side}: {json.dumps(results[side][-1])}", flush=True)
    print()
    print(f"{options.trials} trials, {CPUS} CPUs, medians of the rounds")
    print(
        f"{'':<10}{'rounds':>7}{'trial s':>9}{'ideal s':>9}"
        f"{'steady':>9}{'with start-up':>15}{'whole':>9}"
    )
    for side, rounds in results.items():
        median = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
        print(
            f"{side:<10}{len(rounds):>7}{median['trial_s']:>9.2f}{median['ideal_s']:>9.1f}"
            f"{median['steady']:>8.2f}x{median['with_startup']:>14.2f}x{median['whole']:>8.2f}x"
        )


def measure(side: str, trials: int, epochs: int) -> dict[str, float]:
    """Run one side in a fresh process and folder; it writes down when its trials ran."""
    with tempfile.TemporaryDirectory(prefix="paretune-bench-") as name:
        folder = Path(name)
        script = Path(__file__).resolve().with_name(f"overhead_{side}.py")
        began = time.time()
        with (folder / "log").open("w") as log:
            process = subprocess.run(
                [sys.executable, str(script), str(trials), str(epochs)],
                cwd=folder,
                env=environment(folder),
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        ended = time.time()
        if process.returncode:
            sys.exit(f"{side} failed:\n{(folder / 'log').read_text()[-4000:]}")
        spans = json.loads((folder / SPANS_NAME).read_text())
    return summary(spans, trials, began, ended)


def summary(
    spans: list[tuple[float, float]], trials: int, began: float, ended: float
) -> dict[str, float]:
    """Turn the end and the length of each trial into multiples of the ideal."""
    if len(spans) != trials:
        sys.exit(f"{len(spans)} trials ran instead of {trials}; the comparison would be unfair.")
    training = sum(length for _, length in spans)
    ideal = training / CPUS
    first, last = min(end - length for end, length in spans), max(end for end, _ in spans)
    return {
        "trial_s": round(training / trials, 3),
        "ideal_s": round(ideal, 2),
        "steady": round((last - first) / ideal, 3),
        "with_startup": round((last - began) / ideal, 3),
        "whole": round((ended - began) / ideal, 3),
    }


if __name__ == "__main__":
    main()
