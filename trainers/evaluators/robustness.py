"""Accuracy under attack, transfer between networks, and the distance to the nearest mistake."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainers.data.splits import Indices, stratified_choice
from trainers.determinism import borrowed_generators, derive_seed
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

# Images at once. Fixed, because it is part of what decides the random starts; larger batches are
# not faster on a CPU, and need memory for every activation of every image.
_BATCH = 64
_IN_TURNS: ContextVar[bool] = ContextVar("_IN_TURNS", default=False)


@dataclass(frozen=True)
class RobustResult:
    """How robust a network is under an attack, on the images that were attacked.

    `robust_accuracy <= accuracy`: an image misclassified without an attack is not robust.

    Attributes:
        accuracy: Fraction classified correctly without an attack.
        robust_accuracy: Fraction classified correctly without the attack and in all restarts.
        epsilon: Largest perturbation.
        samples: Images that were attacked.
        chosen: int64 (samples,), which of the images they are.
        robust: bool (samples,), whether each is classified correctly without and with the attack.
    """

    accuracy: float
    robust_accuracy: float
    epsilon: float
    samples: int
    chosen: NDArray[np.int64] = field(repr=False, compare=False)
    robust: NDArray[np.bool_] = field(repr=False, compare=False)


class Transfer(NamedTuple):
    """Two networks with the same classes: the first is attacked, the second classifies."""

    made_on: nn.Module
    tried_on: nn.Module


def attacked_images(labels: Labels, samples: int) -> Indices:
    """Choose the images that every attack takes: `samples` of them, or all; sorted.

    The images are put in an order that depends only on the labels and keeps the classes in their
    proportions, and the first ones are taken. Of two attacks, one therefore always takes all
    images of the other: their results never differ because of the images drawn.

    >>> few, more = (set(attacked_images(np.array([0, 1] * 8), count)) for count in (4, 8))
    >>> few < more
    True
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
    """Attack a sample of the images and count what is still classified correctly.

    PGD with few steps is an upper bound: stronger attacks find more.

    Args:
        network: Maps pixels in [0, 1] to logits; differentiable. Its mode, device, gradients and
            weights are restored afterwards. For a `Transfer`, the predictions of the second
            network count.
        images: uint8 (N, C, H, W), at least one.
        labels: int64 (N,).
        attack: The attack; not DeepFool, which has no epsilon. Of more than `attack.samples`
            images, those that `attacked_images` chooses are attacked.
        seed: Decides the random starts; the global generators stay as they are.
        device: Where to compute.

    Raises:
        ValueError: The images or labels have another type or shape, there are none, or the attack
            is DeepFool.
        TrainerError: The network answers with NaN.
    """
    if attack.attack == "deepfool":
        raise ValueError(
            "deepfool has no epsilon, so that there is no accuracy under it: use "
            "relative_perturbation, or another attack."
        )
    pair = network if isinstance(network, Transfer) else Transfer(network, network)
    check_images(images)
    check_labelled(images, labels)
    chosen = attacked_images(labels, attack.samples)
    drawing = _Generators(derive_seed(seed, "start"), torch.device(device))
    outcomes = partial(_outcomes, pair, attack, drawing)
    # Also for a network that draws numbers when it is asked.
    whole = nullcontext() if _IN_TURNS.get() else drawing.own()
    with under_test(pair.made_on, device), under_test(pair.tried_on, device), whole:
        found = _in_batches(outcomes, images, labels, chosen, device=device)
    robust: NDArray[np.bool_] = np.asarray(found[-1])
    count = len(chosen)
    return RobustResult(
        int(found[0].sum()) / count,
        int(robust.sum()) / count,
        attack.epsilon,
        count,
        chosen,
        robust,
    )


@contextmanager
def in_turns() -> Iterator[None]:
    """Let other threads attack other networks meanwhile; they draw random numbers in turns.

    The networks must not draw any when they are asked, as those of a user's own might.
    """
    token = _IN_TURNS.set(True)
    try:
        yield
    finally:
        _IN_TURNS.reset(token)


def relative_perturbation(
    network: nn.Module,
    images: Images,
    labels: Labels,
    *,
    samples: int,
    device: torch.device | str = "cpu",
) -> float:
    """Measure the mean relative distance to the nearest image with another prediction (DeepFool).

    The mean of ||r(x)|| / ||x|| in L2 over a sample, r(x) being the perturbation that DeepFool
    needs to change the network's *prediction* for x (Moosavi-Dezfooli et al. 2016,
    arXiv:1511.04599, equations 1 and 2 and section 4): misclassified images count like any other,
    so that it says nothing about accuracy. If DeepFool gives up after 50 steps, r(x) is its last
    perturbation. A black image has no relative distance and is left out.

    Args:
        network: As for `robust_accuracy`; of two classes or more.
        images: uint8 (N, C, H, W), at least one.
        labels: int64 (N,); they decide the sample and nothing else.
        samples: Measure at most this many images, those that `attacked_images` chooses.
        device: Where to compute.

    Returns:
        At least 0; larger is better. Of the order of 0.01 to 0.5.

    Raises:
        ValueError: The images or labels have another type or shape, or there are none.
        TrainerError: The network answers with NaN, or all images are black.
    """
    attack = AttackConfig("deepfool", samples=samples)

    def shares(pixels: Tensor, _: Tensor) -> Tensor:
        """Give float (1, batch): the perturbation relative to the image; NaN of a black one."""
        with torch.no_grad():
            answers = classified(network, pixels)
        perturbed = attacked(network, pixels, answers, attack)
        sizes = [each.flatten(1).norm(dim=1) for each in (perturbed - pixels, pixels)]
        return torch.div(*sizes)[None]

    check_images(images)
    check_labelled(images, labels)
    chosen = attacked_images(labels, samples)
    with under_test(network, device):
        # DeepFool draws nothing.
        found = _in_batches(shares, images, labels, chosen, device=device)
    found = found[np.isfinite(found)].astype(np.float64)
    if not found.size:
        raise TrainerError(
            f"all {len(chosen)} images are black, so that no perturbation is relative to them: "
            f"DeepFool cannot measure them. Leave deepfool_perturbation out."
        )
    return float(found.mean())


def _outcomes(
    pair: Transfer, attack: AttackConfig, drawing: "_Generators", pixels: Tensor, expected: Tensor
) -> Tensor:
    """Give bool (1 + restarts, batch): classified correctly so far, unperturbed first.

    An image that is misclassified already is not attacked: its outcome is known. The random
    starts are the same for all networks nevertheless, whatever they get wrong.
    """
    right = [_right(pair.tried_on, pixels, expected)]
    for _ in range(attack.restarts):
        version = attacked(
            pair.made_on, pixels, expected, attack, only=right[-1], drawing=drawing.own
        )
        right.append(right[-1] & _right(pair.tried_on, version, expected))
    return torch.stack(right)


def _right(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
    with torch.inference_mode():
        return classified(network, pixels) == labels


def _in_batches(
    measure: Callable[[Tensor, Tensor], Tensor],
    images: Images,
    labels: Labels,
    chosen: NDArray[np.int64],
    *,
    device: torch.device | str,
) -> NDArray[np.generic]:
    """Apply `measure` to pixels and labels of the chosen images: (rows, len(chosen))."""
    found: list[NDArray[np.generic]] = []
    for first in range(0, len(chosen), _BATCH):
        batch = chosen[first : first + _BATCH]
        pixels = to_unit(torch.tensor(images[batch], device=device))
        expected = torch.tensor(labels[batch], device=device)
        found.append(measure(pixels, expected).cpu().numpy())
    return np.concatenate(found, axis=1)


class _Generators:
    """The global generators, in a state of one's own: foolbox and pyautoattack draw from them.

    Threads that attack networks at the same time take turns, and disturb neither each other's
    numbers nor those of the rest of the process.

    Args:
        seed: Of the state.
        device: Whose generator belongs to it, beside the CPU's.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed = seed
        self._cuda = [device] if device.type == "cuda" else []
        self._states: list[Tensor] = []
        self._is_used = False

    @contextmanager
    def own(self) -> Iterator[None]:
        """Use this state within the block; what was there before is put back afterwards.

        Within such a block another one changes nothing.
        """
        if self._is_used:
            yield
            return
        with borrowed_generators(self._cuda):
            if self._states:
                torch.default_generator.set_state(self._states[0])
                for one, state in zip(self._cuda, self._states[1:], strict=True):
                    torch.cuda.set_rng_state(state, one)
            else:
                # Not torch.manual_seed, which would also seed devices that were not put aside.
                torch.default_generator.manual_seed(self._seed)
                for one in self._cuda:
                    with torch.cuda.device(one):
                        torch.cuda.manual_seed(self._seed)
            self._is_used = True
            try:
                yield
            finally:
                self._is_used = False
            cuda = [torch.cuda.get_rng_state(one) for one in self._cuda]
            self._states = [torch.default_generator.get_state(), *cuda]
