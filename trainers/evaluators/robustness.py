"""Accuracy under attack."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainers.data.splits import stratified_choice
from trainers.determinism import derive_seed
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
from trainers.inputs import to_unit

# Images at once. Fixed, because it is part of what decides the random starts; larger batches are
# not faster on a CPU, and need memory for every activation of every image.
_BATCH = 64


@dataclass(frozen=True)
class RobustResult:
    """How a network stands an attack, on the images that were attacked.

    `robust_accuracy <= accuracy`: what is misclassified as it is does not count as robust.

    Attributes:
        accuracy: Fraction classified correctly without an attack.
        robust_accuracy: Fraction classified correctly without the attack and in all restarts.
        epsilon: Largest perturbation.
        samples: Images that were attacked.
        chosen: int64 (samples,), which of the images they are.
        robust: bool (samples,), whether each is classified correctly in all that.
    """

    accuracy: float
    robust_accuracy: float
    epsilon: float
    samples: int
    chosen: NDArray[np.int64] = field(repr=False, compare=False)
    robust: NDArray[np.bool_] = field(repr=False, compare=False)


def robust_accuracy(
    network: nn.Module,
    images: Images,
    labels: Labels,
    attack: AttackConfig,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> RobustResult:
    """Attack a sample of the images and count what is still classified correctly.

    PGD with few steps is an upper bound: stronger attacks find more.

    Args:
        network: Pixels in [0, 1] to logits, differentiable. Its mode, device, gradients and
            weights are afterwards as before.
        images: uint8 (N, C, H, W), at least one.
        labels: int64 (N,).
        attack: The attack. Of more than `attack.samples` images a sample with the classes in their
            proportions is attacked, which depends on the labels and `seed` alone.
        seed: Decides the sample and the random starts; the global generators stay as they are.
        device: Where to compute.

    Raises:
        ValueError: The images or labels have another type or shape, or there are none.
        TrainerError: The network answers with NaN.
    """
    check_images(images)
    check_labelled(images, labels)
    chosen = stratified_choice(labels, attack.samples, derive_seed(seed, "sample"))
    right: list[NDArray[np.bool_]] = []
    with under_test(network, device), _seeded(derive_seed(seed, "start"), torch.device(device)):
        for batch in _batches(chosen):
            pixels = to_unit(torch.tensor(images[batch], device=device))
            expected = torch.tensor(labels[batch], device=device)
            right.append(_outcomes(network, pixels, expected, attack).cpu().numpy())
    outcomes = np.concatenate(right, axis=1)
    robust: NDArray[np.bool_] = np.asarray(outcomes.all(axis=0))
    count = len(chosen)
    return RobustResult(
        int(outcomes[0].sum()) / count,
        int(robust.sum()) / count,
        attack.epsilon,
        count,
        chosen,
        robust,
    )


def _outcomes(network: nn.Module, pixels: Tensor, labels: Tensor, attack: AttackConfig) -> Tensor:
    """Whether each image is classified correctly: bool (1 + restarts, N), unperturbed first.

    Every image is attacked at every restart, so that the random starts are the same for all
    networks whatever they get wrong.
    """
    versions = [pixels]
    versions += [attacked(network, pixels, labels, attack) for _ in range(attack.restarts)]
    with torch.inference_mode():
        return torch.stack([classified(network, version) == labels for version in versions])


def _batches(indices: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (indices[first : first + _BATCH] for first in range(0, len(indices), _BATCH))


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generator that foolbox draws from, and put it back afterwards."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        # Not torch.manual_seed, which would also seed devices that were not put aside.
        torch.default_generator.manual_seed(seed)
        for one in cuda:
            with torch.cuda.device(one):
                torch.cuda.manual_seed(seed)
        yield
