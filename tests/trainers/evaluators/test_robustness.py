"""Attacks: against a loop written by hand, and what must hold for any of them."""

from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from trainers.determinism import derive_seed
from trainers.errors import TrainerError
from trainers.evaluators import AttackConfig
from trainers.evaluators.accuracy import accuracy, under_test
from trainers.evaluators.attacks import attacked
from trainers.evaluators.robustness import (
    Transfer,
    attacked_images,
    relative_perturbation,
    robust_accuracy,
)

CLASSES = 4
SIDE = 6
# Of two loops in float64: some 1e-16 a step. A sign that rounding decides would make it a step.
ROUNDING = 1e-12
ATTACKS = [
    AttackConfig("fgsm", 0.1),
    AttackConfig("fgsm", 0.7, "l2"),
    AttackConfig("bim", 0.1, steps=5),
    AttackConfig("bim", 0.7, "l2", steps=5),
    AttackConfig("pgd", 0.1, steps=5),
    AttackConfig("pgd", 0.7, "l2", steps=5),
]


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Noise that is a little brighter in one quarter, which is the class."""
    rng = np.random.default_rng(0)
    labels = np.arange(240) % CLASSES
    pictures = rng.integers(40, 160, (len(labels), 1, SIDE, SIDE))
    for picture, label in zip(pictures, labels, strict=True):
        row, column = 3 * (label // 2), 3 * (label % 2)
        picture[0, row : row + 3, column : column + 3] += 60
    return pictures.astype(np.uint8), labels.astype(np.int64)


@pytest.fixture(scope="module")
def network(data: tuple[np.ndarray, np.ndarray]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, CLASSES)]
        model = nn.Sequential(*layers)
    pixels, labels = torch.tensor(data[0]).float() / 255, torch.tensor(data[1])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        functional.cross_entropy(model(pixels), labels).backward()
        optimizer.step()
    optimizer.zero_grad()
    return model


def batch(data: tuple[np.ndarray, np.ndarray], count: int = 32) -> tuple[Tensor, Tensor]:
    return torch.tensor(data[0][:count]).float() / 255, torch.tensor(data[1][:count])


def gradient(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
    pixels = pixels.clone().requires_grad_()
    loss = functional.cross_entropy(network(pixels), labels, reduction="sum")
    return torch.autograd.grad(loss, pixels)[0]


def in_float64(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> tuple[nn.Module, Tensor, Tensor]:
    """A network and images whose gradients are far enough from zero to keep their signs.

    In float32 one in a million is so near that the order of a sum decides, and with it a step.
    """
    pixels, labels = batch(data)
    return deepcopy(network).double(), pixels.double(), labels


def test_pgd_is_the_loop_of_madry_2018(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    network, pixels, labels = in_float64(network, data)
    attack = AttackConfig("pgd", 0.08, steps=7, step_size=0.03)
    with under_test(network, "cpu"):
        torch.manual_seed(5)
        found = attacked(network, pixels, labels, attack)
        torch.manual_seed(5)
        start = torch.rand(pixels.shape, dtype=pixels.dtype) * 0.16 - 0.08
        x = (pixels + start).clamp(0, 1)
        for _ in range(7):
            x = x + 0.03 * gradient(network, x, labels).sign()
            x = (pixels + (x - pixels).clamp(-0.08, 0.08)).clamp(0, 1)
    torch.testing.assert_close(found, x, rtol=0, atol=ROUNDING)


def test_pgd_in_l2_is_the_loop_of_madry_2018(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    network, pixels, labels = in_float64(network, data)
    attack = AttackConfig("pgd", 0.5, "l2", steps=7, step_size=0.2)
    with under_test(network, "cpu"):
        torch.manual_seed(5)
        found = attacked(network, pixels, labels, attack)
        torch.manual_seed(5)
        # Uniform in a ball: a point of the sphere of two dimensions more, without two coordinates.
        sphere = functional.normalize(
            torch.randn(len(pixels), SIDE * SIDE + 2, dtype=pixels.dtype)
        )
        x = (pixels + 0.5 * sphere[:, :-2].reshape(pixels.shape)).clamp(0, 1)
        for _ in range(7):
            step = functional.normalize(gradient(network, x, labels).flatten(1))
            change = (x + 0.2 * step.reshape(pixels.shape) - pixels).flatten(1)
            change = change * (0.5 / change.norm(dim=1, keepdim=True)).clamp(max=1)
            x = (pixels + change.reshape(pixels.shape)).clamp(0, 1)
    torch.testing.assert_close(found, x, rtol=0, atol=ROUNDING)


def test_bim_is_the_loop_of_kurakin_2017(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    network, pixels, labels = in_float64(network, data)
    attack = AttackConfig("bim", 0.08, steps=7, step_size=0.03)
    with under_test(network, "cpu"):
        found = attacked(network, pixels, labels, attack)
        x = pixels
        for _ in range(7):
            x = x + 0.03 * gradient(network, x, labels).sign()
            x = (pixels + (x - pixels).clamp(-0.08, 0.08)).clamp(0, 1)
    torch.testing.assert_close(found, x, rtol=0, atol=ROUNDING)


def test_without_a_step_size_a_step_is_two_and_a_half_epsilon_over_steps(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    network, pixels, labels = in_float64(network, data)
    default = AttackConfig("pgd", 0.08, steps=5)
    results = []
    for attack in (default, replace(default, step_size=0.04)):
        torch.manual_seed(1)
        results.append(attacked(network.eval(), pixels, labels, attack))
    torch.testing.assert_close(*results)


def test_fgsm_is_one_step_along_the_sign_of_the_gradient(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    network, pixels, labels = in_float64(network, data)
    found = attacked(network.eval(), pixels, labels, AttackConfig("fgsm", 0.05))
    by_hand = (pixels + 0.05 * gradient(network, pixels, labels).sign()).clamp(0, 1)
    torch.testing.assert_close(found, by_hand, rtol=0, atol=ROUNDING)


def test_fgsm_in_l2_is_one_step_along_the_gradient(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    network, pixels, labels = in_float64(network, data)
    found = attacked(network.eval(), pixels, labels, AttackConfig("fgsm", 0.5, "l2"))
    direction = functional.normalize(gradient(network, pixels, labels).flatten(1))
    by_hand = (pixels + 0.5 * direction.reshape(pixels.shape)).clamp(0, 1)
    torch.testing.assert_close(found, by_hand, rtol=0, atol=ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: f"{a.attack}-{a.norm}")
@settings(max_examples=15)
@given(scale=st.floats(0.01, 1.4), seed=st.integers(0, 2**32))
def test_perturbations_stay_within_epsilon_and_pixels_within_bounds(
    network: nn.Module,
    data: tuple[np.ndarray, np.ndarray],
    attack: AttackConfig,
    scale: float,
    seed: int,
) -> None:
    pixels, labels = batch(data, 8)
    pixels[0], pixels[1] = 0, 1
    attack = replace(attack, epsilon=attack.epsilon * scale)
    torch.manual_seed(seed)
    found = attacked(network.eval(), pixels, labels, attack)
    order = 2 if attack.norm == "l2" else float("inf")
    size = torch.linalg.vector_norm((found - pixels).flatten(1), order, dim=1)
    assert float(size.max()) <= attack.epsilon * (1 + 1e-5) + 1e-6  # float32
    assert float(size.max()) > 0
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert not found.requires_grad


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: f"{a.attack}-{a.norm}")
def test_the_same_seed_gives_the_same_result(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray], attack: AttackConfig
) -> None:
    torch.manual_seed(1)
    first = robust_accuracy(network, *data, attack, seed=3)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    assert robust_accuracy(network, *data, attack, seed=3) == first
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.robust_accuracy <= first.accuracy
    assert (first.epsilon, first.samples) == (attack.epsilon, 200)


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: f"{a.attack}-{a.norm}")
def test_an_attack_does_something_and_a_tiny_one_does_not(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray], attack: AttackConfig
) -> None:
    result = robust_accuracy(network, *data, attack, seed=0)
    assert result.accuracy > 0.9
    assert result.robust_accuracy < result.accuracy - 0.1
    tiny = robust_accuracy(network, *data, replace(attack, epsilon=1e-6), seed=0)
    assert tiny.robust_accuracy == pytest.approx(tiny.accuracy, abs=0.01)


def test_nothing_withstands_a_huge_epsilon(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    for attack in (AttackConfig("pgd", 1), AttackConfig("pgd", 6, "l2")):
        assert robust_accuracy(network, *data, attack, seed=0).robust_accuracy <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("norm", "epsilons"), [("linf", (0.03, 0.06)), ("l2", (0.2, 0.4))])
def test_pgd_is_at_least_as_strong_as_fgsm(
    network: nn.Module,
    data: tuple[np.ndarray, np.ndarray],
    norm: str,
    epsilons: tuple[float, ...],
) -> None:
    for epsilon in epsilons:
        fgsm = AttackConfig("fgsm", epsilon, norm)  # type: ignore[arg-type]
        # Long steps: those of the default add up to 2.5 epsilon, in which L2 steps do not turn all
        # the way from a random start to the gradient, which FGSM follows at once.
        step = epsilon / 4
        pgd = AttackConfig("pgd", epsilon, norm, steps=20, step_size=step)  # type: ignore[arg-type]
        weak = robust_accuracy(network, *data, fgsm, seed=0)
        strong = robust_accuracy(network, *data, pgd, seed=0)
        assert strong.robust_accuracy <= weak.robust_accuracy
        assert strong.accuracy == weak.accuracy


def test_restarts_never_help_the_network(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    # One step from random starts: weak, so that the starts matter.
    attack = AttackConfig("pgd", 0.08, steps=1, samples=64)
    results = [
        robust_accuracy(network, *data, replace(attack, restarts=n), seed=0) for n in (1, 8)
    ]
    assert results[1].robust_accuracy < results[0].robust_accuracy


def test_what_is_misclassified_anyway_is_not_robust(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    labels = (data[1] + 1) % CLASSES
    result = robust_accuracy(network, data[0], labels, AttackConfig("pgd", 1), seed=0)
    assert result.accuracy < 0.1
    assert result.robust_accuracy <= result.accuracy


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_what_is_misclassified_anyway_is_not_attacked_and_changes_nothing_for_the_others(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray], attack: AttackConfig
) -> None:
    exact, pixels, labels = in_float64(network, data)
    labels[::3] = (labels[::3] + 1) % CLASSES
    right = exact(pixels).argmax(1) == labels
    assert 0 < right.sum() < len(labels)
    found, states = [], []
    for only in (None, right, torch.zeros_like(right)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            found.append(attacked(exact, pixels, labels, attack, only=only))
            states.append(torch.get_rng_state())
    everywhere, where_right, nowhere = found
    assert torch.allclose(where_right[right], everywhere[right], atol=ROUNDING, rtol=0)
    assert torch.equal(where_right[~right], pixels[~right])
    assert torch.equal(nowhere, pixels)
    # The next batch has the same random starts, whatever was wrong in this one.
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_only_what_withstood_all_restarts_so_far_is_attacked_again(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    followed: list[int] = []

    class Counter(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            if not torch.is_inference_mode_enabled():
                followed.append(len(pixels))
            return network(pixels)

    attack = AttackConfig("pgd", 0.08, steps=1, samples=64, restarts=4)
    labels = np.where(np.arange(240) % 5, data[1], (data[1] + 1) % CLASSES)
    result = robust_accuracy(Counter(), data[0], labels, attack, seed=0)
    assert followed[0] == round(64 * result.accuracy) < 64
    assert followed == sorted(followed, reverse=True)
    assert followed[-1] < followed[0]


def test_the_sample_holds_the_classes_in_their_proportions() -> None:
    seen: list[int] = []

    class Recorder(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            if torch.is_inference_mode_enabled():
                seen.extend((pixels[:, 0, 0, 0] * 255).round().int().tolist())
            return pixels.flatten(1)[:, :2]

    labels = np.repeat([0, 1], [30, 10])
    pictures = np.zeros((40, 1, 1, 2), np.uint8)
    pictures[:, 0, 0, 0] = np.arange(40)
    attack = AttackConfig("fgsm", 1e-6, samples=8)
    result = robust_accuracy(Recorder(), pictures, labels, attack, seed=0)
    assert result.samples == 8
    unperturbed = seen[:8]
    assert len(set(unperturbed)) == 8
    assert sum(index < 30 for index in unperturbed) == 6
    # The seed, by which the values of different names differ, decides nothing of this.
    assert (
        robust_accuracy(Recorder(), pictures, labels, attack, seed=1).chosen == result.chosen
    ).all()


def test_samples_nest_and_a_network_does_not_change_with_the_name_of_its_value(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    found = [
        robust_accuracy(network, *data, AttackConfig("fgsm", 0.05, samples=count), seed=count)
        for count in (20, 60, 120)
    ]
    for fewer, more in pairwise(found):
        outcome = dict(zip(more.chosen.tolist(), more.robust.tolist(), strict=True))
        # The same images with the same outcome, and others besides.
        assert [outcome[image] for image in fewer.chosen.tolist()] == fewer.robust.tolist()
    assert len(set(attacked_images(data[1], 120))) == 120


def test_random_starts_follow_from_the_seed_alone(data: tuple[np.ndarray, np.ndarray]) -> None:
    class Recorder(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            self.last = pixels.detach().clone()
            return pixels.flatten(1)[:, :CLASSES]

    def found(seed: int) -> Tensor:
        network = Recorder()
        attack = AttackConfig("pgd", 0.1, steps=1, restarts=2, samples=240)
        robust_accuracy(network, *data, attack, seed=seed)
        return network.last

    torch.manual_seed(1)
    first = found(3)
    torch.manual_seed(2)
    assert torch.equal(found(3), first)
    assert not torch.equal(found(4), first)


def test_fewer_images_than_samples_are_all_attacked(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    pictures, labels = data[0][:70], data[1][:70]
    pictures.setflags(write=False)
    result = robust_accuracy(network, pictures, labels, AttackConfig("fgsm", 0.1), seed=0)
    assert result.samples == 70
    assert result.accuracy == accuracy(network, pictures, labels)
    pictures.setflags(write=True)


def test_the_attack_leaves_the_network_as_it_was(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    network.train().zero_grad()
    network[0].bias.requires_grad_(requires_grad=False)  # type: ignore[index]
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    robust_accuracy(network, *data, AttackConfig("pgd", 0.1, samples=10), seed=0)
    assert all(module.training for module in network.modules())
    assert [p.requires_grad for p in network.parameters()] == [True, False, True, True]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(state[name], t) for name, t in network.state_dict().items())
    network[0].bias.requires_grad_(requires_grad=True)  # type: ignore[index]


def test_a_network_that_answers_with_nan_is_refused_before_it_is_attacked(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    class Broken(nn.Module):
        calls = 0

        def forward(self, pixels: Tensor) -> Tensor:
            Broken.calls += 1
            return pixels.flatten(1)[:, :CLASSES] * float("nan")

    for name in ("pgd", "autoattack"):
        with pytest.raises(TrainerError, match="NaN"):
            robust_accuracy(Broken(), *data, AttackConfig(name, 0.1), seed=0)  # type: ignore[arg-type]
    with pytest.raises(TrainerError, match="NaN"):
        relative_perturbation(Broken(), *data, samples=10)
    assert Broken.calls == 3


def test_what_is_made_on_one_network_is_tried_on_another(
    network: nn.Module, data: tuple[np.ndarray, np.ndarray]
) -> None:
    other = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, CLASSES))
    with torch.no_grad():
        # Brightness of each quarter: right for nearly all images, and unlike the trained one.
        weight = torch.zeros(CLASSES, SIDE, SIDE)
        for label in range(CLASSES):
            row, column = 3 * (label // 2), 3 * (label % 2)
            weight[label, row : row + 3, column : column + 3] = 1
        other[1].weight.copy_(weight.flatten(1))
        other[1].bias.zero_()
    attack = AttackConfig("pgd", 0.1, steps=10, samples=60)
    network.train()
    own = robust_accuracy(other, *data, attack, seed=0)
    crossed = robust_accuracy(Transfer(network, other), *data, attack, seed=0)
    assert crossed.accuracy == own.accuracy > 0.9
    assert own.robust_accuracy < crossed.robust_accuracy < crossed.accuracy
    assert (crossed.chosen == own.chosen).all()
    # Images of one network against itself are an ordinary attack.
    assert robust_accuracy(Transfer(other, other), *data, attack, seed=0) == own
    assert network.training
    # By hand, for one batch.
    pixels = torch.tensor(data[0][crossed.chosen]).float() / 255
    labels = torch.tensor(data[1][crossed.chosen])
    with under_test(network, "cpu"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(0, "start"))
        versions = attacked(network, pixels, labels, attack)
    right = (other(pixels).argmax(1) == labels) & (other(versions).argmax(1) == labels)
    assert right.tolist() == crossed.robust.tolist()


def test_there_is_no_robustness_without_images(network: nn.Module) -> None:
    with pytest.raises(ValueError, match="no images"):
        robust_accuracy(
            network,
            np.empty((0, 1, SIDE, SIDE), np.uint8),
            np.empty(0, np.int64),
            AttackConfig("fgsm", 0.1),
            seed=0,
        )
