"""Kernels that several convolutions share: trained, stored and counted once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.contracts import Prepared
from orchestrator.search.cost_model import known_sizes
from trainers.artifact import load_artifact, predict_bytes, read_quantized, write_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.evaluators.accuracy import predict
from trainers.evaluators.counts import count_macs
from trainers.methods import MethodsConfig
from trainers.methods.checking import MethodError
from trainers.networks.backbones.shapes import backbone_shapes
from trainers.onnx.export import export_onnx
from trainers.pruning import PruningConfig
from trainers.training.finetune import FineTuning

SHARED = TrialConfig(
    backbone="cifar_resnet20",
    weights="scratch",
    image_size=8,
    tune="all",
    widths=(),
    epochs=2,
    batch_size=8,
    bits=4,
    methods=MethodsConfig(share_kernels=True),
)


@pytest.fixture(scope="module")
def data() -> ImageData:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 3, 8, 8), dtype=np.uint8)
    labels = np.arange(24) % 2
    each = [
        a[part] for part in (slice(16), slice(16, 20), slice(20, 24)) for a in (images, labels)
    ]
    return ImageData("noise", ("a", "b"), *each)


@pytest.fixture(scope="module")
def trained(data: ImageData) -> FineTuning:
    training = FineTuning(SHARED, data, device=torch.device("cpu"))
    while not training.finished:
        training.run_epoch()
    training.finish()
    training.network.eval()
    return training


def test_layers_of_a_width_are_trained_as_one_and_keep_their_norms(trained: FineTuning) -> None:
    features = trained.network.features
    first, last = features.layer1[0].conv1.weight, features.layer1[2].conv2.weight
    assert first is last
    assert features.layer2[0].conv2.weight is features.layer2[2].conv2.weight
    # The first layer of a stage has another shape.
    assert features.layer2[0].conv1.weight is not features.layer2[0].conv2.weight
    fresh = FineTuning(SHARED, trained._data, device=torch.device("cpu")).network.features
    assert not torch.equal(first, fresh.layer1[0].conv1.weight)
    norms = (features.layer1[0].bn1, features.layer1[2].bn2)
    assert not torch.equal(norms[0].running_mean, norms[1].running_mean)


def test_a_shared_kernel_is_stored_and_counted_once(
    trained: FineTuning, data: ImageData, tmp_path: Path
) -> None:
    network, quantization = trained.network, SHARED.quantization
    path = tmp_path / "model.safetensors"
    info = write_artifact(network, path, quantization=quantization, classes=data.classes)
    assert info.bytes == path.stat().st_size
    assert info.bytes == predict_bytes(network.spec, quantization, data.classes)
    # A kernel of the first layer, three of stages, and two that begin a stage.
    assert len(read_quantized(path)) == 6
    plain = FineTuning(
        replace(SHARED, methods=MethodsConfig()), data, device=torch.device("cpu")
    ).network
    assert info.bytes < 0.36 * predict_bytes(plain.spec, quantization, data.classes)
    assert count_macs(network, (3, 8, 8)) == count_macs(plain, (3, 8, 8))
    loaded = load_artifact(path)
    assert loaded.spec == network.spec
    assert loaded.features.layer3[1].conv1.weight is loaded.features.layer3[2].conv2.weight
    again = tmp_path / "again.safetensors"
    write_artifact(loaded, again, quantization=replace(quantization, bits=32), classes=None)
    assert np.array_equal(
        predict(load_artifact(again), data.test_images), predict(loaded, data.test_images)
    )


@pytest.mark.slow
def test_it_is_exported(data: ImageData, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    short = replace(SHARED, depth=1)
    network = FineTuning(short, data, device=torch.device("cpu")).network.eval()
    assert network.features.layer1[0].conv1.weight is network.features.layer1[0].conv2.weight
    write_artifact(network, path, quantization=SHARED.quantization, classes=None)
    found = export_onnx(path, tmp_path / "model.onnx")
    assert found.max_difference <= found.tolerance


def test_sizes_are_known_before_the_training(trained: FineTuning, data: ImageData) -> None:
    prepared = Prepared(data.classes, {"cifar_resnet20": backbone_shapes("cifar_resnet20")})
    known = known_sizes(SHARED, prepared)
    learnable = sum(each.numel() for each in trained.network.parameters())
    assert known["params"] == known["trainable_params"] == learnable
    written = predict_bytes(trained.network.spec, SHARED.quantization, data.classes)
    assert known["memory_bytes"] == written


def test_an_interrupted_training_goes_on(
    trained: FineTuning, data: ImageData, tmp_path: Path
) -> None:
    first = FineTuning(SHARED, data, device=torch.device("cpu"))
    first.run_epoch()
    first.save(tmp_path / "checkpoint")
    second = FineTuning(SHARED, data, device=torch.device("cpu"))
    second.load(tmp_path / "checkpoint")
    second.run_epoch()
    state = second.network.state_dict()
    assert all(torch.equal(state[n], t) for n, t in trained.network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tune": "head"}, "Use weights: scratch and tune: all"),
        ({"qat": "absmax"}, "share_kernels and qat exclude each other"),
        ({"pruning": PruningConfig(sparsity=0.5)}, "share_kernels and pruning exclude"),
        (
            {"methods": MethodsConfig(share_kernels=True, expand="convolutions")},
            "share_kernels and expand exclude",
        ),
    ],
)
def test_what_it_excludes_is_told(change: dict[str, object], said: str) -> None:
    with pytest.raises(MethodError, match=said):
        replace(SHARED, **change)


def test_a_backbone_without_equal_layers_is_refused_before_the_training() -> None:
    config = replace(SHARED, backbone="digitnet", image_size=None)
    prepared = Prepared(("a", "b"), {"digitnet": backbone_shapes("digitnet")})
    with pytest.raises(ValueError, match="no two of the 6 convolutions of this backbone"):
        known_sizes(config, prepared)
