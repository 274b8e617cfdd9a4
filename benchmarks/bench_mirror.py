"""How many trials a second does the mirror copy into MLflow, beside MLflow's own client in a loop?

Both write the same runs into MLflow databases on one PostgreSQL server of our own: a run a trial
with a dozen tags and params, 3 epochs of a metric and 6 final values. The loop is what a script
writes that knows all of it beforehand: `create_run` with the tags, one `log_batch`, then
`set_terminated`. The mirror also reads the trials from its store (on the same server) and records
each run's id; at its end it updates the sweep's own run and draws the front once, which is in its
figure and weighs less the more trials there are. Processor time is that of this process, without
the server's.

Run: ``python benchmarks/bench_mirror.py --trials 500`` (``--quick``: 20 trials)
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from bench_front import empty, fill_ours, postgres
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from options import parsed
from sqlalchemy import create_engine, insert, select, text, update

from orchestrator.contracts import Store
from orchestrator.storage import open_store
from orchestrator.storage.tables import attempts, reports, sweeps, trials
from orchestrator.tracking import MlflowMirror
from orchestrator.tracking.run_content import attempt_content

EPOCHS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=500)
    options = parsed(parser, trials=20)
    logging.disable(logging.WARNING)
    with postgres(wanted=True) as server:
        if server is None:
            sys.exit("needs a PostgreSQL server: apt-get install postgresql")
        fill_ours(server, options.trials)
        add_reports(server)
        store = open_store(server)
        print(f"{options.trials} trials         per second   CPU ms a trial")
        for name, work in (("mirror", by_mirror), ("client in a loop", by_client)):
            uri = database(server, name.split()[0])
            MlflowClient(uri).search_experiments(max_results=1)  # makes the tables
            wall, cpu = timed(partial(work, store, uri))
            count = options.trials
            print(f"{name:<18} {count / wall:>10.1f} {1e3 * cpu / count:>15.1f}", flush=True)
        store.close()
        empty(server)


def database(server: str, name: str) -> str:
    """URL of a new database on the server."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.replace("/postgres?", f"/{name}?")


def add_reports(server: str) -> None:
    engine, soon = create_engine(server), datetime.now(UTC) + timedelta(hours=1)
    with engine.begin() as connection:
        sweep = connection.scalar(select(sweeps.c.id))
        rows = [
            {"trial_id": key, "epoch": epoch, "sweep_id": sweep, "values": {"loss": 1 / epoch}}
            for key in connection.scalars(select(trials.c.id))
            for epoch in range(1, EPOCHS + 1)
        ]  # fmt: skip
        connection.execute(insert(reports), rows)
        # As while a sweep runs: what began before the mirror is looked for in MLflow first.
        connection.execute(update(attempts).values(started=soon, ended=soon))
    engine.dispose()


def by_mirror(store: Store, uri: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        mirror = MlflowMirror(store, uri, artifact_root=Path(folder), experiment="bench")
        store.outbox.mark_all("bench")
        count = mirror.pending("bench") - 1  # without the sweep's own
        began = time.perf_counter()
        mirror.drain("bench", limit=count)
        assert mirror.pending("bench") <= 1, time.perf_counter() - began


def by_client(store: Store, uri: str) -> None:
    client = MlflowClient(uri)
    experiment = client.create_experiment("bench")
    sweep = store.sweep("bench")
    for trial in store.trials("bench"):
        (attempt,) = store.attempts("bench", trial.number)
        known = attempt_content(sweep, trial, attempt, store.reports("bench", trial.number))
        run = client.create_run(
            experiment, start_time=known.started_ms, tags=dict(known.tags), run_name=known.name
        )
        client.log_batch(
            run.info.run_id,
            metrics=[
                Metric(point.key, point.value, point.timestamp_ms, point.step)
                for point in (*known.curve, *known.latest)
            ],
            params=[Param(key, value) for key, value in known.params.items()],
            tags=[RunTag("paretune.logged_steps", str(EPOCHS))],
        )
        client.set_terminated(run.info.run_id, known.status, known.ended_ms)


def timed(work: Callable[[], None]) -> tuple[float, float]:
    began, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - used


if __name__ == "__main__":
    main()
