"""DeepFool against the closed form, and what its mean means."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainers.errors import TrainerError
from trainers.evaluators import AttackConfig
from trainers.evaluators.attacks import attacked
from trainers.evaluators.robustness import relative_perturbation, robust_accuracy

# DeepFool goes 2 % beyond the boundary, and foolbox 1e-4 in the length of a step as well.
OVERSHOOT = 1.02


class Affine(nn.Module):
    """Two classes or more; class k wins where row k of Wx + b is largest."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.flatten(1) @ self.weight.T + self.bias


def gray(count: int, seed: int = 0) -> np.ndarray:
    """Images far from black and white, so that nothing is clipped."""
    rng = np.random.default_rng(seed)
    return rng.integers(100, 156, (count, 1, 4, 4)).astype(np.uint8)


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_of_a_linear_classifier_it_is_the_distance_to_the_nearest_plane(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    weight = torch.randn(classes, 16, generator=generator)
    bias = -weight.sum(1) / 2 + 0.1 * torch.randn(classes, generator=generator)
    network = Affine(weight, bias).eval()
    images = gray(40)
    pixels = torch.tensor(images).float() / 255
    with torch.no_grad():
        logits = network(pixels)
        answers = logits.argmax(1)
        gaps = logits.gather(1, answers[:, None]) - logits
        lengths = (weight[answers][:, None] - weight).norm(dim=2)
        gaps[torch.arange(40), answers] = torch.inf
        distances = (gaps / lengths.clamp(min=1e-9)).min(1).values
    found = attacked(network, pixels, answers, AttackConfig("deepfool"))
    assert (network(found).argmax(1) != answers).all()
    expected = OVERSHOOT * (distances + 1e-4)
    torch.testing.assert_close(
        (found - pixels).flatten(1).norm(dim=1), expected, rtol=1e-3, atol=1e-5
    )
    mean = float((expected / pixels.flatten(1).norm(dim=1)).mean())
    # The labels are wrong on purpose: what is fled from is the network's own answer.
    labels = ((answers + 1) % classes).numpy()
    measured = relative_perturbation(network, images, labels, samples=40)
    assert measured == pytest.approx(mean, rel=1e-3)


def test_a_scaled_network_is_as_far_from_its_boundaries() -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(3, 16, generator=generator)
    images, labels = gray(20), np.arange(20) % 3
    bias = -weight.sum(1) / 2
    one, many = (
        relative_perturbation(Affine(k * weight, k * bias), images, labels, samples=20)
        for k in (1.0, 1e4)
    )
    assert one == pytest.approx(many, rel=1e-3)


def test_black_images_are_left_out_and_nothing_else_is_refused() -> None:
    generator = torch.Generator().manual_seed(1)
    network = Affine(torch.randn(2, 16, generator=generator), torch.tensor([0.5, 0.0]))
    images = gray(9)
    images[4] = 0
    labels = np.zeros(9, np.int64)
    rest = np.delete(images, 4, axis=0)
    found = relative_perturbation(network, images, labels, samples=9)
    alone = relative_perturbation(network, rest, labels[:8], samples=8)
    assert found == pytest.approx(alone)
    with pytest.raises(TrainerError, match="all 9 images are black"):
        relative_perturbation(network, 0 * images, labels, samples=9)
    assert relative_perturbation(network, images[:1], labels[:1], samples=1) > 0


def test_a_network_without_boundaries_gives_a_finite_number() -> None:
    network = Affine(torch.zeros(3, 16), torch.tensor([1.0, 0.0, 0.0]))
    found = relative_perturbation(network, gray(5), np.zeros(5, np.int64), samples=5)
    assert 0 <= found < float("inf")


def test_there_is_no_accuracy_under_deepfool() -> None:
    network = Affine(torch.zeros(2, 16), torch.zeros(2))
    with pytest.raises(ValueError, match="use relative_perturbation"):
        robust_accuracy(network, gray(2), np.zeros(2, np.int64), AttackConfig("deepfool"), seed=0)
