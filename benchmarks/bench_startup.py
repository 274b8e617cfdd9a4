"""How long is it to the first epoch of a sweep, and from the last trial to the end?

*Floor*: a process that starts Ray and as many actors as a sweep of two trials has, each of which
imports torch. *First step*: until the first epoch of that sweep was reported, from the start of
``paretune run``; at most 1.3 times the floor is wanted. *End*: from the end of its last trial to
the end of the process, in which the front is measured on the test images, less what that takes of
a CPU in a process that has imported everything; at most 3 s are wanted. *Inline*: ``paretune run``
with four trials on digits and `execution: inline`, from its start to its end; at most 10 s are
wanted. The sides take turns; the least of the rounds is printed beside the median,
because a busy machine only adds.

Run: ``python benchmarks/bench_startup.py --rounds 5``
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import yaml
from options import parsed
from side_process import environment
from startup_side import SECONDS_NAME, SLOTS, SWEEP
from startup_watch import BEGAN

INLINE_TRIALS = 4
HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parsed(parser, rounds=1)
    rounds: list[dict[str, float]] = []
    for number in range(options.rounds):
        rounds.append(measure())
        shown = {key: round(value, 2) for key, value in rounds[-1].items()}
        print(
            f"round {number + 1}, load {os.getloadavg()[0]:.1f}: {json.dumps(shown)}", flush=True
        )
    print(f"\n{'':<34}{'median':>8}{'least':>8}")
    for key, words in {
        "floor_s": "floor, s",
        "first_s": "first step, s",
        "first": "first step, times the floor",
        "end_s": "end without the front's CPU, s",
        "inline_s": "inline sweep of 4 trials, s",
        "inline_cpu_s": "its CPU, s",
    }.items():
        found = [each[key] for each in rounds]
        print(f"{words:<34}{statistics.median(found):>8.2f}{min(found):>8.2f}")


def measure() -> dict[str, float]:
    """Run each side once."""
    with tempfile.TemporaryDirectory(prefix="paretune-bench-") as name:
        folder = Path(name)
        found = side("floor", folder) | sweep(folder)
        found |= side("front", folder)
        inline_s, inline_cpu_s = run(
            folder, {"name": "inline", "budget": INLINE_TRIALS, "execution": "inline"}
        )
    return {
        "floor_s": found["floor_s"],
        "first_s": found["first_s"],
        "first": found["first_s"] / found["floor_s"],
        "last_s": found["last_s"],
        "whole_s": found["whole_s"],
        "front_cpu_s": found["front_cpu_s"],
        "end_s": found["whole_s"] - found["last_s"] - found["front_cpu_s"],
        "inline_s": inline_s,
        "inline_cpu_s": inline_cpu_s,
    }


def side(name: str, folder: Path) -> dict[str, float]:
    """Run a side of `startup_side`; its seconds."""
    timed([sys.executable, str(HERE / "startup_side.py"), name, repr(time.time())], folder)
    return dict(json.loads((folder / SECONDS_NAME).read_text()))


def sweep(folder: Path) -> dict[str, float]:
    """Run the sweep of two trials; its seconds."""
    watch = f"{HERE / 'startup_watch.py'}:Watch"
    whole_s, _ = run(folder, {"budget": SLOTS, "callbacks": [watch]})
    return {"whole_s": whole_s, **json.loads((folder / SECONDS_NAME).read_text())}


def run(folder: Path, changes: Mapping[str, object]) -> tuple[float, float]:
    """Run ``paretune run``; seconds on the clock, and of the CPU."""
    file = folder / "sweep.yaml"
    file.write_text(yaml.safe_dump({**SWEEP, **changes}))
    return timed([str(Path(sys.executable).with_name("paretune")), "run", str(file)], folder)


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Run a command in a folder; seconds on the clock, and of the CPU with its children."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    with (folder / "log").open("w") as log:
        process = subprocess.run(
            command,
            cwd=folder,
            env={**environment(folder), BEGAN: repr(began)},
            stdout=log,
            stderr=log,
            check=False,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{(folder / 'log').read_text()[-4000:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.time() - began, used


if __name__ == "__main__":
    main()
