"""A real store, a real MLflow database, and a driver that fills the store as a sweep would."""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.contracts import Outcome, Store, SweepWriter
from orchestrator.storage import open_store
from orchestrator.tracking import MlflowMirror
from orchestrator.tracking.mlflow_server import MlflowServer
from orchestrator.trials import (
    Artifact,
    Failure,
    FailureKind,
    Params,
    Report,
    SweepState,
    Trial,
    TrialState,
)

SWEEP = "digits-fc"
SPEC: Mapping[str, object] = {
    "name": SWEEP,
    "backbone": {"name": "digitnet", "weights": "bundled"},
    "data": {"name": "digits", "val_fraction": 0.15},
    "training": {"tune": "head", "epochs": 3},
    "objectives": {
        "accuracy": "maximize",
        "memory_bytes": "minimize",
        "robust_accuracy": {"direction": "maximize", "attack": "pgd", "steps": 10},
    },
    "constraints": ["memory_bytes <= 200kB"],
    "budget": {"trials": 48, "seconds": None},
}


@dataclass
class Driver:
    """Fills a store as the loop of a sweep does."""

    store: Store
    folder: Path
    writer: SweepWriter = field(init=False)

    def __post_init__(self) -> None:
        self.store.create_sweep(SWEEP, SPEC, "f" * 64)
        self.writer = self.store.take(SWEEP, "test")

    def start(self, params: Params | None = None, *, epochs: int = 0) -> Trial:
        trial = self.writer.add_trial(params or {"units": 32, "bits": 4}, seed=7)
        self.attempt(trial.number, epochs=epochs)
        return self.store.trial(SWEEP, trial.number)

    def attempt(self, number: int, *, epochs: int = 0) -> None:
        attempt = self.writer.start_attempt(number, "worker-1")
        reports = [Report(epoch, {"val_accuracy": epoch / 10}) for epoch in range(1, epochs + 1)]
        if reports:
            self.writer.add_reports(number, attempt.number, reports)

    def end(self, number: int, outcome: Outcome) -> Trial:
        attempt = self.store.trial(SWEEP, number).attempts - 1
        return self.writer.finish_attempt(number, attempt, outcome)

    def complete(
        self,
        accuracy: float = 0.9,
        memory_bytes: int = 1_000,
        *,
        robust_accuracy: float = 0.5,
        params: Params | None = None,
    ) -> Trial:
        trial = self.start(params, epochs=3)
        path = self.folder / f"{trial.number}.safetensors"
        path.write_bytes(bytes(memory_bytes))
        values = {
            "accuracy": accuracy,
            "memory_bytes": float(memory_bytes),
            "robust_accuracy": robust_accuracy,
        }
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        artifact = Artifact(str(path), memory_bytes, digest)
        return self.end(trial.number, Outcome(TrialState.COMPLETE, values, artifact))

    def fail(self, message: str = "it broke") -> Trial:
        trial = self.start(epochs=1)
        failure = Failure(FailureKind.ERROR, message, "Traceback\n  of three\n  lines")
        return self.end(trial.number, Outcome(TrialState.FAILED, failure=failure))

    def stop(self) -> Trial:
        return self.end(self.start(epochs=1).number, Outcome(TrialState.STOPPED))

    def finish(self, state: SweepState = SweepState.COMPLETE) -> None:
        self.writer.set_sweep_state(state, "all trials are done")


@pytest.fixture
def driver_type() -> type[Driver]:
    """For those who have a store of their own."""
    return Driver


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'paretune.db'}")


@pytest.fixture
def driver(store: Store, tmp_path: Path) -> Driver:
    folder = tmp_path / "packed"
    folder.mkdir()
    return Driver(store, folder)


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's schema, which takes seconds to make: tests copy it."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowServer(f"sqlite:///{path}").experiments()
    return path


@pytest.fixture
def tracking_uri(empty_mlflow: Path, tmp_path: Path) -> str:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def new_mirror(store: Store, tracking_uri: str, tmp_path: Path) -> Callable[[], MlflowMirror]:
    """Makes mirrors that remember nothing, as a driver that starts again has one."""

    def make(uri: str = tracking_uri) -> MlflowMirror:
        root = None if uri.startswith("http") else tmp_path / "artifacts"
        return MlflowMirror(store, uri, artifact_root=root, experiment=SWEEP)

    return make


@pytest.fixture
def runs(tracking_uri: str) -> Callable[[], Sequence[object]]:
    """All runs of the sweep's experiment that MLflow shows, oldest first."""
    server = MlflowServer(tracking_uri)

    def read() -> Sequence[object]:
        return list(server.runs(server.experiments()[SWEEP], {}))

    return read
