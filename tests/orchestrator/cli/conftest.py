"""A state folder with two real sweeps in a real store, and the app as a person calls it."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli.app import app
from orchestrator.contracts import Outcome
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import (
    Artifact,
    Failure,
    FailureKind,
    Report,
    SweepState,
    TrialState,
)

Call = Callable[..., Result]

SPEC = {
    "name": "digits-fc",
    "backbone": {"name": "digitnet", "weights": "bundled"},
    "data": {"name": "digits"},
    "space": {},
    "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
    "constraints": ["memory_bytes <= 200kB"],
    "budget": {"trials": 8},
    "tracking": {"kind": "none"},
}
# Accuracy and bytes by trial; 0, 1 and 2 are on the front, 3 and 4 are beaten.
MEASURED = [(0.96, 60_000), (0.94, 22_400), (0.90, 9_000), (0.93, 61_000), (0.89, 9_500)]
TRACEBACK = "\n".join(
    ["Traceback (most recent call last):", *(f"  line {n}" for n in range(9)), "ValueError: bad"]
)


@pytest.fixture
def spec() -> Mapping[str, object]:
    """A stored spec."""
    return SPEC


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder."""
    folder = tmp_path / "state"
    monkeypatch.setenv("PARETUNE_HOME", str(folder))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    return folder


@pytest.fixture(scope="session")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with the sweep digits-fc: five complete trials and a failed one."""
    folder = tmp_path_factory.mktemp("filled")
    store = open_store(None, create=True, state=StateFolder(folder))
    store.create_sweep("digits-fc", SPEC, "f")
    writer = store.take("digits-fc", "test")
    for number, (accuracy, size) in enumerate(MEASURED):
        trial = writer.add_trial({"bits": 8 - number, "lr": 0.001}, seed=number)
        attempt = writer.start_attempt(trial.number, "node-1")
        reports = [Report(e, {"accuracy": accuracy - 0.1 / e, "loss": 1.0 / e}) for e in (1, 2, 3)]
        writer.add_reports(trial.number, attempt.number, reports)
        writer.finish_attempt(
            trial.number,
            attempt.number,
            Outcome(
                TrialState.COMPLETE,
                values={"accuracy": accuracy, "memory_bytes": float(size)},
                artifact=Artifact(f"trials/{number}/network.safetensors", size, "0" * 64),
            ),
        )
    failed = writer.add_trial({"bits": 2, "lr": 0.01}, seed=9)
    attempt = writer.start_attempt(failed.number, "node-1")
    failure = Failure(FailureKind.ERROR, "a tensor is [bold]bad", TRACEBACK)
    writer.finish_attempt(
        failed.number, attempt.number, Outcome(TrialState.FAILED, failure=failure)
    )
    writer.set_sweep_state(SweepState.INTERRUPTED, "interrupted by SIGINT")
    writer.release()
    store.close()
    return folder


@pytest.fixture
def filled(filled_once: Path, home: Path) -> Path:
    """A copy of it of the test's own."""
    shutil.copytree(filled_once, home)
    return home


@pytest.fixture
def call(home: Path) -> Call:
    """Run ``paretune`` with the given words in this process."""
    runner = CliRunner()

    def run(*words: object) -> Result:
        result = runner.invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
