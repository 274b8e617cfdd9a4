"""The guide to recipes: its sweeps can be run, and its table has every key."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.spec.sweep_spec import SweepSpec
from trainers.recipes.augmentations import AUGMENTATIONS
from trainers.recipes.config import RECIPE_NAMES

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "train-well.md"
REST: dict[str, Any] = {
    "name": "a",
    "backbone": {"name": "cifar_resnet20", "weights": "scratch"},
    "data": {"name": "cifar10"},
    "space": {"bits": {"type": "choice", "values": [4, 8]}},
    "objectives": {"accuracy": "maximize"},
}
BLOCKS = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.S)


@pytest.mark.parametrize("block", BLOCKS)
def test_its_sections_are_those_of_a_sweep(block: str) -> None:
    given = yaml.safe_load(block)
    spec = SweepSpec.model_validate({**REST, **given})
    assert spec.trial_config().recipe.changed() or "training" not in given
    assert spec.trial_config().latency is ("latency_ms" in block)


def test_every_key_and_every_augmentation_is_named() -> None:
    text = GUIDE.read_text()
    assert len(BLOCKS) == 3
    assert [n for n in (*RECIPE_NAMES, *AUGMENTATIONS) if f"`{n}`" not in text] == []
