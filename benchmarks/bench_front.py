"""How long does the front of very many trials take, beside `mlflow.search_runs` and a front?

Both hold the same trials: 6 parameters and 6 values each, 3 of them objectives. Ours are in
SQLite and, where a server can be started, in PostgreSQL; MLflow reads its SQLite file directly,
without a server between. All are filled by bulk SQL, not trial by trial; ours is then told that
the sweep is over, which packs its columns as a driver does. Timed is the whole question in a
process that has asked before: the store is opened, the front found and its members read. The peer
fetches the runs and finds the front with the same function as we do (moocore), which is kinder to
it than most scripts. Both must find the same members. With a filter the trials are those with at
most 4 bits and an accuracy of 0.5 or more.

The peer is measured at 100,000 runs only if that would take less than 3 minutes, and otherwise
extrapolated in proportion from 10,000, which is said.

Run: ``python benchmarks/bench_front.py`` (``--quick``: without PostgreSQL)
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
from options import parsed
from sqlalchemy import create_engine, insert, text

from orchestrator.pareto.dominance import non_dominated
from orchestrator.queries.sweeps import open_sweep
from orchestrator.storage import open_store
from orchestrator.storage.tables import attempts, sweeps, trial_values, trials
from orchestrator.trials import SweepState

OBJECTIVES = {"accuracy": "maximize", "memory_bytes": "minimize", "robust_accuracy": "maximize"}
VALUES = (*OBJECTIVES, "params", "train_s", "eval_s")
FILTER = "bits <= 4 and accuracy >= 0.5"
CHUNK, PATIENCE_S = 5_000, 180.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=5)
    options = parsed(parser, sizes=[1_000], repeats=1)
    logging.disable(logging.WARNING)
    known: list[tuple[int, float, float]] = []  # size, seconds of the peer without and with
    print("trials    where       filter      ours       peer      ratio")
    with postgres(wanted=not options.quick) as server:
        for size in options.sizes:
            peer, members = asked_mlflow(size, known)
            for url in dict.fromkeys((None, server)):
                for where, seconds in zip((None, FILTER), ours(size, url, options), strict=True):
                    found, spent = seconds
                    if members is not None:
                        assert found == members[where], "the two fronts differ"
                    theirs, note = peer[where]
                    print(
                        f"{size:>7,}   {'PostgreSQL' if url else 'SQLite':<10}  "
                        f"{'yes' if where else 'no':<6}  {spent:>8.4f} s {theirs:>8.2f} s  "
                        f"{theirs / spent:>8,.0f}{note}",
                        flush=True,
                    )


def table(size: int) -> tuple[list[dict[str, object]], np.ndarray]:
    """Parameters and values of trials whose front is no more than a few hundred."""
    rng = np.random.default_rng(size)
    params = [
        {
            "fc_layers": int(rng.integers(1, 3)),
            "fc_width_1": int(rng.integers(8, 513)),
            "bits": int(rng.choice([2, 3, 4, 6, 8])),
            "learning_rate": float(10 ** rng.uniform(-4, -1)),
            "augment": bool(rng.integers(2)),
            "optimizer": str(rng.choice(["sgd", "adamw"])),
        }
        for _ in range(size)
    ]
    return params, rng.random((size, len(VALUES)))


def ours(
    size: int, server: str | None, options: argparse.Namespace
) -> Iterator[tuple[set[int], float]]:
    """Members and median seconds, without and with the filter."""
    with tempfile.TemporaryDirectory() as folder:
        url = server or f"sqlite:///{folder}/sweeps.db"
        fill_ours(url, size)
        for where in (None, FILTER):
            spent = []
            for _ in range(1 + options.repeats):
                began = time.perf_counter()
                store = open_store(url, create=False)
                front = open_sweep("bench", store).front(where=where)
                spent.append(time.perf_counter() - began)
                store.close()
            yield {member.trial for member in front}, statistics.median(spent[1:])
        if server:
            empty(url)


def fill_ours(url: str, size: int) -> None:
    spec = {
        "objectives": OBJECTIVES,
        "space": {name: {"type": "int"} for name in table(1)[0][0]},
        "backbone": {"name": "digitnet", "weights": "bundled"},
        "data": {"name": "digits"},
    }
    store = open_store(url)
    store.create_sweep("bench", spec, "f")
    engine = create_engine(url)
    params, values = table(size)
    with engine.begin() as connection:
        sweep = connection.scalar(sweeps.select().with_only_columns(sweeps.c.id))
        for first in range(0, size, CHUNK):
            numbers = range(first, min(first + CHUNK, size))
            rows = [
                {
                    "id": n + 1, "sweep_id": sweep, "number": n, "params": params[n], "seed": n,
                    "replicate": 0, "state": "complete", "attempts": 1, "sampler_attrs": {},
                    "artifact_path": f"trials/{n:05}/network.safetensors", "artifact_bytes": 1,
                    "artifact_sha256": "0" * 64, "created": NOW, "ended": NOW,
                }
                for n in numbers
            ]  # fmt: skip
            connection.execute(insert(trials), rows)
            keys = [{"trial_id": n + 1} for n in numbers]
            run = {"number": 0, "state": "complete", "worker": "w", "started": NOW, "ended": NOW}
            connection.execute(insert(attempts), [{**key, **run} for key in keys])
            measured = [
                {"trial_id": n + 1, "name": name, "value": value}
                for n in numbers
                for name, value in zip(VALUES, values[n].tolist(), strict=True)
            ]
            connection.execute(insert(trial_values), measured)
    engine.dispose()
    writer = store.take("bench", "benchmark")
    writer.set_sweep_state(SweepState.COMPLETE)
    writer.release()
    store.close()


def empty(url: str) -> None:
    engine = create_engine(url)
    names = (
        "sweeps, trials, attempts, trial_values, reports, outbox, blocks, prior_points, choices"
    )
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    engine.dispose()


def asked_mlflow(
    size: int, known: list[tuple[int, float, float]]
) -> tuple[dict[str | None, tuple[float, str]], dict[str | None, set[int]] | None]:
    """Seconds of the peer without and with the filter, and whom it found, if it was asked."""
    if known and known[-1][1] * size / known[-1][0] > PATIENCE_S:
        last, plain, filtered = known[-1]
        note = f"  (peer extrapolated from {last:,})"
        times = size / last
        return {None: (plain * times, note), FILTER: (filtered * times, note)}, None
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        experiment = mlflow.create_experiment("bench", artifact_location=folder)
        fill_mlflow(Path(folder) / "mlflow.db", experiment, size)
        repeats = 1 if size > 10_000 else 3
        found = {where: timed(partial(by_mlflow, where), repeats) for where in (None, FILTER)}
    known.append((size, found[None][1], found[FILTER][1]))
    members = {where: front for where, (front, _) in found.items()}
    return {where: (spent, "") for where, (_, spent) in found.items()}, members


def fill_mlflow(path: Path, experiment: str, size: int) -> None:
    params, values = table(size)
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for first in range(0, size, CHUNK):
            numbers = range(first, min(first + CHUNK, size))
            connection.execute(
                text(
                    "INSERT INTO runs (run_uuid, name, source_type, source_name, user_id, status,"
                    " start_time, end_time, lifecycle_stage, artifact_uri, experiment_id) VALUES "
                    "(:id, :id, 'LOCAL', '', 'u', 'FINISHED', 0, 1, 'active', '', :experiment)"
                ),
                [{"id": f"{n:032}", "experiment": experiment} for n in numbers],
            )
            connection.execute(
                text("INSERT INTO params (key, value, run_uuid) VALUES (:key, :value, :id)"),
                [
                    {"key": key, "value": str(value), "id": f"{n:032}"}
                    for n in numbers
                    for key, value in params[n].items()
                ],
            )
            connection.execute(
                text(
                    "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
                    "VALUES (:key, :value, 0, 0, 0, :id)"
                ),
                [
                    {"key": key, "value": value, "id": f"{n:032}"}
                    for n in numbers
                    for key, value in zip(VALUES, values[n].tolist(), strict=True)
                ],
            )
    engine.dispose()


def by_mlflow(where: str | None) -> set[int]:
    """The members' numbers, as a script on MLflow finds them."""
    runs = mlflow.search_runs(
        experiment_names=["bench"],
        filter_string="metrics.accuracy >= 0.5" if where else "",
        max_results=1_000_000,
    )
    if where:
        # MLflow's params are texts, which it cannot compare as numbers.
        runs = runs[runs["params.bits"].astype(int) <= 4]
    signs = [1 if goal == "minimize" else -1 for goal in OBJECTIVES.values()]
    losses = runs[[f"metrics.{name}" for name in OBJECTIVES]].to_numpy() * signs
    return {int(run) for run in runs["run_id"][non_dominated(losses)]}


def timed(ask: Callable[[], set[int]], repeats: int) -> tuple[set[int], float]:
    spent = []
    for _ in range(repeats):
        began = time.perf_counter()
        found = ask()
        spent.append(time.perf_counter() - began)
    return found, statistics.median(spent)


@contextmanager
def postgres(*, wanted: bool) -> Iterator[str | None]:
    """URL of a PostgreSQL server of our own, None where none can be started."""
    sys.path.append(str(Path(__file__).parents[1]))
    from tests.servers import PostgresServer, postgres_programs

    programs = postgres_programs() if wanted else None
    if programs is None:
        yield None
        return
    server = PostgresServer(programs)
    try:
        yield server.url
    finally:
        server.end()


if __name__ == "__main__":
    main()
