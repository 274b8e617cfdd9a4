"""Networks of timm are timm's, without their classifiers."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from trainers.config import TrialConfig
from trainers.networks.backbone_table import backbone_info
from trainers.networks.backbones import build_backbone
from trainers.networks.brought import timm_nets
from trainers.stages.keys import training_parameters

pytestmark = pytest.mark.skipif(find_spec("timm") is None, reason="needs paretune[timm]")


@pytest.mark.slow
def test_with_the_same_weights_it_is_the_network_of_torchvision(tmp_path: Path) -> None:
    ours = build_backbone("resnet18", "scratch", seed=3)
    path = tmp_path / "weights.pth"
    torch.save({**ours.features.state_dict(), "fc.weight": torch.zeros(1)}, path)
    theirs = build_backbone("timm:resnet18", str(path))
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(theirs.features.eval()(pixels), ours.features.eval()(pixels))
    assert len(theirs.blocks) == len(ours.blocks)
    for one, other in zip(theirs.blocks, ours.blocks, strict=True):
        assert [p.shape for p in one.parameters()] == [p.shape for p in other.parameters()]


@pytest.mark.slow
def test_facts_are_those_of_timm() -> None:
    import timm

    info = backbone_info("timm:mobilenetv3_small_050")
    model = timm.create_model("mobilenetv3_small_050", pretrained=False)
    assert info.n_features == model.get_classifier().in_features
    assert (info.image_size, info.mean) == (224, tuple(model.pretrained_cfg["mean"]))
    assert info.weights == ("pretrained", "scratch")
    config = TrialConfig(backbone=info.name, weights="scratch")
    assert training_parameters(config)["package"] == f"timm {timm.__version__}"


@pytest.mark.slow
def test_a_name_that_timm_lacks_is_refused_with_similar_ones() -> None:
    with pytest.raises(ValueError, match=r"has no network 'resnet-18'. It has .*resnet18"):
        backbone_info("timm:resnet-18")


def test_without_timm_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_nets, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"not installed: pip install 'paretune\[timm\]'"):
        backbone_info("timm:resnet26")
