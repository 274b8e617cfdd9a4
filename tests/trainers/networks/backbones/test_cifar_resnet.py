from pathlib import Path

import pytest
import torch
from torch import nn

from trainers.data import DataConfig, load_data
from trainers.errors import WeightsError
from trainers.networks.backbones import BACKBONES, build_backbone
from trainers.networks.backbones.cifar_resnet import cifar_resnet_features
from trainers.networks.inputs import InputTransform, to_unit

LAYERS = (20, 32, 44, 56)
# Millions of parameters, table 6 of the paper; with the classifier of ten classes.
PUBLISHED_MILLIONS = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85}
# Fraction of the 10 000 test images, as their author published them.
WEIGHTS = {20: ("12fca82f", 0.9173), 56: ("4bfd9763", 0.9339)}


@pytest.mark.parametrize("layers", LAYERS)
def test_parameters_are_as_many_as_in_the_paper(layers: int) -> None:
    info = BACKBONES[f"cifar_resnet{layers}"]
    assert round((info.parameters + 64 * 10 + 10) / 1e6, 2) == PUBLISHED_MILLIONS[layers]


@pytest.mark.parametrize("layers", LAYERS)
def test_layers_with_weights_are_as_many_as_the_name_says(layers: int) -> None:
    with torch.device("meta"):
        modules = list(cifar_resnet_features(f"cifar_resnet{layers}").modules())
    assert 1 + sum(isinstance(module, nn.Conv2d) for module in modules) == layers


def test_the_shortcut_has_no_parameters_and_keeps_every_second_pixel() -> None:
    features = cifar_resnet_features("cifar_resnet20").eval()
    block = features.layer2[0]
    pixels = torch.rand(2, 16, 7, 8, generator=torch.Generator().manual_seed(0))
    kept = block.shortcut(pixels)
    assert kept.shape == block(pixels).shape == (2, 32, 4, 4)
    assert torch.equal(kept[:, 8:24], pixels[:, :, ::2, ::2])
    assert not kept[:, :8].any()
    assert not kept[:, 24:].any()
    assert all(name.startswith(("conv", "bn")) for name, _ in block.named_parameters())
    same = features.layer2[1]
    whole = torch.rand(1, 32, 4, 4)
    assert torch.equal(same.shortcut(whole), whole)


def test_a_block_adds_its_shortcut_before_the_last_relu() -> None:
    block = cifar_resnet_features("cifar_resnet20").eval().layer1[0]
    nn.init.zeros_(block.conv2.weight)
    pixels = torch.randn(1, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(pixels), pixels.relu())


def test_the_blocks_are_the_network() -> None:
    backbone = build_backbone("cifar_resnet20", "scratch", seed=1)
    features = backbone.features.eval()
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    stem, *others = backbone.blocks
    passed = stem.eval()(pixels).relu()
    for block in others:
        passed = block(passed)
    torch.testing.assert_close(passed.mean((2, 3)), features(pixels))


@pytest.mark.slow
@pytest.mark.parametrize("size", [8, 9, 32, 64])
def test_other_sizes_work(size: int) -> None:
    with torch.device("meta"):
        backbone = build_backbone("cifar_resnet20", "scratch", image_size=size)
        features = backbone.features(torch.empty(2, 3, size, size))
    assert features.shape == (2, 64)


def test_a_smaller_size_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        build_backbone("cifar_resnet20", "scratch", image_size=7)


@pytest.mark.shared_data
def test_weights_of_another_depth_are_refused(shared_data: Path) -> None:
    path = shared_data / "weights_cifar10_resnet" / "resnet20-12fca82f.th"
    with pytest.raises(WeightsError, match=r"missing \(layer1\.3\.conv1\.weight"):
        build_backbone("cifar_resnet32", str(path))
    with pytest.raises(WeightsError, match="of another shape"):
        build_backbone("resnet18", str(path))


@pytest.mark.shared_data
@pytest.mark.parametrize("layers", WEIGHTS)
def test_published_weights_reach_their_published_accuracy(layers: int, shared_data: Path) -> None:
    digest, published = WEIGHTS[layers]
    path = shared_data / "weights_cifar10_resnet" / f"resnet{layers}-{digest}.th"
    backbone = build_backbone(f"cifar_resnet{layers}", str(path))
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    head = nn.Linear(64, 10)
    head.load_state_dict({key: state[f"module.linear.{key}"] for key in ("weight", "bias")})
    archive = shared_data / "cifar10_lossless" / "cifar10_lossless_8068train_1017test.npz"
    data = load_data(DataConfig(npz=str(archive)))
    pixels, labels = to_unit(torch.tensor(data.test_images[:300])), data.test_labels[:300]
    network = nn.Sequential(InputTransform(backbone.input), backbone.features, head).eval()
    with torch.inference_mode():
        found = network(pixels).argmax(1) == torch.tensor(labels)
    # Of 300 images the standard error is 0.016. Another normalisation costs 0.07 and more; zeros
    # on one side only of the shortcut, 0.67 (measured on cifar_resnet20).
    assert abs(found.float().mean().item() - published) < 0.05
