"""``export``, ``sync``, ``ui``, ``doctor`` and ``pretrain``, as far as nothing big is started."""

import hashlib
import json
import re
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from typer.testing import Result

from orchestrator.contracts import Outcome
from orchestrator.doctor.installation import TorchProbe
from orchestrator.storage.opening import open_store
from orchestrator.trials import Artifact, SweepState, TrialState
from trainers.artifact import write_artifact
from trainers.networks.network import build_network
from trainers.quantization import QuantizationConfig

Call = Callable[..., Result]
CONTENT = b"a packed network"


@pytest.fixture
def packed(home: Path, spec: Mapping[str, object], tmp_path: Path) -> Path:
    """A sweep whose only trial has an artifact that is really there."""
    file = tmp_path / "network.safetensors"
    file.write_bytes(CONTENT)
    store_trial_of(file, spec)
    return file


def store_trial_of(file: Path, spec: Mapping[str, object]) -> None:
    content = file.read_bytes()
    store = open_store(None, create=True)
    store.create_sweep("digits-fc", spec, "f")
    writer = store.take("digits-fc", "test")
    trial = writer.add_trial({"bits": 4}, seed=0)
    attempt = writer.start_attempt(trial.number, "w")
    outcome = Outcome(
        TrialState.COMPLETE,
        values={"accuracy": 0.9, "memory_bytes": float(len(content))},
        artifact=Artifact(str(file), len(content), hashlib.sha256(content).hexdigest()),
    )
    writer.finish_attempt(trial.number, attempt.number, outcome)
    writer.release()


def test_export_writes_the_file_that_was_measured(
    packed: Path, call: Call, tmp_path: Path
) -> None:
    result = call("export", "digits-fc", 0, "--to", tmp_path / "out")
    assert result.exit_code == 0, result.output
    (record,) = json.loads(call("front", "digits-fc", "-f", "json").stdout)
    sizes = [path.stat().st_size for path in (tmp_path / "out").glob("*.safetensors")]
    assert sizes == [record["values"]["memory_bytes"]]
    assert str(tmp_path / "out") in result.stdout


@pytest.mark.slow
def test_export_to_onnx_writes_files_beside_and_says_how_fast_they_are(
    home: Path, spec: Mapping[str, object], call: Call, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="needs paretune[onnx]")
    file = tmp_path / "network.safetensors"
    network = build_network("digitnet", weights="bundled", widths=(8,), classes=10)
    write_artifact(network, file, quantization=QuantizationConfig(4, 4), classes=None)
    store_trial_of(file, spec)
    result = call("export", "digits-fc", 0, "--to", tmp_path / "out", "--onnx", "--onnx-int8")
    assert result.exit_code == 0, result.output
    names = ("model.int8.onnx", "model.onnx", "model.safetensors", "trial.json")
    assert tuple(sorted(path.name for path in (tmp_path / "out").iterdir())) == names
    said = result.stdout
    assert f"{(tmp_path / 'out' / 'model.onnx').stat().st_size} bytes" in said
    assert "int8 codes in 8 weights; activations are float32" in said
    latencies = re.findall(r"latency_ms ([\d.]+): one image on one thread", said)
    assert len(latencies) == 2
    assert min(float(latency) for latency in latencies) > 0
    assert re.search(r"accuracy [\d.]+% on the validation images, and [\d.]+% with float32", said)
    assert result.stderr == ""


def test_without_onnx_the_export_says_what_to_install(
    packed: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    result = call("export", "digits-fc", 0, "--to", tmp_path / "out", "--onnx")
    assert result.exit_code == 1
    assert "pip install 'paretune[onnx]'" in result.stderr
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == CONTENT


def test_an_artifact_that_is_gone_exits_1(packed: Path, call: Call, tmp_path: Path) -> None:
    packed.unlink()
    result = call("export", "digits-fc", 0, "--to", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")


def test_export_of_a_failed_trial_exits_2(filled: Path, call: Call, tmp_path: Path) -> None:
    assert call("export", "digits-fc", 5, "--to", tmp_path / "out").exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_sync_says_which_mlflow_the_environment_names(
    filled: Path, call: Call, spec: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(None)
    store.take("digits-fc", "test", lease_s=0.0).set_spec({**spec, "tracking": {"kind": "mlflow"}})
    store.close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:geheim@127.0.0.1:1")
    result = call("sync", "digits-fc")
    assert result.exit_code == 1
    assert "MLFLOW_TRACKING_URI names http://***@127.0.0.1:1" in result.stderr
    assert "geheim" not in result.output


@pytest.mark.slow
@pytest.mark.mlflow
def test_sync_renews_the_report(
    filled: Path, call: Call, spec: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    writer = open_store(None).take("digits-fc", "test", lease_s=0.0)
    writer.set_spec({**spec, "tracking": {"kind": "mlflow"}})
    writer.set_sweep_state(SweepState.INTERRUPTED, "by SIGINT")
    for _ in range(2):
        said = call("sync", "digits-fc").stderr.splitlines()
        # The sweep was written into the store without files.
        assert all("lacks the file network.safetensors" in line for line in said[1:]), said
        (page,) = filled.rglob("report.html")
        assert "3 of 5 complete trials" in page.read_text(encoding="utf-8")
        page.unlink()


def test_a_sweep_that_is_not_mirrored_cannot_be_synced(filled: Path, call: Call) -> None:
    result = call("sync", "digits-fc")
    assert result.exit_code == 2
    assert "tracking" in result.stderr


def test_the_ui_without_a_store_is_a_sentence(call: Call, home: Path) -> None:
    result = call("ui")
    assert result.exit_code == 1
    assert str(home / "mlflow.db") in result.stderr
    assert not home.exists()


def test_the_ui_on_a_taken_port_names_another(call: Call, home: Path) -> None:
    home.mkdir()
    (home / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = call("ui", "--port", port)
    assert result.exit_code == 2
    assert f"Port {port} cannot be used" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("digitnt", "digits", "--to", "w.safetensors"), "Did you mean 'digitnet'?"),
        (("digitnet", "digit", "--to", "w.safetensors"), "Did you mean 'digits'?"),
        (("digitnet", "digits", "--to", "w.pt"), ".safetensors"),
        (("digitnet", "digits", "--to", "w.safetensors", "--epochs", "0"), "epochs"),
    ],
)
def test_pretrain_checks_its_words_first(call: Call, words: tuple[str, ...], told: str) -> None:
    result = call("pretrain", *words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_pretrain_names_a_file_that_is_not_there(call: Call, tmp_path: Path) -> None:
    missing = tmp_path / "images.npz"
    result = call("pretrain", "digitnet", missing, "--to", tmp_path / "w.safetensors")
    assert result.exit_code == 2
    assert str(missing) in result.stderr


def test_doctor_looks_at_what_set_changes(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = TorchProbe(torch="2", torchvision="0", gpus=0)
    monkeypatch.setattr("orchestrator.doctor.probe_torch", lambda *_: probe)
    file = Path(__file__).resolve().parents[3] / "examples" / "sweeps" / "digits.yaml"
    given = ("doctor", file, "--format", "json", "--set")
    result = call(*given, "resources.cpus=100000")
    assert result.exit_code == 1
    slots = next(each for each in json.loads(result.stdout) if each["name"] == "slots")
    assert "one needs 100000 CPUs" in slots["detail"]
    wrong = call(*given, "resources.cpu=1")
    assert wrong.exit_code == 2
    assert "resources.cpu" in wrong.stderr


def test_doctor_has_nothing_to_set_without_a_file(call: Call) -> None:
    result = call("doctor", "--set", "resources.cpus=1")
    assert result.exit_code == 2
    assert "--set changes a sweep file, and none is given" in result.stderr
