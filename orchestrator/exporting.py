"""A trial's packed network, out of the state folder."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.trials import Artifact, Trial

MODEL_NAME = "model.safetensors"
RECORD_NAME = "trial.json"


def export(sweep: str, trial: int, to: Path, store: Store) -> list[Path]:
    """Write a trial's packed network and what is known of it to a folder.

    Args:
        sweep: Name of the sweep.
        trial: Number of the trial.
        to: The folder; made if missing. An earlier export of the same name is replaced.
        store: Where the sweep is recorded.

    Returns:
        The files: ``model.safetensors``, which `trainers.artifact.load_artifact` reads alone, and
        ``trial.json``.

    Raises:
        UnknownNameError: There is no such sweep or trial.
        UsageError: The trial has no packed network.
        OrchestratorError: Its file is gone or is not what was measured, or the folder cannot be
            written to.
    """
    record = store.trial(sweep, trial)
    if record.artifact is None:
        raise UsageError(
            f"Trial {trial} of {sweep!r} is {record.state.value} and has no packed network; only "
            f"complete trials have one. 'paretune trials {sweep}' lists them."
        )
    source = _checked(record, record.artifact)
    known = {
        "sweep": sweep,
        "trial": trial,
        "params": dict(record.params),
        "values": dict(record.values),
        "sha256": record.artifact.sha256,
    }
    try:
        return _written(to, source, json.dumps(known, indent=2) + "\n")
    except OSError as error:
        raise OrchestratorError(
            f"The network could not be written to {to}: {error}. Name a folder that can be "
            f"written to, on a disk with room."
        ) from error


def _written(to: Path, source: Path, facts: str) -> list[Path]:
    to.mkdir(parents=True, exist_ok=True)
    model, record = to / MODEL_NAME, to / RECORD_NAME
    unfinished = to / f".{MODEL_NAME}.{os.getpid()}"
    try:
        shutil.copyfile(source, unfinished)
        unfinished.replace(model)
    finally:
        unfinished.unlink(missing_ok=True)
    record.write_text(facts, encoding="utf-8")
    return [model, record]


def _checked(trial: Trial, artifact: Artifact) -> Path:
    path = Path(artifact.path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise OrchestratorError(
            f"The packed network of trial {trial.number} is not at {path} any more "
            f"({error.strerror}). It was written there when the trial was measured; bring the "
            f"file back, or run the trial's params in a new sweep."
        ) from None
    if digest != artifact.sha256:
        raise OrchestratorError(
            f"The packed network at {path} is not the one that was measured: its sha256 is "
            f"{digest[:12]}..., and {artifact.sha256[:12]}... was recorded. It was changed or "
            f"damaged since."
        )
    return path
