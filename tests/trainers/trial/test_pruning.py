"""A pruned trial from start to end: zeros stay, resuming changes no bit, and the file shrinks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainers.artifact import load_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.evaluators.accuracy import predict
from trainers.pruning import PruningConfig
from trainers.recipes.config import RecipeConfig
from trainers.stages.cache import StageCache
from trainers.training.beginnings import frozen_key
from trainers.training.finetune import FineTuning
from trainers.training.fused import fuse_key
from trainers.trial.run import TrialRun

Config = Callable[..., TrialConfig]
CPU = torch.device("cpu")
KINDS: list[dict[str, Any]] = [
    {"tune": "all", "pruning": PruningConfig(sparsity=0.8, schedule="gradual")},
    {"tune": "all", "pruning": PruningConfig(sparsity=0.8, criterion="movement"), "qat": "lsq"},
    {"tune": "all", "pruning": PruningConfig(sparsity=0.5, granularity="kernel"), "qat": "absmax"},
    {"tune": "last_blocks:1", "pruning": PruningConfig(sparsity=0.8, schedule="one_cycle")},
    {"tune": "all", "pruning": PruningConfig(sparsity=0.8, criterion="weight_momentum")},
    {
        "tune": "all",
        "pruning": PruningConfig(
            sparsity=0.8, criterion="accumulated_movement", schedule="gradual", context="global"
        ),
        "recipe": RecipeConfig(ema=0.9),
    },
    {
        "tune": "all",
        "pruning": PruningConfig(sparsity=0.8, criterion="snip", layers="all"),
        "qat": "lsq",
        "recipe": RecipeConfig(ema=0.9, best=True),
    },
    {"tune": "all", "pruning": PruningConfig(sparsity=0.8, criterion="force")},
    {"tune": "head", "pruning": PruningConfig(sparsity=0.8)},
    {"tune": "head", "pruning": PruningConfig(sparsity=0.8, layers="all", schedule="iterative")},
]
kinds = pytest.mark.parametrize("kind", KINDS, ids=range(len(KINDS)))


def run_of(config: TrialConfig, data: ImageData, folder: Path, **given: Any) -> TrialRun:
    run = TrialRun(config, data, folder, **given)
    while not run.finished:
        run.advance(to_epoch=config.epochs, seconds=60)
    return run


@kinds
@pytest.mark.slow
def test_pruned_weights_are_zero_from_the_training_to_the_file(
    tmp_path: Path, bands: ImageData, make_config: Config, kind: dict[str, Any]
) -> None:
    config = make_config(bits=4, fc_bits=4, **kind)
    run = run_of(config, bands, tmp_path)
    kept = run.training.masks.kept
    assert kept
    measured = run.measure()
    state = load_artifact(measured.artifact.path).state_dict()
    for name, mask in kept.items():
        share = float((~mask).float().mean())
        if config.pruning.context == "layer":
            assert share == pytest.approx(config.pruning.sparsity, abs=0.05)
        assert not state[name][~mask].any()
    pruned = sum(int((~mask).sum()) for mask in kept.values())
    weights = sum(v.numel() for n, v in state.items() if v.ndim > 1)
    assert measured.values["sparsity"] >= pruned / weights


@kinds
@pytest.mark.slow
def test_a_resumed_training_is_the_same_to_the_last_bit(
    tmp_path: Path, bands: ImageData, make_config: Config, kind: dict[str, Any]
) -> None:
    config = make_config(bits=4, fc_bits=4, epochs=4, **kind)
    whole = FineTuning(config, bands, device=CPU)
    halves = FineTuning(config, bands, device=CPU)
    for epoch in range(4):
        whole.run_epoch()
        if epoch == 2:
            halves.save(tmp_path / "c")
            halves = FineTuning(config, bands, device=CPU)
            halves.load(tmp_path / "c")
        halves.run_epoch()
    first, second = whole.network.state_dict(), halves.network.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(m, halves.masks.kept[n]) for n, m in whole.masks.kept.items())


def test_heads_on_a_pruned_backbone_share_features_with_its_like_alone(
    bands: ImageData, make_config: Config
) -> None:
    plain = make_config(tune="head")
    pruned = replace(plain, pruning=PruningConfig(sparsity=0.8))
    assert frozen_key(plain) != frozen_key(pruned)
    assert frozen_key(pruned) == frozen_key(replace(pruned, learning_rate=0.1))
    first = FineTuning(pruned, bands, device=CPU)
    second = FineTuning(pruned, bands, device=CPU, like=first)
    assert first.masks.kept.keys() == second.masks.kept.keys()
    assert all(torch.equal(m, second.masks.kept[n]) for n, m in first.masks.kept.items())
    assert fuse_key(first) == fuse_key(second) is not None
    whole = replace(pruned, pruning=PruningConfig(sparsity=0.8, layers="all"))
    assert fuse_key(FineTuning(whole, bands, device=CPU)) is None


@pytest.mark.slow
def test_a_ninety_percent_sparse_file_is_a_third_of_the_dense_one_and_as_accurate(
    tmp_path: Path, bands: ImageData, make_config: Config
) -> None:
    dense = make_config(tune="all", epochs=4, widths=(256,), bits=4, fc_bits=4)
    pruning = PruningConfig(sparsity=0.9, layers="all", schedule="gradual")
    runs = {
        name: run_of(config, bands, tmp_path / name)
        for name, config in (("dense", dense), ("sparse", replace(dense, pruning=pruning)))
    }
    found = {name: run.measure() for name, run in runs.items()}
    sizes = {name: each.values["memory_bytes"] for name, each in found.items()}
    assert sizes["sparse"] <= 0.35 * sizes["dense"]
    assert found["sparse"].values["sparsity"] >= 0.9
    images, labels = bands.subset("val")
    again = predict(load_artifact(found["sparse"].artifact.path), images)
    assert float(np.mean(again == labels)) == found["sparse"].values["accuracy"]


@pytest.mark.parametrize("tune", ["head", "all"])
@pytest.mark.slow
def test_a_finished_pruned_training_is_taken_from_the_cache_with_its_masks(
    tmp_path: Path, bands: ImageData, make_config: Config, tune: str
) -> None:
    config = make_config(tune=tune, pruning=PruningConfig(sparsity=0.8))
    cache = StageCache(str(tmp_path / "cache"), 1e9)
    first = run_of(config, bands, tmp_path / "a", cache=cache).measure()
    later = replace(config, bits=8)
    second = TrialRun(later, bands, tmp_path / "b", cache=cache)
    assert second.finished
    values = second.measure().values
    assert values["sparsity"] >= first.values["sparsity"]
    assert values["memory_bytes"] < first.values["memory_bytes"]
