"""Removed channels are gone from training to file: fewer multiplications, the same answers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from trainers.artifact import load_artifact, write_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.errors import ArtifactError
from trainers.evaluators.counts import count_macs
from trainers.networks.narrowing import layer_sizes, narrow
from trainers.networks.network import Network
from trainers.networks.spec import NetworkSpec
from trainers.onnx.export import export_onnx
from trainers.pruning import PruningConfig
from trainers.pruning.channels import remove_channels
from trainers.quantization import QuantizationConfig
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import dequantize
from trainers.training.finetune import FineTuning

Config = Callable[..., TrialConfig]
LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("resnet18", "vgg11_bn")]
CPU = torch.device("cpu")


def channels(share: float) -> PruningConfig:
    return PruningConfig(sparsity=share, granularity="channel")


def begun(config: TrialConfig, data: ImageData, **given: Any) -> FineTuning:
    return FineTuning(config, data, device=CPU, **given)


def macs(network: Network) -> int:
    wanted = network.spec.input
    return count_macs(network, (wanted.channels, wanted.height, wanted.width))


@pytest.mark.parametrize("backbone", ["digitnet", "mobilenet_v2", *LARGE])
@pytest.mark.slow
def test_half_of_the_channels_are_less_than_half_of_the_multiplications(
    tmp_path: Path, bands: ImageData, make_config: Config, backbone: str
) -> None:
    size = None if backbone == "digitnet" else 32
    config = make_config(backbone=backbone, image_size=size, pruning=channels(0.5), tune="all")
    training = begun(config, bands)
    network = training.network.eval()
    whole = begun(replace(config, pruning=PruningConfig()), bands).network
    assert macs(network) < 0.5 * macs(whole)
    assert network.spec.n_features == whole.spec.n_features
    plan = QuantizationConfig(bits=4)
    write_artifact(network, tmp_path / "m", quantization=plan, classes=None)
    state, read = network.state_dict(), load_artifact(tmp_path / "m")
    assert read.spec == network.spec == NetworkSpec.from_mapping(network.spec.as_mapping())
    expected = {n: dequantize(q) for n, q in quantize_network(network, plan).items()}
    for (name, tensor), (own, before) in zip(
        read.state_dict().items(), state.items(), strict=True
    ):
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, expected.get(own, before))


def test_a_resumed_training_of_a_narrowed_network_is_the_same(
    tmp_path: Path, bands: ImageData, make_config: Config
) -> None:
    config = make_config(pruning=channels(0.5), tune="all", qat="lsq", bits=4, epochs=2)
    first = begun(config, bands)
    first.run_epoch()
    first.save(tmp_path / "c")
    second = begun(config, bands)
    second.load(tmp_path / "c")
    assert first.run_epoch().train_loss == second.run_epoch().train_loss


def test_what_is_left_lies_channels_last_as_in_every_network(
    bands: ImageData, make_config: Config
) -> None:
    features = begun(make_config(pruning=channels(0.5), tune="all"), bands).network.features
    kernels = [each for each in features.parameters() if each.ndim == 4]
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in kernels)


def test_heads_share_one_narrowed_backbone(bands: ImageData, make_config: Config) -> None:
    first = begun(make_config(pruning=channels(0.5)), bands)
    second = begun(make_config(pruning=channels(0.5), learning_rate=0.1), bands, like=first)
    assert second.network.spec.narrowed == first.network.spec.narrowed != ()
    assert second.network.features is first.network.features
    assert layer_sizes(second.network.features)["0"][0] == 8


@pytest.mark.slow
def test_a_narrowed_network_is_exported(
    tmp_path: Path, bands: ImageData, make_config: Config
) -> None:
    network = begun(make_config(pruning=channels(0.5)), bands).network
    write_artifact(network, tmp_path / "m", quantization=QuantizationConfig(bits=4), classes=None)
    # It compares the logits of both.
    info = export_onnx(tmp_path / "m", tmp_path / "m.onnx")
    assert info.max_difference <= info.tolerance


def test_sizes_that_no_layer_can_have_are_refused(
    tmp_path: Path, bands: ImageData, make_config: Config
) -> None:
    network = begun(make_config(), bands).network
    for sizes in ({"0": (99, 1)}, {"0": (0, 1)}, {"0": (4,)}, {"nowhere": (1, 1)}):
        with pytest.raises(ValueError, match="was narrowed to"):
            narrow(network.features, sizes)
    network.spec = replace(network.spec, narrowed=(("0", (4, 1)),))
    with pytest.raises(ArtifactError, match="other shapes"):
        write_artifact(network, tmp_path / "m", quantization=QuantizationConfig(), classes=None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"pruning": PruningConfig(sparsity=0.5, granularity="channel", context="global")},
            "defaults",
        ),
        ({"backbone": "cifar_resnet20", "pruning": channels(0.5)}, "cannot be removed"),
    ],
)
def test_what_cannot_be_removed_is_refused(
    make_config: Config, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        make_config(**changes)


@pytest.mark.slow
def test_channels_of_the_smallest_norm_scales_go(bands: ImageData, make_config: Config) -> None:
    """Of a branch whose channels depend on nothing else: exactly those with the smallest scale."""
    config = make_config(
        backbone="resnet18",
        image_size=32,
        tune="all",
        pruning=replace(channels(0.5), criterion="batch_norm"),
    )
    whole = begun(replace(config, pruning=PruningConfig()), bands).network
    name = "layer1.0.bn1" if "layer1.0.bn1" in dict(whole.features.named_modules()) else ""
    name = name or next(n for n, _ in whole.features.named_modules() if n.endswith("0.bn1"))
    scales = torch.rand(64, generator=torch.Generator().manual_seed(0))
    whole.features.get_submodule(name).weight.data.copy_(scales)
    sample = torch.zeros(1, 3, 32, 32)
    remove_channels(whole, sample, share=0.5, fixed=whole.head, criterion="batch_norm")
    left = whole.features.get_submodule(name).weight
    assert sorted(left.tolist()) == sorted(scales.tolist())[-len(left) :]
    assert len(left) == 32


def test_a_restarted_network_has_the_sizes_and_not_the_weights(
    bands: ImageData, make_config: Config
) -> None:
    config = make_config(weights="bundled", tune="all", pruning=channels(0.5))
    kept, fresh = (
        begun(replace(config, pruning=replace(config.pruning, restart=restart)), bands).network
        for restart in (False, True)
    )
    assert fresh.spec == kept.spec
    first, second = (network.features[0].weight for network in (kept, fresh))
    assert first.shape == second.shape
    assert not torch.equal(first, second)
    again = begun(replace(config, pruning=replace(config.pruning, restart=True)), bands).network
    assert torch.equal(again.features[0].weight, second)


def test_a_threshold_removes_what_is_below_the_mean_of_its_layer() -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 3),
        torch.nn.BatchNorm2d(6),
        torch.nn.Conv2d(6, 5, 1),
        torch.nn.BatchNorm2d(5),
        torch.nn.Conv2d(5, 3, 1),
        torch.nn.Conv2d(3, 2, 1),
    )
    # Means 1 and 2; the second layer has a channel below 0.9 of its mean, the first one three.
    network[1].weight.data = torch.tensor([0.1, 0.2, 0.3, 1.4, 2.0, 2.0])
    network[3].weight.data = torch.tensor([2.0, -3.0, 2.0, 1.0, 2.0])
    remove_channels(
        network,
        torch.zeros(1, 1, 3, 3),
        share=0.0,
        fixed=network[5],
        criterion="batch_norm",
        threshold=0.9,
    )
    assert network[1].weight.tolist() == pytest.approx([1.4, 2.0, 2.0])
    assert network[3].weight.tolist() == pytest.approx([2.0, -3.0, 2.0, 2.0])
    assert network[2].weight.shape[:2] == (4, 3)
    assert network[4].weight.shape[:2] == (3, 4)


@pytest.mark.slow
def test_a_threshold_is_a_way_to_begin_a_training(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    pruning = PruningConfig(granularity="channel", threshold=0.9)
    config = make_config(backbone="digitnet", pruning=pruning, tune="all")
    network = begun(config, bands).network
    assert macs(network) < macs(begun(replace(config, pruning=PruningConfig()), bands).network)
    assert TrialConfig.from_mapping(config.as_mapping()) == config


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0.9},
        {"threshold": 0.9, "granularity": "channel", "sparsity": 0.5},
        {"threshold": 3.0, "granularity": "channel"},
    ],
)
def test_a_threshold_that_cannot_be_is_a_sentence(
    make_config: Config, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="pruning_threshold is"):
        make_config(backbone="digitnet", tune="all", pruning=PruningConfig(**wrong))
