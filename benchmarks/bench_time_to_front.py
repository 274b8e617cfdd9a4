"""How long until the front is there? Frozen backbone, FC size x bit-width x robustness, real data.

One space of 16 widths x 5 bit-widths, three objectives, the same training, quantization and attack
for every side (`time_to_front_work.py`), each side in a process of its own, one after the other:
this project; Ray Tune + OptunaSearch + MLflow glued by hand; plain Optuna in a loop. The clock
starts with the process, so that imports and servers count.

This project measures all 80 configurations, so that its last front is the whole space's: the
reference. Its hypervolume, between the ideal point and the worst values of the space, is 100 %.
Printed is when each side's measured trials first reached 99 % of it. A peer that needs longer than
``--limit`` times this project's time is ended then, and its ratio is a lower bound.

``digits`` are 1,797 images behind a frozen digitnet, attacked by PGD with an epsilon of 8/255;
``cifar``, of the folder ``PARETUNE_BENCH_CIFAR``, is CIFAR-10 behind a frozen ResNet-20, with
1/255: under more a network that was not hardened gets no image right, whatever its head.

Run: ``python benchmarks/bench_time_to_front.py --data digits cifar --rounds 3 3``
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import time_to_front_work as work
from options import parsed
from side_process import environment

from orchestrator.pareto.dominance import hypervolume

SHARE = 0.99
PEERS = ("plain", "optuna")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, nargs="+", default=[3], help="for each of --data; the last for more"
    )
    parser.add_argument("--limit", type=float, default=25.0, help="times this project's time")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--data", nargs="*", choices=("digits", "cifar"), default=("digits",))
    options = parsed(parser, rounds=[1], limit=1.0, peers=PEERS[:1])
    more = repeat(options.rounds[-1])
    for data, rounds in zip(options.data, chain(options.rounds, more), strict=False):
        os.environ["PARETUNE_BENCH_DATA"] = data
        measure(data, rounds, options)


def measure(data: str, rounds: int, options: argparse.Namespace) -> None:
    """Run all sides on some data, and print how they compare."""
    times: dict[str, list[float]] = {side: [] for side in ("paretune", *options.peers)}
    reached = dict.fromkeys(times, 0)
    for seed in range(rounds):
        began, rows = run_side("paretune", seed)
        space = Space(rows[:, 1:])
        whole = space.reached(rows)
        assert whole is not None, "all of the space is all of its hypervolume"
        ours = whole - began
        for side in times:
            taken, found = ours, True
            if side != "paretune":
                begun, rows = run_side(side, seed, space=space, limit_s=options.limit * ours)
                moment = space.reached(rows)
                found = moment is not None
                taken = (time.time() if moment is None else moment) - begun
            times[side].append(taken)
            reached[side] += found
            text = "" if found else f" without reaching {SHARE:.0%}"
            print(
                f"{data}, seed {seed}, {side}: {taken:.1f} s{text}, {len(rows)} trials", flush=True
            )
    print(f"\n{data}, {work.CPUS} CPUs, medians of {rounds} seeds")
    print(f"{'':<10}{'s to 99 %':>10}{'ratio':>8}{'reached':>9}")
    ours = statistics.median(times["paretune"])
    for side, seconds in times.items():
        median = statistics.median(seconds)
        share = f"{reached[side]}/{rounds}"
        # A method that never got there needs longer than it was given.
        ratio = f"{'>' if reached[side] < rounds else ''}{median / ours:.1f}x"
        print(f"{side:<10}{median:>10.1f}{ratio:>8}{share:>9}")
    print(flush=True)


class Space:
    """The whole space's values: what counts as all of the hypervolume.

    Args:
        values: Of every configuration, a column an objective.
    """

    def __init__(self, values: np.ndarray) -> None:
        losses = values * _signs()
        self._low, self._high = losses.min(axis=0), losses.max(axis=0)
        self._whole = self._volume(losses)

    def reached(self, rows: np.ndarray) -> float | None:
        """When the rows (moment, values) first had the share of the hypervolume."""
        losses = rows[:, 1:] * _signs()
        # It only grows.
        low, high = 0, len(rows)
        if not high or self._volume(losses) < SHARE * self._whole:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            enough = self._volume(losses[:middle]) >= SHARE * self._whole
            low, high = (low, middle) if enough else (middle, high)
        return float(rows[high - 1, 0])

    def _volume(self, losses: np.ndarray) -> float:
        scaled = (losses - self._low) / (self._high - self._low)
        # A little behind the worst values, or the ends of the front would not count.
        return hypervolume(scaled, np.full(scaled.shape[1], 1.05))


def run_side(
    side: str, seed: int, *, space: Space | None = None, limit_s: float = 3600.0
) -> tuple[float, np.ndarray]:
    """Run a side until it ends, is there, or is out of time.

    Returns:
        When its process began, and a row a trial: the moment of its end, and its values.
    """
    with tempfile.TemporaryDirectory(prefix="paretune-bench-") as name:
        folder, log = Path(name), Path(name) / work.LOG_NAME
        script = Path(__file__).resolve().with_name("time_to_front_sides.py")
        began = time.time()
        with (folder / "output").open("w") as output:
            process = subprocess.Popen(
                [sys.executable, str(script), side, str(log), str(seed)],
                cwd=folder,
                env=environment(folder, threads=work.CPUS if side == "optuna" else 1),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while process.poll() is None and time.time() - began < limit_s:
            time.sleep(0.5)
            if space is not None and space.reached(_rows(log)) is not None:
                break
        if process.poll():
            sys.exit(f"{side} failed:\n{(folder / 'output').read_text()[-4000:]}")
        _end(process)
        return began, _rows(log)


def _rows(log: Path) -> np.ndarray:
    lines = log.read_text().splitlines() if log.exists() else []
    rows = [json.loads(line) for line in lines]
    values = [[row["at"], *(row[name] for name in work.OBJECTIVES)] for row in rows]
    return np.array(values, dtype=np.float64).reshape(-1, 1 + len(work.OBJECTIVES))


def _signs() -> np.ndarray:
    return np.array([-1 if way == "maximize" else 1 for way in work.OBJECTIVES.values()])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a side and everything that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    main()
