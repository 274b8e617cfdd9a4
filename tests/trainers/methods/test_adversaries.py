"""Attacks of adversarial training: their bounds, their agreement with foolbox, no side effects."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from trainers.evaluators.attacks import attacked as by_foolbox
from trainers.evaluators.config import AttackConfig
from trainers.methods import MethodsConfig
from trainers.methods.adversaries import attacked


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    )


def _batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(8, 1, 8, 8), torch.randint(3, (8,))


@pytest.mark.slow
@given(
    st.sampled_from(["fgsm", "pgd"]), st.floats(0.001, 1.0), st.integers(1, 4), st.integers(0, 9)
)
def test_no_pixel_leaves_its_bounds(attack: str, epsilon: float, steps: int, seed: int) -> None:
    images, labels = _batch()
    methods = MethodsConfig(
        adversarial=attack, adversarial_epsilon=epsilon, adversarial_steps=steps
    )
    torch.manual_seed(seed)
    found = attacked(_network(), images, labels, nn.functional.cross_entropy, methods)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert float((found - images).abs().max()) <= epsilon + 1e-6


def test_fgsm_is_that_of_foolbox() -> None:
    images, labels = _batch()
    network = _network().eval()
    methods = MethodsConfig(adversarial="fgsm", adversarial_epsilon=0.05)
    ours = attacked(network, images, labels, nn.functional.cross_entropy, methods)
    theirs = by_foolbox(network, images, labels, AttackConfig("fgsm", epsilon=0.05))
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_an_attack_raises_the_loss_and_changes_nothing_else(attack: str) -> None:
    images, labels = _batch()
    network = _network().train()
    network[4].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    kept = images.clone()
    loss = nn.functional.cross_entropy
    methods = MethodsConfig(adversarial=attack, adversarial_epsilon=0.1, adversarial_steps=5)
    found = attacked(network, images, labels, loss, methods)
    assert [part.training for part in network] == [True, True, True, True, False]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(images, kept)
    network.eval()
    assert loss(network(found), labels) > loss(network(images), labels)
