"""Versions against the metadata, and torch beside torchvision."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from orchestrator.doctor import installation
from orchestrator.doctor.installation import (
    TorchProbe,
    examine_torch,
    examine_versions,
    probe_torch,
)


def test_every_package_that_decides_results_is_looked_at() -> None:
    names = [finding.name for finding in examine_versions()]
    assert names == ["Python", "ray", "torch", "torchvision", "optuna", "mlflow", "sqlalchemy"]


def test_a_version_out_of_range_is_named_with_its_range(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(
        installation, "version", lambda name: "1.0" if name == "optuna" else real(name)
    )
    (finding,) = [each for each in examine_versions() if not each.ok]
    assert finding.name == "optuna"
    assert finding.detail.startswith("1.0, but ")
    assert "pip install 'optuna" in finding.fix


def test_a_local_build_of_a_version_in_range_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(installation, "version", lambda name: f"{real(name)}+cpu")
    assert all(finding.ok for finding in examine_versions())


def test_a_nightly_build_in_range_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(
        installation, "version", lambda n: "2.9.0.dev20260101+cpu" if n == "torch" else real(n)
    )
    assert all(finding.ok for finding in examine_versions())


def test_a_missing_package_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "ray":
            raise metadata.PackageNotFoundError(name)
        return metadata.version(name)

    monkeypatch.setattr(installation, "version", version)
    (finding,) = [each for each in examine_versions() if not each.ok]
    assert finding.name == "ray"
    assert "not installed" in finding.detail


def test_a_checkout_that_is_not_installed_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_DISTRIBUTION", "no-such-distribution")
    (finding,) = examine_versions()
    assert not finding.ok
    assert "pip install -e ." in finding.fix


def _fake_packages(folder: Path, torchvision: str) -> None:
    (folder / "torch.py").write_text(
        "__version__ = '2.9.0+cpu'\n"
        "class cuda:\n    device_count = staticmethod(lambda: 0)\n"
        "def zeros(*shape): return shape\n"
    )
    (folder / "torchvision.py").write_text(torchvision)


def test_a_torchvision_of_another_build_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _fake_packages(tmp_path, "raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    probe = probe_torch("vgg16")
    assert probe == TorchProbe(
        torch="2.9.0+cpu", error="RuntimeError: operator torchvision::nms does not exist"
    )
    finding = examine_torch(probe)
    assert not finding.ok
    assert "torchvision::nms" in finding.detail
    assert "CPU-only" in finding.fix


def test_a_torch_that_ends_its_process_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("import os; os.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    probe = probe_torch(None)
    assert probe == TorchProbe(error=f"exit code {-6}")
    assert not examine_torch(probe).ok


@pytest.mark.slow
def test_a_torch_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("import time; time.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(installation, "_PROBE_S", 0.5)
    assert "took more than 0.5 s" in probe_torch(None).error


def test_a_module_of_the_working_directory_stands_in_for_no_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        installation,
        "_PROBE",
        "import importlib.util, json, sys\n"
        "print(json.dumps({'torch': importlib.util.find_spec('torch').origin}))",
    )
    assert probe_torch(None).torch.startswith(sys.prefix)
