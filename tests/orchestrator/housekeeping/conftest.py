"""Sweeps in a state folder of the test's own, as a driver leaves them."""

import hashlib
from pathlib import Path
from typing import Any, Protocol

import pytest

from orchestrator.contracts import Outcome, Store, SweepWriter
from orchestrator.state_folder import StateFolder
from orchestrator.storage import open_store
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


class Make(Protocol):
    """Makes a sweep; the writer still holds its lease."""

    def __call__(self, name: str, **spec: Any) -> SweepWriter: ...


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "state"))
    return StateFolder.find()


@pytest.fixture
def store(state: StateFolder) -> Store:
    return open_store(None, create=True)


@pytest.fixture
def make(store: Store, state: StateFolder) -> Make:
    """Make a sweep with a complete trial, one that failed, and one that is not finished."""

    def build(name: str, **spec: Any) -> SweepWriter:
        asked = {"objectives": {"x": "maximize"}, "tracking": {"kind": "none"}, **spec}
        store.create_sweep(name, {"name": name, **asked}, "f")
        writer = store.take(name, "elsewhere:1:2")
        writer.add_prior_points([PriorPoint({"bits": 8}, {"x": 0.5}, "before")])
        for number in range(3):
            writer.add_trial({"bits": number, "ünï": "é😀"}, seed=number)
            writer.start_attempt(number, "w")
            writer.add_reports(number, 0, [Report(1, {"loss": 0.1}), Report(2, {"loss": 1 / 3})])
        files = {n: state.trial_folder(name, n) / "model.safetensors" for n in (0, 2)}
        for number, file in files.items():
            file.parent.mkdir(parents=True)
            file.write_bytes(f"network {number} of {name}".encode())
        log = state.log_folder(name) / "1.log"
        log.parent.mkdir(parents=True)
        log.write_text(f"a run of {name}")
        digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
        artifact = Artifact(str(files[0]), files[0].stat().st_size, digest)
        writer.finish_attempt(
            0, 0, Outcome(TrialState.COMPLETE, {"x": 0.1 + 0.2}, artifact=artifact)
        )
        store.choose(name, 0, ChoiceKind.PICKED, note="é, for the board", who="me")
        failure = Failure(FailureKind.ERROR, "it broke", "Traceback:\n  ValueError: bad")
        writer.finish_attempt(1, 0, Outcome(TrialState.FAILED, failure=failure))
        writer.finish_attempt(2, 0, Outcome(TrialState.INTERRUPTED))
        writer.set_sweep_state(SweepState.INTERRUPTED, "by a person")
        return writer

    return build
