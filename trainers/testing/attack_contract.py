"""What every attack promises that searches within a ball around an image."""

import pytest
import torch
from torch import Tensor, nn

from trainers.evaluators.attacks import attacked
from trainers.evaluators.config import AttackConfig, Norm
from trainers.evaluators.robustness import robust_accuracy
from trainers.networks.network import build_network

# Sums of many pixels in float32.
_ROUNDING = 1e-4


class AttackContract:
    """Subclass it, and give the fixture ``name`` as a sweep file would, resolved.

    Attributes:
        norms: The norms that it knows.
        epsilon: The largest perturbation with which it is tried.
    """

    norms: tuple[Norm, ...] = ("linf", "l2")
    epsilon = 0.25

    @pytest.fixture
    def name(self) -> str:
        """Give the name of the attack."""
        raise NotImplementedError("Give the name of the attack to be tested.")

    @pytest.fixture
    def network(self) -> nn.Module:
        """Give a network for grey images, with random weights."""
        return build_network("digitnet", weights="scratch", widths=(4,), classes=10).eval()

    @pytest.fixture
    def attacks(self, name: str) -> list[AttackConfig]:
        """Give the attack in each of its norms."""
        return [AttackConfig(name, self.epsilon, norm, samples=8) for norm in self.norms]

    def test_images_stay_images_within_epsilon(
        self, network: nn.Module, attacks: list[AttackConfig]
    ) -> None:
        pixels, labels = _images(8)
        for attack in attacks:
            found = attacked(network, pixels, labels, attack)
            assert found.shape == pixels.shape
            assert ((found >= 0) & (found <= 1)).all()
            moved = (found - pixels).flatten(1)
            order = {"linf": torch.inf, "l2": 2.0}[attack.norm]
            assert (moved.norm(order, dim=1) <= self.epsilon * (1 + _ROUNDING) + _ROUNDING).all()

    def test_network_and_images_are_left_as_they_were(
        self, network: nn.Module, attacks: list[AttackConfig]
    ) -> None:
        pixels, labels = _images(4)
        before = (pixels.clone(), labels.clone(), _copied(network))
        for attack in attacks:
            attacked(network, pixels, labels, attack)
        assert pixels.equal(before[0])
        assert labels.equal(before[1])
        assert all(value.equal(before[2][key]) for key, value in network.state_dict().items())

    def test_a_seed_decides_what_it_finds(
        self, network: nn.Module, attacks: list[AttackConfig]
    ) -> None:
        images = (255 * _images(8)[0]).to(torch.uint8).numpy()
        labels = _images(8)[1].numpy()
        for attack in attacks:
            first, second = (
                robust_accuracy(network, images, labels, attack, seed=3) for _ in range(2)
            )
            assert (first.robust == second.robust).all()
            assert first.robust_accuracy <= first.accuracy


def _images(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 1, 28, 28, generator=generator), torch.arange(count) % 10


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}
