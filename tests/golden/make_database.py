"""Makes ``databases/NNNN.db``, a store as the version of the schema in its name wrote it.

Run once, when a version of the schema is new, and never again for an older one:

    python tests/golden/make_database.py

`tests/orchestrator/storage/test_golden_databases.py` opens each of these files with the code of
today and finds in it what is written here.
"""

import shutil
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.contracts import Outcome
from orchestrator.state_folder import StateFolder
from orchestrator.storage import upgrade
from orchestrator.storage.sql_store import SqlStore
from orchestrator.storage.tables import HEAD
from orchestrator.trials import (
    Artifact,
    ChoiceKind,
    Failure,
    FailureKind,
    PriorPoint,
    Report,
    SweepState,
    TrialState,
)

FOLDER = Path(__file__).parent / "databases"


class Clock:
    """One second later each time that it is looked at."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


def fill(store: SqlStore, state: StateFolder) -> None:
    """A sweep with a trial in each state, and one that has not begun."""
    store.create_sweep("digits-fc", {"space": {"bits": [2, 4, 8]}, "seed": 0}, "f1")
    store.create_sweep("empty", {}, "f2")
    writer = store.take("digits-fc", "host:1:1", lease_s=60)
    points = [PriorPoint({"bits": 4}, {"accuracy": 0.5, "memory_bytes": 99.0}, "sweep 'old'")]
    writer.add_prior_points(points)
    writer.set_content({"data": "d" * 64, "weights": "", "places": {"data.folder": "../photos"}})
    for number in range(6):
        params = {"bits": 2 + number, "lr": 0.1 + number, "augment": True, "policy": "größe"}
        writer.add_trial(
            params, seed=number, replicate=number % 2, sampler_attrs={"nsga2:generation": number}
        )
    for number in range(5):
        writer.start_attempt(number, f"worker-{number}")
        writer.add_reports(number, 0, [Report(e, {"loss": 1 / e}) for e in (1, 2)])
    values = {"accuracy": 0.1 + 0.2, "memory_bytes": 12345.0}
    place = state.trial_folder("digits-fc", 0) / "model.safetensors"
    artifact = Artifact(str(place), 12345, "a" * 64)
    failure = Failure(FailureKind.DIVERGED, "the loss became NaN", "Traceback ...")
    writer.finish_attempt(0, 0, Outcome(TrialState.COMPLETE, values, artifact))
    writer.finish_attempt(1, 0, Outcome(TrialState.STOPPED))
    writer.finish_attempt(2, 0, Outcome(TrialState.FAILED, failure=failure))
    writer.finish_attempt(3, 0, Outcome(TrialState.INTERRUPTED))
    writer.add_values(0, {"test_accuracy": 0.25})
    writer.set_sweep_state(SweepState.INTERRUPTED, "Ctrl-C")
    store.outbox.record_sweep_run("digits-fc", "1", "parent-run")
    store.outbox.record_attempt_run("digits-fc", 0, 0, "run-0")
    store.choose("digits-fc", 0, ChoiceKind.PICKED, note="fits the small device", who="ada")


def main() -> None:
    """Write the file, as one piece without its log."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{HEAD}.db"
        upgrade(f"sqlite:///{path}")
        state = StateFolder(Path(folder))
        store = SqlStore(f"sqlite:///{path}", state, clock=Clock())
        fill(store, state)
        store.close()
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        shutil.copy(path, FOLDER / path.name)


if __name__ == "__main__":
    main()
