"""Room for a trial, weights and images."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.doctor.finding import Finding
from orchestrator.doctor.installation import TorchProbe, probe_torch
from orchestrator.doctor.needs import DATA_PLACES, examine_needs, weights_to_try
from orchestrator.execution.slots import Node
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.data.config import data_names
from trainers.networks.backbone_table import bundled_file

HERE = [Node({"CPU": 4.0, "GPU": 1.0})]


def _spec(**sections: Any) -> SweepSpec:
    whole = {
        "name": "a",
        "backbone": {"name": "digitnet", "weights": "bundled"},
        "data": "digits",
        "space": {"bits": {"type": "int", "low": 2, "high": 8}},
        "objectives": {"accuracy": "maximize"},
    }
    return SweepSpec.model_validate({**whole, **sections})


def _findings(probe: TorchProbe | None = None, **sections: Any) -> tuple[Finding, ...]:
    return tuple(examine_needs(_spec(**sections), HERE, probe or TorchProbe()))


def test_slots_are_counted_and_an_idle_gpu_is_mentioned() -> None:
    slots, _, _ = _findings(resources={"cpus": 2})
    assert slots.ok
    assert slots.detail.startswith("2 trials at once")
    assert "1 GPUs stay idle" in slots.detail


def test_fractions_of_a_gpu_are_counted() -> None:
    slots, _, _ = _findings(resources={"cpus": 1, "gpus": 0.5})
    assert slots.detail.startswith("2 trials at once")


def test_a_trial_that_does_not_fit_is_found() -> None:
    slots, _, _ = _findings(resources={"gpus": 2.0})
    assert not slots.ok
    assert "resources.gpus" in slots.fix


def test_nothing_is_said_of_the_slots_of_a_cluster_that_does_not_answer() -> None:
    """Those of this machine would be other ones."""
    found = examine_needs(_spec(resources={"cpus": 64}), None, TorchProbe())
    assert "slots" not in [each.name for each in found]


def test_a_cluster_that_adds_nodes_is_not_measured_by_those_it_has() -> None:
    growing = {"autoscaling": True, "max_slots": 8}
    slots, _, _ = _findings(resources={"gpus": 2.0}, execution=growing)
    assert slots.ok
    assert slots.detail == "the cluster is to make room for 8 trials, 1 CPUs and 2 GPUs each"


@pytest.mark.parametrize("weights", ["bundled", "scratch"])
def test_weights_that_ship_or_are_not_needed_are_fine(weights: str) -> None:
    _, found, _ = _findings(backbone={"name": "digitnet", "weights": weights})
    assert found.ok


def test_cached_weights_are_found_and_missing_ones_are_not_downloaded(tmp_path: Path) -> None:
    path = tmp_path / "vgg16.pth"
    probe, backbone = TorchProbe(weights=str(path)), {"name": "vgg16", "weights": "imagenet"}
    _, missing, _ = _findings(probe, backbone=backbone)
    assert not missing.ok
    assert str(path) in missing.detail
    assert "vgg16" in missing.fix
    path.write_bytes(b"")
    _, cached, _ = _findings(probe, backbone=backbone)
    assert cached.ok


def test_weights_that_torchvision_could_not_be_asked_for_are_found() -> None:
    _, found, _ = _findings(backbone={"name": "vgg16", "weights": "imagenet"})
    assert not found.ok


def test_a_path_to_weights_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    backbone = {"name": "vgg16", "weights": str(path)}
    assert not _findings(backbone=backbone)[1].ok
    path.write_bytes(b"")
    assert _findings(backbone=backbone)[1].ok


@pytest.mark.slow
def test_weights_of_another_network_are_found(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    spec = _spec(backbone={"name": "cifar_resnet20", "weights": str(path)})
    assert weights_to_try(spec) == ("cifar_resnet20", "")
    shutil.copy(bundled_file("digitnet"), path)
    assert weights_to_try(spec) == ("cifar_resnet20", str(path))
    probe = probe_torch(*weights_to_try(spec))
    _, found, _ = examine_needs(spec, HERE, probe)
    assert not found.ok
    assert "made for another architecture" in found.detail
    assert weights_to_try(_spec()) == ("digitnet", "")


def test_every_data_set_has_a_place() -> None:
    assert {*DATA_PLACES, "digits"} == {*data_names()}


@pytest.mark.parametrize("name", sorted(DATA_PLACES))
def test_a_data_set_is_looked_for_where_it_would_lie(name: str, tmp_path: Path) -> None:
    data = {"name": name, "root": str(tmp_path)}
    _, _, missing = _findings(data=data)
    assert not missing.ok
    assert "PARETUNE_DATA" in missing.fix
    (tmp_path / DATA_PLACES[name]).mkdir(parents=True)
    assert _findings(data=data)[2].ok


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_own_images_must_be_there(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "images"
    assert not _findings(data={kind: str(path)})[2].ok
    path.write_bytes(b"")
    assert _findings(data={kind: str(path)})[2].ok
