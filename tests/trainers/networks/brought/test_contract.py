"""Backbones of the table, of timm and of a user's own keep the same promises."""

from pathlib import Path

import pytest

from trainers.testing.backbone_contract import BackboneContract

OWN = """
import torch
from torch import nn


class Small(nn.Module):
    image_size = 16
    mean, std = (0.5,), (0.25,)

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, 1, 1))
        self.stem = nn.Conv2d(1, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.layers = nn.Sequential(
            nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.ReLU()),
            nn.Sequential(nn.Conv2d(4, 6, 1), nn.Tanh()),
        )
        self.linear = nn.Linear(6 * 25, 12)

    def forward(self, images):
        maps = self.layers(self.norm(self.stem(images * self.scale)).relu())
        return self.linear(maps.flatten(1))
"""


class TestOfTheTable(BackboneContract):
    @pytest.fixture
    def name(self) -> str:
        return "digitnet"


class TestOwn(BackboneContract):
    """With a parameter of its own, grouped and linear layers, and no global pool."""

    @pytest.fixture
    def name(self, tmp_path: Path) -> str:
        file = tmp_path / "my_model.py"
        file.write_text(OWN)
        return f"{file}:Small"


@pytest.mark.slow
class TestTimmResnet(BackboneContract):
    side = 32

    @pytest.fixture
    def name(self) -> str:
        pytest.importorskip("timm", reason="needs paretune[timm]")
        return "timm:resnet18"


@pytest.mark.slow
class TestTimmDepthwise(BackboneContract):
    side = 32

    @pytest.fixture
    def name(self) -> str:
        pytest.importorskip("timm", reason="needs paretune[timm]")
        return "timm:mobilenetv3_small_050"
