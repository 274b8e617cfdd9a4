"""Exports a trial's packed network from the state folder."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.places import network_file
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
    """Export a trial's packed network and its record to a folder.

    Args:
        sweep: Name of the sweep.
        trial: Number of the trial.
        to: The folder; created if missing. An earlier export of the same name is replaced.
        store: The store that holds the sweep.

    Returns:
        The files: ``model.safetensors``, which `trainers.artifact.load_artifact` reads alone, and
        ``trial.json``.

    Raises:
        UnknownNameError: There is no such sweep or trial.
        UsageError: The trial has no packed network.
        OrchestratorError: Its file is gone or is not the measured one, or the folder cannot be
            written to.
    """
    record = store.trial(sweep, trial)
    if record.artifact is None:
        raise UsageError(
            f"Trial {trial} of {sweep!r} is {record.state.value} and has no packed network; only "
            f"complete trials have one. 'paretune trials {sweep}' lists them."
        )
    source = network_file(record.artifact, f"trial {trial} of {sweep!r}")
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
        folder: The folder of an earlier `export`.

    Returns:
        The written file, and its latency for one image on this machine's CPU: with float32
        weights, to which int8 codes are decoded once, when the file is opened. The bits affect
        only the size of the file.

    Raises:
        TrainerError: The packages of the extra ``onnx`` are not installed, or the file would not
            compute what the packed network does.
        OrchestratorError: The folder cannot be written to.
    """
    from trainers.onnx.latency import OnnxNetwork, cpu_latency, require_onnx

    # Checked first: torch takes seconds to load, in vain without these packages.
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

    Its activations are int8 too, so it is not the network that the trial measured.

    Args:
        folder: The folder of an earlier `export`.
        data: The data of the sweep: calibration is on its training images, measurement on all
            validation images.

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
