"""How long one image takes, by whatever runtime is there."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import trainers.trial.latency as module
from trainers.artifact import write_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.networks.network import build_network
from trainers.onnx.latency import OnnxError
from trainers.quantization import QuantizationConfig
from trainers.trial.latency import measure_latency
from trainers.trial.run import TrialRun


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.0)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    network = build_network("digitnet", weights="bundled", widths=(8,), classes=10)
    plan = {"quantization": QuantizationConfig(bits=4, fc_bits=4), "classes": None}
    return write_artifact(network.eval(), tmp_path / "m", **plan).path


def _refused() -> None:
    raise OnnxError("not installed")


@pytest.mark.slow
def test_onnxruntime_is_named_where_it_is_installed(artifact: Path) -> None:
    found = measure_latency(artifact, threads=1)
    assert found["latency_ms"] > 0
    assert found["latency_runs"] == 20
    assert found["latency_by_onnxruntime"] == 1


def test_torch_is_timed_without_it(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "require_onnx", _refused)
    found = measure_latency(artifact, threads=1)
    assert found["latency_by_onnxruntime"] == 0
    assert found["latency_ms"] > 0


def test_one_thread_is_timed_and_the_others_come_back(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "require_onnx", _refused)
    threads = []
    original = module._TorchNetwork.logits
    monkeypatch.setattr(
        module._TorchNetwork,
        "logits",
        lambda self, pixels: (threads.append(torch.get_num_threads()), original(self, pixels))[1],
    )
    measure_latency(artifact, threads=2)
    assert set(threads) == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("latency", [False, True])
def test_a_trial_is_timed_if_it_is_asked_for(
    bands: ImageData,
    make_config: Callable[..., TrialConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    latency: bool,
) -> None:
    monkeypatch.setattr(module, "require_onnx", _refused)
    run = TrialRun(make_config(epochs=1, latency=latency), bands, tmp_path)
    run.advance(to_epoch=1, seconds=0)
    values = run.measure().values
    assert ("latency_ms" in values) is latency
    assert values["peak_inference_bytes"] > values["memory_bytes"]
