"""Whoever follows docs/guides/add-a-backbone.md has tests that pass."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
GUIDE = REPOSITORY / "docs" / "guides" / "add-a-backbone.md"
TABLE = "trainers/networks/backbone_table.py"
BUILDING = "trainers/networks/backbones/building.py"
MODULE = '''\
"""A network of two convolutions."""

from torch import nn


def twonet_features() -> nn.Sequential:
    """Images to flat features."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
    )


def twonet_blocks(features: nn.Sequential) -> list[nn.Module]:
    """Its convolutions, from input to output."""
    return [features[0], features[2]]
'''
ROWS = """\
    BackboneInfo("twonet", 16, 2, 1_392, image_size=32, min_image_size=8, imagenet=False),
    BackboneInfo("resnet101", 2048, 34, 42_500_160),
    BackboneInfo("mistaken", 17, 2, 1_392, image_size=32, min_image_size=8, imagenet=False),
"""
OWN = ("twonet", "mistaken")
NEW = (*OWN, "resnet101")


@pytest.fixture
def followed(tmp_path: Path) -> Path:
    """A copy of the trainers with a network of its own, one more of torchvision's, and a mistake.

    The mistake is a row of its own, so that the tests are started once.
    """
    for folder in ("trainers", "tests/trainers"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    for file in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(REPOSITORY / file, tmp_path / file)
    (tmp_path / "trainers/networks/backbones/twonet.py").write_text(MODULE)
    table = tmp_path / TABLE
    table.write_text(_once(table.read_text(), "_INFOS = (\n", f"_INFOS = (\n{ROWS}"))
    building = tmp_path / BUILDING
    text = building.read_text()
    text = _once(
        text,
        "\nfrom trainers.networks.backbones.weight_files",
        "\nfrom trainers.networks.backbones import twonet"
        "\nfrom trainers.networks.backbones.weight_files",
    )
    for kind, given in (("features", ""), ("blocks", "features")):
        (head,) = re.findall(rf"def _{kind}\(.*\n", text)
        rest = f"    if name in {OWN}:\n        return twonet.twonet_{kind}({given})\n"
        text = text.replace(head, head + rest)
    building.write_text(text)
    return tmp_path


def _once(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


@pytest.mark.slow
def test_the_tests_that_the_guide_names_pass_with_new_rows_and_name_a_wrong_number(
    followed: Path,
) -> None:
    (command,) = re.findall(r"`pytest (tests/\S+)`", GUIDE.read_text())
    # What the new rows are compared with, and what counts the table.
    compared = "table or promised or blocks or named or normalisation or shapes"
    chosen = f"eighteen or (({compared}) and ({' or '.join(NEW)}))"
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    run += [command, "-k", chosen, "-rpf"]
    said = subprocess.run(run, cwd=followed, capture_output=True, text=True, check=False).stdout
    passed, failed = (re.findall(rf"^{word} (\S+)", said, re.M) for word in ("PASSED", "FAILED"))
    wrong = [name for name in failed if "mistaken" in name]
    assert failed == wrong, said
    assert any(
        name.endswith("test_the_table_says_what_the_network_is[mistaken]") for name in wrong
    )
    assert " error" not in said.splitlines()[-1]
    for row in ("twonet", "resnet101", "eighteen"):
        assert any(row in name for name in passed), said
