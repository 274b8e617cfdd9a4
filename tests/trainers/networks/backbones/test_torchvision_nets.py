from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from trainers.networks.backbones import (
    BACKBONES,
    Backbone,
    backbone_info,
    backbone_names,
    build_backbone,
)

TORCHVISION = [name for name in backbone_names() if BACKBONES[name].imagenet]
WEIGHTS = {
    "mobilenet_v2": "weights_mobilenet_v2/mobilenet_v2_imagenet_torchvision.pth",
    "squeezenet1_0": "weights_squeezenet1_0/squeezenet1_0_imagenet_torchvision.pth",
    "squeezenet1_1": "weights_squeezenet1_1/squeezenet1_1_features_imagenet_torchvision.pth",
}


@cache
def on_meta(name: str) -> Backbone:
    """Sizes and names without memory; built once, because no test changes it."""
    with torch.device("meta"):
        return build_backbone(name, "scratch")


def test_the_eighteen_are_among_them() -> None:
    # There may be more: docs/guides/add-a-backbone.md.
    assert len(TORCHVISION) >= 18


@pytest.mark.slow
@pytest.mark.parametrize("name", backbone_names())
def test_the_table_says_what_the_network_is(name: str) -> None:
    info = BACKBONES[name]
    backbone = on_meta(name)
    spec = backbone.input
    pixels = torch.empty(2, spec.channels, spec.height, spec.width, device="meta")
    features = backbone.features.eval()(pixels)
    assert features.shape == (2, info.n_features)
    assert backbone.n_features == info.n_features
    assert len(backbone.blocks) == info.n_blocks
    assert sum(p.numel() for p in backbone.features.parameters()) == info.parameters


@pytest.mark.slow
@pytest.mark.parametrize("name", backbone_names())
def test_blocks_hold_every_parameter_once_and_in_order(name: str) -> None:
    backbone = on_meta(name)
    in_blocks = [id(p) for block in backbone.blocks for p in block.parameters()]
    assert in_blocks == [id(p) for p in backbone.features.parameters()]
    assert all(any(True for _ in block.parameters()) for block in backbone.blocks)


@pytest.mark.parametrize("name", TORCHVISION)
def test_size_and_normalisation_are_those_of_torchvisions_weights(name: str) -> None:
    import torchvision.models

    transform = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    info = BACKBONES[name]
    assert [info.image_size] == transform.crop_size
    assert (list(info.mean), list(info.std)) == (transform.mean, transform.std)


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_tensors_are_named_as_in_torchvision(name: str) -> None:
    import torchvision.models

    ours = on_meta(name).features.state_dict()
    # RegNet computes its widths with tensors.
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        theirs = getattr(torchvision.models, name)(weights=None).state_dict()
    # Of ConvNeXt's classifier the norm belongs to the features.
    kept = [key for key in theirs if key in ours or not key.startswith(("classifier.", "fc."))]
    assert list(ours) == kept
    assert all(ours[key].shape == theirs[key].shape for key in kept)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("alexnet", "resnet18", "mobilenet_v3_small", "efficientnet_b0", "densenet121"),
        *("convnext_tiny", "regnet_y_400mf", "mnasnet0_5", "shufflenet_v2_x0_5"),
    ],
)
def test_features_under_torchvisions_classifier_give_torchvisions_logits(
    name: str, tmp_path: Path
) -> None:
    import torchvision.models

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(torchvision.models, name)(weights=None).eval()
    path = tmp_path / "whole.pth"
    torch.save(model.state_dict(), path)
    features = build_backbone(name, str(path)).features.eval()
    classifier = model.fc if hasattr(model, "fc") else model.classifier
    if name.startswith("convnext"):
        classifier = classifier[2]
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(classifier(features(pixels)), model(pixels))


@pytest.mark.shared_data
@pytest.mark.parametrize("name", WEIGHTS)
def test_real_weights_give_torchvisions_features(name: str, shared_data: Path) -> None:
    import torchvision.models

    path = shared_data / WEIGHTS[name]
    features = build_backbone(name, str(path)).features.eval()
    model = getattr(torchvision.models, name)(weights=None)
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state, strict=name != "squeezenet1_1")
    pixels = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = nn.functional.adaptive_avg_pool2d(model.eval().features(pixels), 1).flatten(1)
        assert torch.equal(features(pixels), expected)
        assert features(pixels).std() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_the_smallest_size_works_and_a_smaller_one_is_refused(name: str) -> None:
    size = backbone_info(name).min_image_size
    features = on_meta(name).features.eval()(torch.empty(1, 3, size, size, device="meta"))
    assert features.shape == (1, on_meta(name).n_features)
    with pytest.raises(ValueError, match=f"at least {size}"):
        build_backbone(name, "scratch", image_size=size - 1)
