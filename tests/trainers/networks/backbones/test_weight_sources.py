"""Where weights come from, and whether they fit, before anything trains."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from trainers.errors import WeightsError
from trainers.networks.backbone_table import BACKBONES, bundled_file
from trainers.networks.backbones import build_backbone
from trainers.networks.backbones.weight_sources import check_weights, find_weights


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Weights of digitnet that somebody trained."""
    path = tmp_path / "own.safetensors"
    save_file(build_backbone("digitnet", "scratch").features.state_dict(), path)
    return path


def test_words_are_answered_without_torch() -> None:
    code = (
        "from trainers.networks.backbones.weight_sources import check_weights\n"
        "print(check_weights('digitnet', 'bundled').bytes)\n"
        "print(check_weights('resnet18', 'scratch').path)\n"
        "import sys; print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    size = bundled_file("digitnet").stat().st_size
    assert done.stdout.split() == [str(size), "None", "False"]


def test_a_file_that_fits_is_told_with_its_size(own: Path) -> None:
    source = check_weights("digitnet", str(own))
    assert (source.path, source.url, source.bytes) == (own, "", own.stat().st_size)


def test_a_file_of_another_architecture_is_refused(own: Path) -> None:
    with pytest.raises(WeightsError, match="made for another architecture"):
        check_weights("cifar_resnet20", str(own))
    assert find_weights("cifar_resnet20", str(own)).path == own


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.pth does not exist"):
        check_weights("digitnet", str(tmp_path / "gone.pth"))


def test_a_word_that_a_backbone_does_not_have_is_refused() -> None:
    with pytest.raises(WeightsError, match="no imagenet weights of digitnet"):
        check_weights("digitnet", "imagenet")


def test_a_download_is_told_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    source = check_weights("squeezenet1_1", "imagenet")
    assert source.url.startswith("https://download.pytorch.org/models/squeezenet1_1-")
    # 4.7 MiB, as torchvision says.
    assert source.bytes == pytest.approx(4.95e6, rel=0.01)
    assert list(tmp_path.iterdir()) == []
    assert source.path is not None
    source.path.parent.mkdir(parents=True)
    torch.save({"broken": torch.zeros(1)}, source.path)
    with pytest.raises(WeightsError, match="another architecture"):
        check_weights("squeezenet1_1", "imagenet")


@pytest.mark.parametrize("name", [name for name, info in BACKBONES.items() if info.imagenet])
def test_every_backbone_knows_what_would_be_downloaded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    source = find_weights(name, "imagenet")
    assert source.url.endswith(".pth")
    # Four bytes a parameter, and the classifier's beside them.
    assert source.bytes is not None
    assert source.bytes > 3.9 * BACKBONES[name].parameters
