"""Accuracy under attack, transfer between networks, and the distance to the nearest mistake."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainers.data.splits import Indices, stratified_choice
from trainers.determinism import derive_seed
from trainers.errors import TrainerError
from trainers.evaluators.accuracy import (
    Images,
    Labels,
    check_images,
    check_labelled,
    classified,
    under_test,
)
from trainers.evaluators.attacks import attacked
from trainers.evaluators.config import AttackConfig
from trainers.networks.inputs import to_unit

# Images per batch. Fixed, because the random starts depend on it; larger batches are not faster on
# a CPU, and need memory for every activation of every image.
_BATCH = 64


@dataclass(frozen=True)
class RobustResult:
    """Accuracy of a network with and without an attack, on the attacked images.

    `robust_accuracy <= accuracy`: an image that is misclassified unperturbed is not robust.

    Attributes:
        accuracy: Fraction classified correctly without an attack.
        robust_accuracy: Fraction classified correctly without the attack and in all restarts.
        epsilon: Largest perturbation.
        samples: Number of attacked images.
        chosen: int64 (samples,), indices of the attacked images.
        robust: bool (samples,), whether each is classified correctly, unperturbed and in all
            restarts.
    """

    accuracy: float
    robust_accuracy: float
    epsilon: float
    samples: int
    chosen: NDArray[np.int64] = field(repr=False, compare=False)
    robust: NDArray[np.bool_] = field(repr=False, compare=False)


class Transfer(NamedTuple):
    """Two networks of the same classes: attack the first, evaluate the second."""

    made_on: nn.Module
    tried_on: nn.Module


def attacked_images(labels: Labels, samples: int) -> Indices:
    """Choose the images for any attack: sorted indices of `samples` of them, or of all.

    They are the first in a stratified order of all images that depends only on the labels. So two
    attacks use the same images, or one uses those of the other and more: results never differ
    because of the sample.
    """
    return stratified_choice(labels, samples, derive_seed(0, "attacked images"))


def robust_accuracy(
    network: nn.Module | Transfer,
    images: Images,
    labels: Labels,
    attack: AttackConfig,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> RobustResult:
    """Attack a sample of the images and measure the accuracy on the perturbed images.

    PGD with few steps gives an upper bound: stronger attacks succeed more often.

    Args:
        network: Maps pixels in [0, 1] to logits; differentiable. Its mode, device, gradients and
            weights are restored afterwards. For a `Transfer`, the accuracy is that of the second
            network.
        images: uint8 (N, C, H, W), at least one.
        labels: int64 (N,).
        attack: The attack; not DeepFool, which has no epsilon. If there are more than
            `attack.samples` images, those of `attacked_images` are attacked.
        seed: Seed of the random starts; the global generators are restored.
        device: Device to compute on.

    Raises:
        ValueError: The images or labels have another type or shape, there are none, or the attack
            is DeepFool.
        TrainerError: A logit is NaN.
    """
    if attack.attack == "deepfool":
        raise ValueError(
            "deepfool has no epsilon, so that there is no accuracy under it: use "
            "relative_perturbation, or another attack."
        )
    made_on, tried_on = network if isinstance(network, Transfer) else (network, network)

    def outcomes(pixels: Tensor, expected: Tensor) -> Tensor:
        """Return bool (1 + restarts, batch): classified correctly, unperturbed first.

        Every image is attacked at every restart of PGD, so that the random starts are the same
        for all networks, whichever images they misclassify.
        """
        right = [_right(tried_on, pixels, expected)]
        for _ in range(attack.restarts):
            version = attacked(made_on, pixels, expected, attack)
            right.append(_right(tried_on, version, expected))
        return torch.stack(right)

    check_images(images)
    check_labelled(images, labels)
    chosen = attacked_images(labels, attack.samples)
    with under_test(made_on, device), under_test(tried_on, device):
        found = _in_batches(outcomes, images, labels, chosen, seed=seed, device=device)
    robust: NDArray[np.bool_] = np.asarray(found.all(axis=0))
    count = len(chosen)
    return RobustResult(
        int(found[0].sum()) / count,
        int(robust.sum()) / count,
        attack.epsilon,
        count,
        chosen,
        robust,
    )


def relative_perturbation(
    network: nn.Module,
    images: Images,
    labels: Labels,
    *,
    samples: int,
    device: torch.device | str = "cpu",
) -> float:
    """Measure DeepFool's mean relative distance to the nearest image with another prediction.

    It is the mean of ||r(x)|| / ||x|| in L2 over a sample; r(x) is the perturbation that DeepFool
    needs to change the network's *prediction* for x (Moosavi-Dezfooli et al. 2016,
    arXiv:1511.04599, equations 1 and 2 and section 4): misclassified images count like others,
    so that it says nothing about accuracy. If DeepFool gives up after 50 steps, r(x) is its last
    perturbation. A black image has no relative distance and is left out.

    Args:
        network: As for `robust_accuracy`; of two classes or more.
        images: uint8 (N, C, H, W), at least one.
        labels: int64 (N,); they only decide the sample.
        samples: Largest number of images to measure, chosen by `attacked_images`.
        device: Device to compute on.

    Returns:
        A value of at least 0, typically 0.01 to 0.5; larger is better.

    Raises:
        ValueError: The images or labels have another type or shape, or there are none.
        TrainerError: A logit is NaN, or all images are black.
    """
    attack = AttackConfig("deepfool", samples=samples)

    def shares(pixels: Tensor, _: Tensor) -> Tensor:
        """Return float (1, batch): the relative perturbation; NaN for a black image."""
        with torch.no_grad():
            answers = classified(network, pixels)
        perturbed = attacked(network, pixels, answers, attack)
        sizes = [each.flatten(1).norm(dim=1) for each in (perturbed - pixels, pixels)]
        return torch.div(*sizes)[None]

    check_images(images)
    check_labelled(images, labels)
    chosen = attacked_images(labels, samples)
    with under_test(network, device):
        # DeepFool is deterministic.
        found = _in_batches(shares, images, labels, chosen, seed=0, device=device)
    found = found[np.isfinite(found)].astype(np.float64)
    if not found.size:
        raise TrainerError(
            f"all {len(chosen)} images are black, so that no perturbation is relative to them: "
            f"DeepFool cannot measure them. Leave deepfool_perturbation out."
        )
    return float(found.mean())


def _right(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
    with torch.inference_mode():
        return classified(network, pixels) == labels


def _in_batches(
    measure: Callable[[Tensor, Tensor], Tensor],
    images: Images,
    labels: Labels,
    chosen: NDArray[np.int64],
    *,
    seed: int,
    device: torch.device | str,
) -> NDArray[np.generic]:
    """Apply `measure` to pixels and labels of the chosen images: (rows, len(chosen))."""
    found: list[NDArray[np.generic]] = []
    with _seeded(derive_seed(seed, "start"), torch.device(device)):
        for first in range(0, len(chosen), _BATCH):
            batch = chosen[first : first + _BATCH]
            pixels = to_unit(torch.tensor(images[batch], device=device))
            expected = torch.tensor(labels[batch], device=device)
            found.append(measure(pixels, expected).cpu().numpy())
    return np.concatenate(found, axis=1)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generator that foolbox draws from, and restore it afterwards."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        # Not torch.manual_seed, which would also seed devices that are not restored.
        torch.default_generator.manual_seed(seed)
        for one in cuda:
            with torch.cuda.device(one):
                torch.cuda.manual_seed(seed)
        yield
