"""Reuse policies: what is frozen stays, what is drawn anew is random, what is tuned moves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trainers.config import TrialConfig, with_params
from trainers.data.image_data import ImageData
from trainers.errors import WeightsError
from trainers.networks.backbones import build_backbone
from trainers.networks.backbones.shapes import backbone_shapes
from trainers.networks.network import build_network
from trainers.networks.reuse import reused_backbone
from trainers.networks.reuse_config import ReuseConfig
from trainers.stages.keys import training_key
from trainers.stages.weights import weights_digest
from trainers.training.finetune import FineTuning

DIGITNET = {"0": "freeze", "2": "freeze", "5": "tune", "7": "tune", "10": "reinitialize"}
VERDICT = ReuseConfig("judged", {**DIGITNET, "12": "reinitialize"})
PLAIN = TrialConfig(backbone="digitnet", weights="bundled", tune="all", epochs=1, widths=())
JUDGED = replace(PLAIN, reuse=VERDICT)


@pytest.fixture
def data() -> ImageData:
    images = np.random.default_rng(0).integers(0, 256, (12, 1, 28, 28), dtype=np.uint8)
    labels = np.arange(12) % 3
    return ImageData("tiny", ("a", "b", "c"), *[images, labels] * 3)


def test_each_layer_has_its_fate_before_and_after_training(data: ImageData) -> None:
    pretrained = build_backbone("digitnet", "bundled").features.state_dict()
    training = FineTuning(JUDGED, data, device=torch.device("cpu"))
    state = training.network.features.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    training.run_epoch()
    after = training.network.features.state_dict()
    for name, tensor in pretrained.items():
        fate = VERDICT.layers[name.split(".")[0]]
        assert torch.equal(before[name], tensor) == (fate != "reinitialize"), name
        assert torch.equal(before[name], after[name]) == (fate == "freeze"), name


def test_norms_of_a_frozen_layer_keep_their_statistics() -> None:
    network = build_network("cifar_resnet20", weights="scratch", widths=(), classes=2)
    network.set_trainable("all", frozen=("conv1", "bn1"))
    network.train()
    assert not network.features.bn1.training
    assert network.features.layer1[0].bn1.training


def test_the_number_of_trained_parameters_is_known_before(data: ImageData) -> None:
    training = FineTuning(JUDGED, data, device=torch.device("cpu"))
    trained = sum(p.numel() for p in training.network.features.parameters() if p.requires_grad)
    assert backbone_shapes("digitnet").trainable_params("all", VERDICT.frozen) == trained


def test_nothing_reused_is_a_network_from_scratch() -> None:
    none = reused_backbone(ReuseConfig("none"), "digitnet", "bundled", seed=3)
    scratch = build_backbone("digitnet", "scratch", seed=3)
    pairs = zip(none.features.parameters(), scratch.features.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_policy_is_part_of_the_key_of_a_training_and_a_plain_config_is_as_it_was() -> None:
    none = with_params(JUDGED, {"policy": "none"}, seed=0)
    every = with_params(JUDGED, {"policy": "all"}, seed=0)
    other = replace(JUDGED, reuse=ReuseConfig("judged", {**VERDICT.layers, "0": "tune"}))
    assert len({training_key(config) for config in (none, every, JUDGED, other)}) == 4
    assert "reuse" not in every.as_mapping()
    assert training_key(every) == training_key(replace(PLAIN, seed=0))
    assert TrialConfig.from_mapping(JUDGED.as_mapping()) == JUDGED


def test_weights_that_are_partly_random_are_named_by_their_content() -> None:
    digests = {
        weights_digest(JUDGED, reused_backbone(VERDICT, "digitnet", "bundled", seed=s).features)
        for s in (0, 1)
    }
    plain = weights_digest(PLAIN, build_backbone("digitnet", "bundled").features)
    assert len(digests | {plain}) == 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tune": "head"}, "Write tune: all"),
        ({"weights": "scratch"}, "nothing to reuse"),
        ({"tune": "last_blocks:2", "reuse": ReuseConfig("none")}, "Write tune: all"),
    ],
)
def test_what_excludes_itself_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(JUDGED, **changes)


def test_a_verdict_of_another_backbone_is_refused() -> None:
    with pytest.raises(WeightsError, match="not of cifar_resnet20"):
        reused_backbone(VERDICT, "cifar_resnet20", "scratch", seed=0)


def test_the_verdict_of_the_full_network_serves_one_that_is_cut() -> None:
    cut = reused_backbone(VERDICT, "digitnet[depth=1]", "bundled", seed=0).features.state_dict()
    full = reused_backbone(VERDICT, "digitnet", "bundled", seed=0).features.state_dict()
    layers = {name.split(".")[0] for name in cut}
    assert layers == {"0", "5", "10"}
    for name, tensor in cut.items():
        if VERDICT.layers[name.split(".")[0]] != "reinitialize":
            assert torch.equal(tensor, full[name]), name


def test_a_verdict_that_lacks_a_layer_of_a_cut_network_is_refused() -> None:
    verdict = ReuseConfig("judged", {"0": "tune", "5": "tune"})
    with pytest.raises(WeightsError, match="not in both are 10"):
        reused_backbone(verdict, "digitnet[depth=1]", "bundled", seed=0)
