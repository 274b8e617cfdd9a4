"""Weights that have seen the images by which they are judged."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from trainers.data.config import DataConfig
from trainers.networks.backbones.origins import seen_before


def test_the_bundled_weights_have_seen_fashion_mnist() -> None:
    said = seen_before("digitnet", "bundled", DataConfig(name="fashion_mnist", seed=1))
    assert said is not None
    assert said.startswith("the bundled weights of digitnet were trained on fashion_mnist")
    assert "values on validation may be too good" in said
    assert "front NAME --set test" in said


@pytest.mark.parametrize(
    ("changes", "is_alike"), [({}, True), ({"limit": 100}, False), ({"val_fraction": 0.3}, False)]
)
def test_the_split_of_the_pretraining_is_told_apart(
    changes: dict[str, float], is_alike: bool
) -> None:
    data = DataConfig(name="fashion_mnist", **changes)  # type: ignore[arg-type]
    said = seen_before("digitnet", "bundled", data)
    assert said is not None
    assert said.endswith("the validation images were held out then") == is_alike


@pytest.mark.parametrize(
    ("backbone", "weights", "data"),
    [
        ("digitnet", "bundled", DataConfig(name="digits")),
        ("digitnet", "scratch", DataConfig(name="fashion_mnist")),
        ("resnet18", "imagenet", DataConfig(name="cifar10")),
        ("resnet18", "resnet18.pth", DataConfig(folder="pets")),
        ("cifar_resnet20", "resnet20.th", DataConfig(name="svhn")),
        ("digitnet", "nowhere.safetensors", DataConfig(name="fashion_mnist")),
    ],
)
def test_nothing_is_said_where_nothing_is_known(
    backbone: str, weights: str, data: DataConfig
) -> None:
    assert seen_before(backbone, weights, data) is None


@pytest.mark.parametrize(
    ("backbone", "weights", "data", "of"),
    [
        ("cifar_resnet20", "resnet20.th", DataConfig(name="cifar10"), "CIFAR"),
        ("cifar_resnet56", "resnet56.th", DataConfig(npz="my/CIFAR-100.npz"), "CIFAR"),
        ("cifar_resnet20", "cifar10/best.pth", DataConfig(npz="cifar10/data.npz"), "cifar10"),
        ("mobilenet_v2", "imagenet", DataConfig(folder="imagenette2-160/train"), "ImageNet"),
        ("mobilenet_v2", "mobilenet_v2.pth", DataConfig(name="stl10"), "ImageNet"),
    ],
)
def test_published_weights_are_known_by_their_backbone(
    backbone: str, weights: str, data: DataConfig, of: str
) -> None:
    said = seen_before(backbone, weights, data)
    assert said is not None
    assert f"were trained on {of}, to which these images belong" in said


def test_cifar_100_is_not_cifar_10() -> None:
    given = ("cifar_resnet20", "cifar10/resnet20.th")
    assert seen_before(*given, DataConfig(name="cifar100")) is None
    assert seen_before(*given, DataConfig(name="cifar10")) is not None


def test_pretrained_weights_say_themselves_what_they_have_seen(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    origin = json.dumps({"data": "pets", "seed": 3})
    save_file({"a": torch.zeros(1)}, path, metadata={"origin": origin})
    said = seen_before("resnet18", str(path), DataConfig(folder="data/pets"))
    assert said is not None
    assert said.startswith(f"the weights in {path} were trained on pets")
    assert seen_before("resnet18", str(path), DataConfig(folder="data/plants")) is None
    path.write_bytes(b"broken")
    assert seen_before("resnet18", str(path), DataConfig(folder="data/pets")) is None


@pytest.mark.shared_data
def test_published_checkpoints_are_known_by_their_content(
    shared_data: Path, tmp_path: Path
) -> None:
    for file in (shared_data / "weights_cifar10_resnet").glob("*.th"):
        renamed = tmp_path / "mine.pth"
        renamed.write_bytes(file.read_bytes())
        said = seen_before("cifar_resnet20", str(renamed), DataConfig(npz="cifar10.npz"))
        assert said is not None
        assert said.startswith(f"the weights in {renamed} were trained on cifar10")
