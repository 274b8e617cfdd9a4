"""Installed packages ship backbones by entry points."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainers.config import TrialConfig
from trainers.doors import shipped
from trainers.networks.backbone_table import backbone_info, backbone_names
from trainers.networks.brought import registry
from trainers.parameters import check_parameter
from trainers.stages.keys import training_parameters

NETS = "from torch import nn\n\n\ndef tinynet():\n    return nn.Sequential(nn.Flatten())\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that is on the path with the metadata that an installer writes."""
    (tmp_path / "tinynet_package.py").write_text(NETS)
    metadata = tmp_path / "tinynet_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tinynet-package\nVersion: 1\n"
    )
    point = "[paretune.backbones]\ntinynet = tinynet_package:tinynet\n"
    (metadata / "entry_points.txt").write_text(point)
    monkeypatch.syspath_prepend(str(tmp_path))
    shipped.cache_clear()
    yield tmp_path
    shipped.cache_clear()


@pytest.mark.usefixtures("installed")
def test_a_backbone_of_a_package_has_a_name_of_its_own() -> None:
    info = backbone_info("tinynet")
    assert info == backbone_info("tinynet_package:tinynet")
    assert info.name.startswith("tinynet_package:tinynet#")
    assert "tinynet" in backbone_names()


@pytest.mark.slow
def test_a_new_process_finds_it_too(installed: Path) -> None:
    code = (
        "from trainers.config import TrialConfig\n"
        "print(TrialConfig(backbone='tinynet', weights='own').architecture)"
    )
    path = os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith("tinynet_package:tinynet#")


def test_without_the_package_the_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no backbone named 'tinynet'"):
        backbone_info("tinynet")
    check_parameter("backbone", "timm:resnet18")
    with pytest.raises(ValueError, match="'timm:NAME'"):
        check_parameter("backbone", "tinynet")


def test_the_version_of_timm_is_part_of_what_a_training_depends_on() -> None:
    config = TrialConfig(backbone="digitnet", weights="scratch")
    assert "package" not in training_parameters(config)
    assert registry.version_of("timm:resnet18").startswith("timm ")
