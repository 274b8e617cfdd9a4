"""The example of five axes is a sweep: width, bits, sparsity, depth and reuse meet in a trial."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator import load_sweep, run
from orchestrator.execution.inline import InlineExecutor
from orchestrator.state_folder import StateFolder
from trainers.networks.backbones import build_backbone
from trainers.networks.conv_layers import conv_layers
from trainers.reuse.sources import state_digest

EXAMPLE = Path(__file__).parents[3] / "examples" / "studies" / "five_axes.yaml"


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """The example beside what it names: random weights, random images, a verdict."""
    features = build_backbone("cifar_resnet20", "scratch").features
    torch.save(features.state_dict(), tmp_path / "resnet20.th")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "cifar10.npz", x=pixels, y=np.arange(60) % 3)
    fates = ("freeze", "tune", "reinitialize")
    names = [layer.name for layer in conv_layers(features)]
    judged = {
        "backbone": "cifar_resnet20",
        "source_digest": state_digest(features.state_dict()),
        "verdict": {name: fates[place % 3] for place, name in enumerate(names)},
    }
    (tmp_path / "reuse.json").write_text(json.dumps(judged))
    return Path(shutil.copy(EXAMPLE, tmp_path))


def test_the_example_searches_the_axes_of_the_four_papers(sweep: Path) -> None:
    names = set(load_sweep(sweep).search_space.names)
    assert names == {"fc_width_1", "bits", "fc_bits", "pruning_sparsity", "depth", "policy"}


@pytest.mark.slow
def test_a_cut_pruned_and_judged_network_is_trained(sweep: Path) -> None:
    one = {
        "space.depth": "{type: choice, values: [1]}",
        "space.policy": "{type: choice, values: [judged]}",
        "space.pruning_sparsity": "{type: choice, values: [0.5]}",
        "training.epochs": 1,
        "tracking.kind": "none",
    }
    spec = load_sweep(sweep, settings=[f"{key}={value}" for key, value in one.items()], trials=1)
    state = StateFolder(sweep.parent / "home")
    result = run(spec, executor=InlineExecutor, state=state)
    (trial,) = result.front
    assert result.complete == 1
    assert trial.params["depth"] == 1
    assert trial.values["sparsity"] > 0.3
