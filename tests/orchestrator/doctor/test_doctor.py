"""The doctor as a whole: what it says of this machine, and what it must not do."""

import dataclasses
from pathlib import Path

import pytest

from orchestrator.doctor import Finding, doctor
from orchestrator.doctor.installation import TorchProbe
from orchestrator.spec.files import load_sweep
from orchestrator.spec.sweep_spec import SweepSpec

REPOSITORY = Path(__file__).resolve().parents[3]
DIGITS = REPOSITORY / "examples" / "sweeps" / "digits.yaml"


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PARETUNE_HOME", "RAY_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch was asked and is fine: importing it takes seconds, and one test does so."""
    probe = TorchProbe(torch="2", torchvision="0", gpus=1)
    monkeypatch.setattr("orchestrator.doctor.probe_torch", lambda *_: probe)


def _digits(**sections: object) -> SweepSpec:
    data = load_sweep(DIGITS).model_dump()
    return SweepSpec.model_validate({**data, **sections})


def _named(findings: list[Finding], name: str) -> Finding:
    return next(each for each in findings if each.name == name)


@pytest.mark.slow
def test_the_example_sweep_is_fine_here_and_nothing_is_written(tmp_path: Path) -> None:
    findings = doctor(load_sweep(DIGITS))
    assert [each for each in findings if not each.ok] == []
    assert list(tmp_path.iterdir()) == []
    names = [each.name for each in findings]
    assert len(set(names)) == len(names)
    assert {"Python", "ray", "torch", "store", "MLflow", "slots", "images of digits"} <= {*names}
    assert "GPUs" in _named(findings, "torch with torchvision").detail


@pytest.mark.usefixtures("quick")
def test_without_a_sweep_nothing_is_said_of_weights_and_slots() -> None:
    names = {each.name for each in doctor()}
    assert {"store", "MLflow", "Ray"} <= names
    assert "slots" not in names
    assert not any(name.startswith(("weights", "images")) for name in names)


@pytest.mark.usefixtures("quick")
def test_whatever_is_wrong_has_a_fix_and_whatever_is_fine_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    spec = _digits(
        store="postgresql://me:geheim@nowhere/db",
        tracking={"uri": "./mlruns"},
        backbone={"name": "digitnet", "weights": "gone.safetensors"},
        data={"folder": "gone"},
        resources={"cpus": 100_000},
    )
    findings = doctor(spec)
    wrong = {each.name for each in findings if not each.ok}
    assert wrong == {
        "state folder",
        "store",
        "MLflow",
        "Ray's tokens",
        "slots",
        "weights of digitnet",
        "images of gone",
    }
    for each in findings:
        assert bool(each.fix) is not each.ok, each
        assert each.ok or (each.fix[0].isupper() and each.fix.split()[0].isalpha()), each.fix
    assert "geheim" not in repr(findings)


@pytest.mark.usefixtures("quick")
def test_an_untracked_sweep_is_not_asked_for_mlflow() -> None:
    findings = doctor(_digits(tracking={"kind": "none"}))
    assert "MLflow" not in {each.name for each in findings}


def test_a_finding_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Finding("store", ok=True, detail="fine").ok = False  # type: ignore[misc]
