"""A trial's packed network, out of the state folder."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.trials import Artifact, Trial
from trainers.files.whole_file import replacing, whole_file

if TYPE_CHECKING:
    from trainers.data import DataConfig
    from trainers.onnx.export import OnnxInfo
    from trainers.onnx.int8 import Int8Info
    from trainers.onnx.latency import Latency

MODEL_NAME = "model.safetensors"
ONNX_NAME = "model.onnx"
INT8_NAME = "model.int8.onnx"
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
        raise _unwritable(to, error) from error


def export_onnx(folder: Path) -> "tuple[OnnxInfo, Latency]":
    """Write ``model.onnx`` beside an exported ``model.safetensors``, and time it.

    Args:
        folder: What `export` has written to.

    Returns:
        What was written, and how long it takes for one image on this machine's CPU: with float32
        weights, to which int8 codes are decoded once, when the file is opened. Nothing but the
        size of the file follows from the bits.

    Raises:
        TrainerError: The packages of the extra ``onnx`` are not installed, or the file would not
            compute what the packed network does.
        OrchestratorError: The folder cannot be written to.
    """
    from trainers.onnx.latency import OnnxNetwork, cpu_latency, require_onnx

    # First of all: torch takes seconds to load, which come to nothing without these packages.
    require_onnx()
    from trainers.artifact import read_header
    from trainers.onnx.export import export_onnx as export_network

    try:
        info = export_network(folder / MODEL_NAME, folder / ONNX_NAME)
    except OSError as error:
        raise _unwritable(folder, error) from error
    network = OnnxNetwork(info.path, fold=True)
    return info, cpu_latency(network, read_header(folder / MODEL_NAME).spec.input)


def export_int8(folder: Path, data: "DataConfig") -> "tuple[Int8Info, Latency]":
    """Write ``model.int8.onnx`` beside an exported ``model.safetensors``; measure and time it.

    Its activations are int8 too, so that it is not the network that the trial measured.

    Args:
        folder: What `export` has written to.
        data: Those of the sweep: calibrated on its training images, measured on all validation
            images.

    Raises:
        TrainerError: The packages of the extra ``onnx`` are not installed, the images cannot be
            read, or onnxruntime cannot quantize the network.
        OrchestratorError: The folder cannot be written to.
    """
    from trainers.onnx.latency import OnnxNetwork, cpu_latency, require_onnx

    require_onnx()
    from trainers.artifact import read_header
    from trainers.data import load_data
    from trainers.onnx.int8 import export_int8 as export_network

    images = load_data(data)
    model = folder / MODEL_NAME
    try:
        info = export_network(
            model,
            folder / INT8_NAME,
            calibration=images.train_images,
            measured=images.subset("val"),
        )
    except OSError as error:
        raise _unwritable(folder, error) from error
    return info, cpu_latency(OnnxNetwork(info.path), read_header(model).spec.input)


def _unwritable(to: Path, error: OSError) -> OrchestratorError:
    return OrchestratorError(
        f"The network could not be written to {to}: {error}. Name a folder that can be written "
        f"to, on a disk with room."
    )


def _written(to: Path, source: Path, facts: str) -> list[Path]:
    to.mkdir(parents=True, exist_ok=True)
    model, record = to / MODEL_NAME, to / RECORD_NAME
    with replacing(model) as unfinished:
        shutil.copyfile(source, unfinished)
    with whole_file(record) as file:
        file.write(facts.encode())
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
