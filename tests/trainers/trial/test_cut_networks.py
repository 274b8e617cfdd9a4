"""A cut network through a whole trial: training, quantization, packing, cache, ONNX."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trainers.artifact import load_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.networks.backbones.shapes import backbone_shapes
from trainers.networks.shapes import count_values, head_shapes
from trainers.stages.cache import StageCache
from trainers.training.beginnings import frozen_key
from trainers.training.finetune import FineTuning
from trainers.trial.run import TrialRun

Config = Callable[..., TrialConfig]
CUT = {"depth": 1, "width_multiplier": 0.5}


def _measured(config: TrialConfig, data: ImageData, folder: Path, cache: StageCache | None = None):  # type: ignore[no-untyped-def]
    trial = TrialRun(config, data, folder, cache=cache)
    trial.advance(to_epoch=99, seconds=60)
    return trial.measure()


def test_sizes_follow_from_the_name_and_the_file_loads_without_the_config(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    config = make_config(**CUT, epochs=1, tune="last_blocks:1", bits=4, qat="lsq")
    found = _measured(config, bands, tmp_path)
    shapes = backbone_shapes("digitnet[depth=1,width=0.5]")
    head = count_values(head_shapes(9 * 32, (8,), 3).stored)
    assert found.values["params"] == shapes.params + head
    assert found.values["head_inputs"] == 9 * 32
    assert found.values["trainable_params"] == 32 * 16 * 9 + 32 + head
    # Three convolutions of 8, 16 and 32 channels on 28, 14 and 7 pixels, and the head.
    macs = 9 * (8 * 28**2 + 8 * 16 * 14**2 + 16 * 32 * 7**2) + 288 * 8 + 8 * 3
    assert found.values["macs"] == macs
    network = load_artifact(found.artifact.path)
    assert network.spec.backbone == "digitnet[depth=1,width=0.5]"
    assert network(torch.rand(2, 1, 12, 12)).shape == (2, 3)


def test_trials_of_other_depths_share_nothing_and_equal_ones_everything(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    cache = StageCache(str(tmp_path / "cache"), 1e9)
    values = [
        _measured(make_config(epochs=1, weights="bundled", **cut), bands, tmp_path / name, cache)
        for name, cut in (
            ("full", {}),
            ("cut", {"depth": 1}),
            ("fused", {"depth": 1, "depth_start": "fused"}),
            ("capped", {"depth_cap": 1}),
        )
    ]
    taken = [each.values["cached_stages"] for each in values]
    assert taken[:3] == [0, 0, 0]
    # Another way to say what the second trial was; not the same config, but the same features.
    assert taken[3] > 0
    assert values[3].values["accuracy"] == values[1].values["accuracy"]


def test_frozen_features_are_shared_only_by_equal_networks(make_config: Config) -> None:
    keys = [
        frozen_key(make_config(weights="bundled", **cut))
        for cut in (
            {},
            {"depth": 1},
            {"depth": 1, "depth_start": "fused"},
            {"width_multiplier": 2},
        )
    ]
    assert len(set(keys)) == 4
    # Another width is drawn by the seed, whatever the weights.
    other = make_config(weights="bundled", width_multiplier=2, seed=5)
    assert frozen_key(other) != keys[3]


def test_a_pretrained_prefix_is_trained_from_its_weights(
    bands: ImageData, make_config: Config
) -> None:
    config = make_config(weights="bundled", depth=1)
    training = FineTuning(config, bands, device=torch.device("cpu"))
    full = FineTuning(make_config(weights="bundled"), bands, device=torch.device("cpu"))
    kept, all_ = training.network.features.state_dict(), full.network.features.state_dict()
    assert 0 < len(kept) < len(all_)
    assert all(torch.equal(kept[name], all_[name]) for name in kept)


@pytest.mark.slow
def test_onnx_answers_what_the_artifact_does(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    pytest.importorskip("onnx", reason="needs paretune[onnx]")
    from trainers.onnx.export import export_onnx

    config = make_config(
        backbone="cifar_resnet20", image_size=16, depth=1, width_multiplier=1.3, epochs=1, bits=8
    )
    found = _measured(config, bands, tmp_path)
    info = export_onnx(found.artifact.path, tmp_path / "m.onnx")
    assert info.max_difference <= info.tolerance
    assert np.isfinite(info.max_difference)
