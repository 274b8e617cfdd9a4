from pathlib import Path

import pytest
import torch

from trainers.errors import WeightsError
from trainers.networks.backbones import build_backbone


def test_scratch_weights_follow_from_the_seed_and_touch_no_global_state() -> None:
    state = torch.random.get_rng_state()
    first, again, other = (
        build_backbone("squeezenet1_1", "scratch", seed=seed).features.state_dict()
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["features.0.weight"], other["features.0.weight"])


def test_an_alias_builds_what_it_means() -> None:
    with torch.device("meta"):
        assert build_backbone("resnext50", "scratch").name == "resnext50_32x4d"


def test_imagenet_weights_come_through_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.models

    reference = torchvision.models.squeezenet1_1(weights=None).state_dict()
    asked = []

    def cached(url: str, **_: object) -> dict[str, torch.Tensor]:
        asked.append(url)
        return reference

    # The one call by which torchvision downloads.
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", cached)
    features = build_backbone("squeezenet1_1", "imagenet").features.state_dict()
    assert asked == [torchvision.models.SqueezeNet1_1_Weights.DEFAULT.url]
    assert all(torch.equal(features[key], reference[key]) for key in features)


def test_a_failed_download_names_the_alternatives(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("name resolution failed")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    with pytest.raises(WeightsError, match="name resolution failed") as caught:
        build_backbone("squeezenet1_1", "imagenet")
    for alternative in ("safetensors", "scratch", "bundled"):
        assert alternative in str(caught.value)


def test_weights_that_do_not_exist_are_refused() -> None:
    with pytest.raises(WeightsError, match="no bundled weights of resnet18"):
        build_backbone("resnet18", "bundled")
    with pytest.raises(WeightsError, match="no imagenet weights of digitnet"):
        build_backbone("digitnet", "imagenet")
    with pytest.raises(WeightsError, match="Use weights: scratch, or the path"):
        build_backbone("cifar_resnet20", "imagenet")


def test_a_misspelt_source_is_taken_for_a_path_that_is_absent() -> None:
    with pytest.raises(WeightsError, match="weights file imagnet does not exist"):
        build_backbone("resnet18", "imagnet")


def test_another_image_size_is_what_the_network_sees() -> None:
    with torch.device("meta"):
        backbone = build_backbone("resnet18", "scratch", image_size=48)
    assert (backbone.input.height, backbone.input.width) == (48, 48)


def test_digitnet_has_one_size() -> None:
    assert build_backbone("digitnet", "scratch", image_size=28).input.height == 28
    with pytest.raises(ValueError, match="28 by 28"):
        build_backbone("digitnet", "scratch", image_size=32)


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(
        build_backbone("digitnet", "scratch").features.state_dict(), tmp_path / "weights.pth"
    )
    assert build_backbone("digitnet", "~/weights.pth").name == "digitnet"
