"""Which search finds the Pareto fronts of public tables?

Each table (CSV, see docs/guides/simulate-a-search.md) is searched by every side with the same
seeds, slots and simulated seconds, which are those of `--trainings` average trainings:

* *paretune*: each of our samplers, with MO-ASHA too where the table has curves. Sizes that are
  objectives are known before training, as in a real sweep; *blind* does without;
* *Optuna*: TPE, NSGA-II and GP, asked and told as OptunaSearch does, every trial to its end. What
  has an order is an integer, all else a choice; generations are of 20, as ours;
* *Syne Tune*: MO-ASHA on random proposals, and regularized evolution with a population of 20; with
  `--ehvi` its BoTorch searcher too. Where `--syne-tune`, or ``PARETUNE_BENCH_SYNE_TUNE``, names
  the Python of an environment that has it.

Printed for each table: the median over the seeds of the base-10 logarithm of what is missing of
the front's volume in the end, measured from close behind the front, with a bootstrapped 95 %
interval; the share that was missing on average over the time; the additive epsilon; the share of
the time after which a side had what Optuna's TPE had in the end with the same seed (*as TPE*); and
the p-value (Wilcoxon's signed ranks over the seeds, Holm's correction over the sides) of a
difference from `--candidate`. Ranked are the sides that have all seeds of the candidate; one that
has fewer, because it is slow, is shown without a rank. Over all tables, and over those with
curves: mean ranks, each table counting as much, with Friedman's test and Nemenyi's critical
difference.

Run: ``python benchmarks/bench_tables.py TABLE.csv.gz ... --out results.jsonl``; what the file
holds already is not run again.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from options import parsed
from scipy import stats
from tables_plot import write_plot
from tables_sides import POINTS, Arena, Side, as_record, optuna_side, ours, syne_tune_side

from orchestrator.analysis.statistics.corrections import holm
from orchestrator.pareto.indicators import log_difference
from orchestrator.simulation.foreign import sweep_of
from orchestrator.simulation.table import Recording
from orchestrator.simulation.table_files import read_table

TABLES = Path(__file__).parent / "tables"
GENERATION = 20
SLOW = ("gp", "EHVI")
PEER = "Optuna TPE"
Found = Mapping[tuple[str, str], Mapping[int, dict[str, Any]]]


def main() -> None:
    own = os.environ.get("PARETUNE_BENCH_SYNE_TUNE")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", type=Path, nargs="*", default=[TABLES / "fashion.csv.gz"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--slow-seeds", type=int, help="of Gaussian processes of peers, and ours")
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--trainings", type=int, default=96)
    parser.add_argument("--peer-cpu", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument("--syne-tune", metavar="PYTHON", default=own)
    parser.add_argument("--ehvi", action="store_true", help="needs BoTorch beside Syne Tune")
    parser.add_argument("--sides", nargs="+", metavar="SIDE", help="only these")
    parser.add_argument("--candidate", default="paretune auto", help="compared with all others")
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON lines; continued")
    parser.add_argument("--plot", type=Path, metavar="FILE.html", help="anytime curves")
    options = parsed(parser, seeds=2, slow_seeds=0, trainings=16, peer_cpu=5.0)
    found = stored(options.out)
    for path in options.tables:
        measure(path, options, found)
    report(found, options.candidate)
    if options.plot:
        write_plot(found, options.plot)


def sides(options: argparse.Namespace, *, curves: bool) -> dict[str, Side]:
    """All sides by their names."""
    samplers = {
        "TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
        "NSGA-II": lambda seed: optuna.samplers.NSGAIISampler(
            seed=seed, population_size=GENERATION
        ),
        "gp": lambda seed: optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False),
    }
    every: dict[str, Side] = {
        "paretune auto": ours("auto"),
        "paretune auto, blind": ours("auto", blind=True),
        **{f"paretune {kind}": ours(kind) for kind in ("tpe", "nsga2", "random", "gp")},
    }
    if curves:
        every |= {
            f"paretune {kind}, MO-ASHA": ours(kind, "moasha") for kind in ("auto", "tpe", "random")
        }
    every |= {f"Optuna {name}": optuna_side(make) for name, make in samplers.items()}
    if options.syne_tune:
        every["Syne Tune MO-REA"] = syne_tune_side(options.syne_tune, "rea")
        if curves:
            every["Syne Tune MO-ASHA"] = syne_tune_side(options.syne_tune, "moasha")
        if options.ehvi:
            every["Syne Tune EHVI"] = syne_tune_side(options.syne_tune, "ehvi")
    if unknown := set(options.sides or ()) - every.keys():
        sys.exit(f"--sides has {', '.join(sorted(unknown))}; there are: {', '.join(every)}")
    return {name: side for name, side in every.items() if name in (options.sides or every)}


def measure(path: Path, options: argparse.Namespace, found: dict[Any, Any]) -> None:
    """Run what is not stored yet, and store it."""
    name = path.name.partition(".")[0]
    table = read_table(path)
    mean_s = statistics.fmean(map(whole_s, table.recordings))
    seconds = options.trainings * mean_s / options.slots
    arena = Arena(table, sweep_of(table), options.slots, seconds, options.peer_cpu)
    spec = arena.spec
    print(
        f"{name}: {table.configurations} configurations, {', '.join(spec.objectives)}; "
        f"{options.slots} slots, {seconds:.0f} simulated seconds",
        flush=True,
    )
    for side, run in sides(options, curves=arena.has_curves).items():
        is_slow = any(word in side for word in SLOW)
        limit = options.slow_seeds if is_slow and options.slow_seeds is not None else options.seeds
        before = found.setdefault((name, side), {})
        began = time.process_time()
        for seed in [each for each in range(limit) if each not in before]:
            before[seed] = as_record(run(arena, seed), seconds)
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps({"table": name, "side": side, **before[seed]}) + "\n")
        print(f"  {side}: {time.process_time() - began:.0f} s of CPU", flush=True)


def whole_s(recording: Recording) -> float:
    """What one trial takes."""
    epochs = sum(report.values["seconds"] for report in recording.reports)
    return max(epochs, recording.values.get("train_s", 0.0)) + recording.eval_s


def stored(path: Path | None) -> dict[tuple[str, str], dict[int, dict[str, Any]]]:
    """What a file of an earlier run holds."""
    found: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for line in path.read_text().splitlines() if path and path.exists() else ():
        record = json.loads(line)
        found.setdefault((record["table"], record["side"]), {})[record["seed"]] = record
    return found


def report(found: Found, candidate: str) -> None:
    """Print a table for each table, and the ranks over all of them."""
    ranks: dict[str, dict[str, float]] = {}
    with_curves: set[str] = set()
    for table in dict.fromkeys(table for table, _ in found):
        rows = {side: runs for (t, side), runs in found.items() if t == table and runs}
        values = {side: ends(runs) for side, runs in rows.items()}
        p_values = differences(values, candidate)
        ranks[table] = ranked(values, candidate)
        with_curves |= {table for side in rows if "MO-ASHA" in side}
        print(f"\n{table}")
        print(
            f"{'':<28}{'seeds':>6}{'complete':>9}{'stopped':>8}{'log diff':>9}  {'95 %':<15}"
            f"{'missing':>8}{'mean':>8}{'epsilon':>8}{'as TPE':>8}{'rank':>6}{'p':>8}"
        )
        for side in sorted(rows, key=lambda side: statistics.median(values[side].values())):
            time_to = as_peer(rows[side], rows.get(PEER, {}))
            print(line(side, rows[side], time_to, ranks[table].get(side), p_values.get(side)))
    overall(ranks)
    if 0 < len(with_curves) < len(ranks):
        overall({table: ranks[table] for table in ranks if table in with_curves})


def line(
    side: str,
    runs: Mapping[int, dict[str, Any]],
    time_to: float | None,
    rank: float | None,
    p: float | None,
) -> str:
    """Write one side's results on one table."""
    found = np.array(list(ends(runs).values()))
    middle = float(np.median(found))
    low, high = interval(found)
    of = {
        key: statistics.median(run[key] for run in runs.values())
        for key in ("complete", "stopped", "mean", "epsilon")
    }
    between = f"{low:.2f} to {high:.2f}"
    return (
        f"{side:<28}{len(runs):>6}{of['complete']:>9.0f}{of['stopped']:>8.0f}{middle:>9.2f}  "
        f"{between:<15}{100 * 10**middle:>6.1f} %{100 * of['mean']:>6.1f} %"
        f"{of['epsilon']:>8.3f}{written(time_to, '.0%'):>8}{written(rank, '.1f'):>6}"
        f"{written(p, '.3f'):>8}"
    )


def written(number: float | None, form: str) -> str:
    """Write a number; a dash for none, and *never* for what was not reached."""
    if number is None:
        return "-"
    return format(number, form) if np.isfinite(number) else "never"


def as_peer(
    runs: Mapping[int, Mapping[str, Any]], peer: Mapping[int, Mapping[str, Any]]
) -> float | None:
    """Give the share of the time to what the peer has in the end, the median over common seeds.

    Infinite where half of the seeds never come to it; None without a common seed.
    """
    shares = []
    for seed in set(runs) & set(peer):
        reached = np.flatnonzero(np.array(runs[seed]["curve"]) >= peer[seed]["curve"][-1])
        shares.append((reached[0] + 1) / POINTS if len(reached) else np.inf)
    return float(np.median(shares)) if shares else None


def ends(runs: Mapping[int, Mapping[str, Any]]) -> dict[int, float]:
    """What was missing at the last second, as a logarithm, by seed."""
    return {seed: log_difference(run["curve"][-1]) for seed, run in sorted(runs.items())}


def interval(values: np.ndarray[Any, Any]) -> tuple[float, float]:
    """A 95 % interval of the median, by the percentiles of 2,000 bootstrap samples."""
    drawn = np.random.default_rng(0).choice(values, (2_000, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return float(low), float(high)


def differences(values: Mapping[str, Mapping[int, float]], candidate: str) -> dict[str, float]:
    """P-values of a difference from the candidate, seed by seed."""
    found: dict[str, float] = {}
    for side, runs in values.items():
        common = sorted(set(runs) & set(values.get(candidate, ())))
        if side == candidate or len(common) < 5:
            continue
        pairs = np.array([(values[candidate][seed], runs[seed]) for seed in common])
        is_equal = np.allclose(pairs[:, 0], pairs[:, 1])
        found[side] = 1.0 if is_equal else float(stats.wilcoxon(*pairs.T).pvalue)
    return dict(zip(found, holm(list(found.values())), strict=True)) if found else {}


def ranked(values: Mapping[str, Mapping[int, float]], candidate: str) -> dict[str, float]:
    """Mean ranks over the candidate's seeds, of the sides that have them all; 1 is the best.

    A side with fewer seeds would have all others ranked by those few.
    """
    most = max(values.values(), key=len)
    seeds = sorted(values.get(candidate, most))
    full = {side: runs for side, runs in values.items() if set(seeds) <= set(runs)}
    blocks = np.array([[runs[seed] for runs in full.values()] for seed in seeds])
    means = stats.rankdata(blocks, axis=1).mean(axis=0)
    return dict(zip(full, means.tolist(), strict=True))


def overall(ranks: Mapping[str, Mapping[str, float]]) -> None:
    """Print mean ranks over tables, of the sides that all of them have."""
    shared = [
        side for side in next(iter(ranks.values())) if all(side in r for r in ranks.values())
    ]
    by_table = np.array([[r[side] for side in shared] for r in ranks.values()])
    by_table = stats.rankdata(by_table, axis=1)
    means = dict(zip(shared, by_table.mean(axis=0).tolist(), strict=True))
    tables = f"{len(ranks)} tables ({', '.join(ranks)})"
    print(f"\nmean ranks over {tables}, of the {len(shared)} sides that all have")
    for side, rank in sorted(means.items(), key=lambda each: each[1]):
        print(f"{side:<28}{rank:>6.2f}")
    for text in significance(by_table):
        print(text)


def significance(by_table: np.ndarray[Any, Any]) -> Iterator[str]:
    tables, count = by_table.shape
    if tables < 2 or count < 3:
        return
    p = stats.friedmanchisquare(*by_table.T).pvalue
    studentized = stats.studentized_range.ppf(0.95, count, np.inf) / np.sqrt(2)
    distance = studentized * np.sqrt(count * (count + 1) / (6 * tables))
    yield f"Friedman p = {p:.3g}; Nemenyi: ranks {distance:.2f} apart differ at 5 %"


if __name__ == "__main__":
    main()
