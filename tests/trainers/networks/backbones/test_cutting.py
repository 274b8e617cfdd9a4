"""What is left of a network that is cut, and its size at another width."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from trainers.artifact import load_artifact, write_artifact
from trainers.errors import WeightsError
from trainers.networks.backbone_table import backbone_info
from trainers.networks.backbones import build_backbone
from trainers.networks.backbones.matching import matched_widths
from trainers.networks.backbones.shapes import backbone_shapes
from trainers.networks.matched_widths import MATCHED
from trainers.networks.meta import without_memory
from trainers.networks.network import build_network
from trainers.networks.variants import STAGES, variant_name
from trainers.quantization import QuantizationConfig
from trainers.quantization.plan import planned_weights


def _variants() -> list[str]:
    names = []
    for base, stages in STAGES.items():
        names += [variant_name(base, depth) for depth in {1, stages.most - 1}]
        names.append(variant_name(base, 1, "match_params"))
    return names


@pytest.mark.slow
@pytest.mark.parametrize("name", _variants())
def test_a_variant_has_the_features_and_the_blocks_that_its_facts_say(name: str) -> None:
    info = backbone_info(name)
    with without_memory():
        backbone = build_backbone(name, "scratch")
        image = torch.zeros(1, len(info.mean), info.image_size, info.image_size)
    assert backbone.features.eval()(image).shape == (1, info.n_features)
    assert len(backbone.blocks) == info.n_blocks
    inside = sum(p.numel() for block in backbone.blocks for p in block.parameters())
    assert inside == sum(p.numel() for p in backbone.features.parameters())


@pytest.mark.parametrize("base", ["digitnet", "cifar_resnet32", "vgg11_bn", "mobilenet_v2"])
@pytest.mark.slow
def test_a_cut_keeps_the_first_layers_of_each_stage_with_their_weights(base: str) -> None:
    full = build_backbone(base, "scratch", seed=3).features.state_dict()
    cut = build_backbone(variant_name(base, 1), "scratch", seed=3).features.state_dict()
    assert cut.keys() < full.keys()
    assert all(torch.equal(cut[name], full[name]) for name in cut)


def test_a_cut_densenet_reads_only_what_is_left() -> None:
    full = build_backbone("densenet121", "scratch").features.state_dict()
    cut = build_backbone("densenet121[depth=5]", "scratch").features
    name = "features.transition1.conv.weight"
    # 64 channels of the stem and 32 of each layer, of which the sixth is dropped.
    assert torch.equal(cut.state_dict()[name], full[name][:, : 64 + 5 * 32])
    assert torch.equal(
        cut.state_dict()["features.denseblock2.denselayer1.conv1.weight"],
        full["features.denseblock2.denselayer1.conv1.weight"],
    )
    assert cut.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 512 + 5 * 32)


def test_dropped_residual_blocks_were_to_do_nothing() -> None:
    """A full network whose late blocks add zero computes what the cut one does."""
    full = build_backbone("cifar_resnet32", "scratch").features.eval()
    cut = build_backbone("cifar_resnet32[depth=2]", "scratch").features.eval()
    for stage in (1, 2, 3):
        for block in list(full.get_submodule(f"layer{stage}").children())[2:]:
            nn.init.zeros_(block.get_parameter("conv2.weight"))
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(full(images), cut(images))


@pytest.mark.parametrize("base", ["digitnet", "cifar_resnet20", "vgg16_bn", "mobilenet_v2"])
def test_matching_widths_give_the_size_of_the_full_network(base: str) -> None:
    wanted = backbone_shapes(base).params
    for depth in range(1, STAGES[base].most):
        found = backbone_shapes(variant_name(base, depth, "match_params")).params
        assert found == pytest.approx(wanted, rel=0.01 if wanted > 1e5 else 0.02)


@pytest.mark.parametrize("base", ["digitnet", "cifar_resnet20", "resnet18"])
def test_the_stored_multipliers_are_those_that_are_computed(base: str) -> None:
    assert tuple(matched_widths(base)) == MATCHED[base]


def test_weights_do_not_fit_another_width() -> None:
    with pytest.raises(WeightsError, match="wider or narrower than digitnet"):
        build_backbone("digitnet[width=2]", "bundled")


@pytest.mark.parametrize("name", ["digitnet[depth=1,width=0.5]", "cifar_resnet20[depth=2]"])
def test_an_artifact_knows_depth_and_width(name: str, tmp_path: Path) -> None:
    network = build_network(name, weights="scratch", widths=(6,), classes=3).eval()
    config = QuantizationConfig(bits=4, fc_bits=4, layer_bits={2: 8})
    written = write_artifact(network, tmp_path / "m", quantization=config, classes=["a", "b", "c"])
    read = load_artifact(written.path)
    assert read.spec.backbone == name
    images = torch.from_numpy(
        np.random.default_rng(0).random((2, network.spec.input.channels, 28, 28), np.float32)
    )
    assert read(images).shape == (2, 3)
    # Numbered over the convolutions that are left.
    bits = [plan.bits for plan in planned_weights(read, config).values()]
    assert bits[:3] == [4, 8, 4]
    with pytest.raises(ValueError, match="convolution"):
        planned_weights(read, QuantizationConfig(layer_bits={19: 4}))
