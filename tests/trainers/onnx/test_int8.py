"""Int8 activations: measured as the network of their own that they make."""

import logging
from pathlib import Path

import numpy as np
import pytest

from trainers.artifact import load_artifact, write_artifact
from trainers.data import DataConfig, load_data
from trainers.data.image_data import ImageData
from trainers.evaluators.accuracy import predict
from trainers.networks.network import build_network
from trainers.onnx.int8 import export_int8
from trainers.onnx.latency import OnnxError
from trainers.quantization import QuantizationConfig

onnx = pytest.importorskip("onnx", reason="needs paretune[onnx]")


@pytest.fixture(scope="module")
def images() -> ImageData:
    return load_data(DataConfig(name="digits"))


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    network = build_network("digitnet", weights="bundled", widths=(16,), classes=10)
    write_artifact(network, path, quantization=QuantizationConfig(8, 8), classes=None)
    return path


@pytest.mark.slow
def test_it_computes_in_int8_and_has_an_accuracy_of_its_own(
    artifact: Path, images: ImageData
) -> None:
    # The packed network is right about every image, by definition of the labels.
    answers = predict(load_artifact(artifact), images.val_images)
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    to = artifact.with_name("model.int8.onnx")
    info = export_int8(
        artifact, to, calibration=images.train_images, measured=(images.val_images, answers)
    )
    assert info.float_accuracy == 1.0
    assert 0.9 < info.accuracy <= 1.0
    assert info.bytes == to.stat().st_size
    assert sorted(path.name for path in to.parent.iterdir()) == [to.name, artifact.name]
    kinds = [node.op_type for node in onnx.load(to).graph.node]
    assert kinds.count("QuantizeLinear") >= kinds.count("Conv") == 6
    assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)
    # Calibrated on black images, activations have no range, and the accuracy says so.
    black = np.zeros_like(images.train_images[:8])
    bad = export_int8(artifact, to, calibration=black, measured=(images.val_images, answers))
    assert bad.accuracy < info.accuracy - 0.05


@pytest.mark.slow
def test_without_images_there_is_nothing_to_calibrate_with(
    artifact: Path, images: ImageData
) -> None:
    measured = images.subset("val")
    with pytest.raises(OnnxError, match="need images"):
        export_int8(
            artifact,
            artifact.with_name("model.int8.onnx"),
            calibration=images.train_images[:0],
            measured=measured,
        )
