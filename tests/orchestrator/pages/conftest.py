"""A sweep in a real store, its page on a real server, and a real browser that looks at it."""

import hashlib
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import uvicorn

from orchestrator.contracts import Outcome, Store, SweepWriter
from orchestrator.pages.application import page_application
from orchestrator.pages.guard import Access
from orchestrator.pages.serving import bind
from orchestrator.queries.sweeps import Sweep
from orchestrator.storage import open_store
from orchestrator.trials import Artifact, Failure, FailureKind, Params, Report, TrialState
from trainers.files.predictions import Predictions, write_predictions

SWEEP = "digits-fc"
SPEC: Mapping[str, object] = {
    "name": SWEEP,
    "backbone": {"name": "digitnet", "weights": "bundled"},
    "data": {"name": "digits"},
    "space": {
        "bits": {"type": "int", "low": 2, "high": 8},
        "lr": {"type": "float", "low": 1e-5, "high": 0.1},
        "policy": {"type": "choice", "values": ["all", "none"]},
    },
    "training": {"tune": "all", "epochs": 4},
    "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
    "constraints": ["accuracy >= 0.5"],
    "budget": {"trials": 12},
    "tracking": {"kind": "none"},
}
# Accuracy and bytes; 0, 1 and 2 are on the front, 3 is beaten, 4 violates the constraint.
MEASURED = [(0.96, 60_000), (0.94, 22_400), (0.90, 9_000), (0.89, 61_000), (0.40, 8_000)]
IMAGES = 100


@dataclass
class Driver:
    """Fills a sweep as a driver does, packed networks and answers included."""

    store: Store
    folder: Path
    writer: SweepWriter

    def start(self, params: Params | None = None, *, epochs: int = 0) -> int:
        """A trial that runs, with some epochs behind it."""
        trial = self.writer.add_trial(params or {"bits": 4, "lr": 0.01, "policy": "all"}, seed=7)
        self.writer.start_attempt(trial.number, "node-1")
        reports = [
            Report(e, {"accuracy": 0.5 + e / 10, "loss": 1 / e}) for e in range(1, 1 + epochs)
        ]
        if reports:
            self.writer.add_reports(trial.number, 0, reports)
        return trial.number

    def complete(self, number: int, accuracy: float, size: int) -> None:
        """Its end, with a network and answers on disk."""
        folder = self.folder / f"{number:05}"
        folder.mkdir(parents=True)
        labels = np.arange(IMAGES) % 3
        wrong = np.arange(IMAGES) < round(IMAGES * (1 - accuracy))
        predicted = np.where(wrong, (labels + 1) % 3, labels)
        write_predictions(folder / "predictions.npz", Predictions(labels, predicted))
        network = packed(size)
        (folder / "model.safetensors").write_bytes(network)
        digest = hashlib.sha256(network).hexdigest()
        artifact = Artifact(str(folder / "model.safetensors"), len(network), digest)
        values = {"accuracy": float(1 - wrong.mean()), "memory_bytes": float(size)}
        self.writer.finish_attempt(number, 0, Outcome(TrialState.COMPLETE, values, artifact))

    def fail(self, message: str) -> None:
        """A trial that broke."""
        number = self.start(epochs=1)
        failure = Failure(FailureKind.ERROR, message, f"Traceback\n  {message}")
        self.writer.finish_attempt(number, 0, Outcome(TrialState.FAILED, failure=failure))


def packed(size: int) -> bytes:
    """A file as `trainers.artifact` writes it, of one quantized layer and one that is not."""
    facts = {
        "version": 1,
        "classes": ["zero", "one", "two"],
        "tensors": {"head.0.weight": {"bits": 4, "shape": [1, 8]}},
    }
    rest = max(size - 500, 16)
    header = json.dumps(
        {
            "__metadata__": {"paretune": json.dumps(facts)},
            "features.0.weight": {"dtype": "U8", "shape": [rest], "data_offsets": [0, rest]},
            "head.0.weight.codes": {"dtype": "U8", "shape": [8], "data_offsets": [rest, rest + 8]},
        }
    ).encode()
    return struct.pack("<Q", len(header)) + header + bytes(rest + 8)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder."""
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def new_driver(home: Path) -> Callable[..., Driver]:
    """Makes a sweep in the default store."""

    def make(name: str = SWEEP, spec: Mapping[str, object] = SPEC) -> Driver:
        store = open_store(None, create=True)
        store.create_sweep(name, {**spec, "name": name}, "f")
        return Driver(store, home / "packed", store.take(name, "node-0:1:1"))

    return make


@pytest.fixture
def driver(new_driver: Callable[..., Driver]) -> Driver:
    """The driver of a sweep of which five trials are complete, one broke and one runs."""
    driver = new_driver()
    for number, (accuracy, size) in enumerate(MEASURED):
        policy = "all" if number % 2 else "none"
        driver.start({"bits": 8 - number, "lr": 0.1 / 10**number, "policy": policy}, epochs=3)
        driver.complete(number, accuracy, size)
    driver.fail("a tensor is <b>bad</b>")
    driver.start({"bits": 2, "lr": 0.1, "policy": "all"}, epochs=2)
    return driver


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serves the page of a sweep, and gives its address; the servers end with the test."""
    started: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(store: Store, name: str = SWEEP, access: Access | None = None) -> str:
        bound = bind("127.0.0.1", 0)
        bound.listen()
        application = page_application(Sweep(name, store), access or Access())
        server = uvicorn.Server(
            uvicorn.Config(
                application,
                log_level="error",
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=1,
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        started.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{bound.getsockname()[1]}"

    yield start
    for server, thread in started:
        server.should_exit = True
        thread.join()
