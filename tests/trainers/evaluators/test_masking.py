"""The checks for masked gradients: an ordinary network passes, one that hides them does not."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.evaluators import AttackConfig
from trainers.evaluators.masking import _won, masked_gradient_signs

CLASSES, SIDE, COUNT = 4, 6, 80


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = (np.arange(COUNT) % CLASSES).astype(np.int64)
    images = rng.integers(60, 140, (COUNT, 1, SIDE, SIDE))
    images[np.arange(COUNT), 0, :, labels] += 60
    return images.astype(np.uint8), labels


@pytest.fixture(scope="module")
def network(data: tuple[np.ndarray, np.ndarray]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Flatten(), nn.Linear(36, 24), nn.ReLU(), nn.Linear(24, CLASSES)]
        model = nn.Sequential(*layers)
    pixels, labels = torch.tensor(data[0]).float() / 255, torch.tensor(data[1])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        functional.cross_entropy(model(pixels), labels).backward()
        optimizer.step()
    return model.eval()


class Wrapped(nn.Module):
    def __init__(self, network: nn.Module, how: Any) -> None:
        super().__init__()
        self.network, self.how = network, how

    def forward(self, pixels: Tensor) -> Tensor:
        return self.how(self.network(pixels))


ATTACKS = [
    AttackConfig("pgd", 0.15, samples=COUNT),
    AttackConfig("bim", 0.15, samples=COUNT),
    AttackConfig("pgd", 0.8, "l2", samples=COUNT),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: f"{a.attack}-{a.norm}")
def test_an_ordinary_network_shows_no_sign(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray], attack: AttackConfig
) -> None:
    assert masked_gradient_signs(network, *data, attack, seed=0) == ()


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: f"{a.attack}-{a.norm}")
@pytest.mark.parametrize("how", [lambda x: 1e4 * x, torch.round], ids=["saturated", "rounded"])
def test_a_network_without_usable_gradients_shows_signs(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray], attack: AttackConfig, how: Any
) -> None:
    signs = masked_gradient_signs(Wrapped(network, how), *data, attack, seed=0)
    assert len(signs) == 2
    assert "which reaches every picture, still leaves" in signs[0]
    assert "The Square attack, without gradients, leaves" in signs[1]


@pytest.mark.slow
@pytest.mark.parametrize("how", [lambda x: 1e4 * x, torch.round], ids=["saturated", "rounded"])
def test_images_made_against_the_reference_reveal_what_hides_its_gradients(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray], how: Any
) -> None:
    attack, hidden = ATTACKS[1], Wrapped(network, how)
    signs = masked_gradient_signs(hidden, *data, attack, seed=0, reference=network)
    alone = masked_gradient_signs(hidden, *data, attack, seed=0)
    assert signs[:-1] == alone
    assert "Images made against the reference leave" in signs[-1]
    assert masked_gradient_signs(network, *data, attack, seed=0, reference=network) == ()


def test_where_the_strong_attack_leaves_nothing_no_other_one_is_made(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    seen = []

    class Counted(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            seen.append(len(pixels))
            result: Tensor = network(pixels)
            return result

    attack = AttackConfig("bim", 0.5, steps=5, samples=COUNT)
    assert masked_gradient_signs(Counted(), *data, attack, seed=0) == ()
    # 20 gradients an image, and its answer before and after.
    assert sum(seen) == 22 * COUNT


def test_a_network_that_always_answers_the_same_is_not_called_masked(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    class Constant(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return 0 * pixels.flatten(1)[:, :CLASSES] + torch.arange(CLASSES)

    images, labels = data
    unequal = np.where(np.arange(COUNT) < 60, 3, labels)
    assert masked_gradient_signs(Constant(), images, unequal, ATTACKS[0], seed=0) == ()


def test_a_network_that_misleads_long_attacks_shows_the_first_sign(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    class Tiring(nn.Module):
        """Its gradients are of use for so many calls only."""

        calls = 0

        def forward(self, pixels: Tensor) -> Tensor:
            logits = network(pixels)
            if torch.is_inference_mode_enabled():
                Tiring.calls = 0
                return logits
            Tiring.calls += 1
            return logits if Tiring.calls <= 12 else -logits

    attack = AttackConfig("bim", 0.15, steps=10, step_size=0.03, samples=COUNT)
    signs = masked_gradient_signs(Tiring(), *data, attack, seed=0)
    assert signs[0].startswith("40 steps leave")


@pytest.mark.parametrize(
    ("against", "other", "sign"),
    [(0, 0, False), (4, 0, False), (5, 0, True), (5, 5, False), (0, 30, False), (9, 2, True)],
)
def test_a_few_images_more_are_chance(against: int, other: int, sign: bool) -> None:
    stronger = np.array([True] * against + [False] * other + [True, False])
    weaker = np.array([False] * against + [True] * other + [True, False])
    assert _won(stronger, weaker) is sign


def test_attacks_without_steps_are_refused(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    with pytest.raises(ValueError, match="vary the steps of bim or pgd"):
        masked_gradient_signs(network, *data, AttackConfig("fgsm"), seed=0)
