"""Adversarial images through foolbox and pyautoattack, on pixels in [0, 1]."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.evaluators.config import AttackConfig

# A fifth of what AutoAttack allows it: enough to see whether gradients are of any use.
_SQUARE_QUERIES = 1_000
# The fourth largest logit is part of the targeted DLR loss.
_DLR_CLASSES = 4
_AUTOATTACK_TARGETS = 9


def attacked(network: nn.Module, pixels: Tensor, labels: Tensor, attack: AttackConfig) -> Tensor:
    """Images perturbed so that the network's answer is no longer the true label.

    Everything random comes from torch's global generators: whoever wants to repeat an attack
    seeds those. Several restarts are several calls.

    Args:
        network: Float pixels in [0, 1] to logits, differentiable, in eval mode. Parameters that
            require gradients are given some.
        pixels: float32 (N, C, H, W) in [0, 1], on the device of the network; left as they are.
        labels: int64 (N,). DeepFool flees from these too.
        attack: What to do; its `restarts` and `samples` are the caller's business.

    Returns:
        As `pixels`: in [0, 1], and within `attack.epsilon` of them up to float32 rounding.
        AutoAttack and its parts leave an image as it is that they find no way to change.
    """
    with _as_it_was():
        if attack.attack in ("apgd", "autoattack", "square"):
            return _by_autoattack(network, pixels, labels, attack)
        foolbox = foolbox_library()
        model = foolbox.PyTorchModel(network, bounds=(0, 1), device=pixels.device)
        goal = foolbox.criteria.Misclassification(labels)
        strength = {} if attack.attack == "deepfool" else {"epsilon": attack.epsilon}
        # `run` and not the call: that would evaluate the result, which the caller does anyway.
        perturbed: Tensor = _foolbox_attack(foolbox, attack).run(model, pixels, goal, **strength)
        return perturbed.detach()


def _foolbox_attack(foolbox: ModuleType, attack: AttackConfig) -> Any:
    if attack.attack == "deepfool":
        return foolbox.attacks.L2DeepFoolAttack()
    if attack.attack == "fgsm":
        one_step = {
            "linf": foolbox.attacks.LinfFastGradientAttack,
            "l2": foolbox.attacks.L2FastGradientAttack,
        }
        return one_step[attack.norm]()
    step_size = attack.step_size
    if step_size is None:
        step_size = 2.5 * attack.epsilon / attack.steps
    # Without the random start, PGD is BIM.
    descent = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}
    return descent[attack.norm](
        abs_stepsize=step_size, steps=attack.steps, random_start=attack.attack == "pgd"
    )


def _by_autoattack(
    network: nn.Module, pixels: Tensor, labels: Tensor, attack: AttackConfig
) -> Tensor:
    from pyautoattack import AutoAttack

    with torch.inference_mode():
        classes = network(pixels[:1]).shape[1]
    ensemble = AutoAttack(
        network,
        norm={"linf": "Linf", "l2": "L2"}[attack.norm],
        eps=attack.epsilon,
        version="custom",
        attacks=_parts(attack, classes),
        # It seeds the generators itself; every batch shall get its own seed.
        seed=int(torch.randint(2**31, ())),
        device=pixels.device,
    )
    # What its version "standard" sets; it cannot be had together with a choice of parts.
    targets = min(_AUTOATTACK_TARGETS, classes - 1)
    ensemble.apgd.n_restarts = ensemble.fab.n_restarts = 1
    ensemble.apgd_targeted.n_target_classes = ensemble.fab.n_target_classes = targets
    if attack.attack == "square":
        ensemble.square.n_queries = _SQUARE_QUERIES
    if attack.norm == "l2":
        _take_any_size(ensemble.square)
    perturbed: Tensor = ensemble.run_standard_evaluation(pixels, labels, batch_size=len(pixels))[0]
    return perturbed.detach()


def _take_any_size(square: Any) -> None:
    """Let the Square attack in L2 have images of any size.

    It starts from tiles of a fifth of the height, which at many sizes stick out of the image, and
    then pyautoattack (0.2.0) fails. Such an image is shown to it with a black edge to the right
    and below, which the network does not see. What is put there is lost, but counts as part of
    the perturbation, so that the attack soon has it elsewhere.
    """
    run, predict = square.attack_single_run, square.predict

    def framed(pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        height, width = pixels.shape[-2:]
        edge = [
            larger - side
            for larger, side in zip(square_size(height, width), (height, width), strict=True)
        ]
        larger = functional.pad(pixels, (0, edge[1], 0, edge[0]))
        square.predict = lambda shown: predict(shown[..., :height, :width])
        try:
            queries, found = run(larger, labels)
        finally:
            square.predict = predict
        return queries, found[..., :height, :width]

    square.attack_single_run = framed


def square_size(height: int, width: int) -> tuple[int, int]:
    """The smallest size that holds an image and whole tiles of the Square attack in L2."""

    def holds_tiles(side: int) -> bool:
        return first + side // tile * tile <= side

    # At a multiple of five nothing sticks out.
    for larger in range(max(height, 5), 5 * -(-height // 5) + 1):
        tile = larger // 5
        first = (larger - 5 * tile) // 2
        if holds_tiles(larger):
            break
    return larger, next(
        side for side in range(width, width + 2 * tile + first) if holds_tiles(side)
    )


def _parts(attack: AttackConfig, classes: int) -> list[str]:
    if attack.attack == "square":
        return ["square"]
    several = classes >= _DLR_CLASSES
    if attack.attack == "apgd":
        return ["apgd-ce", "apgd-t"] if several else ["apgd-ce"]
    return ["apgd-ce", "apgd-t", "fab-t", "square"] if several else ["apgd-ce", "square"]


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Undo what the two libraries do to the process.

    foolbox (3.3.4) logs through the root logger, which installs a handler if there is none;
    pyautoattack (0.2.0) takes away the tracer, and with it coverage and debuggers.
    """
    root, quiet, tracer = logging.getLogger(), logging.NullHandler(), sys.gettrace()
    root.addHandler(quiet)
    try:
        yield
    finally:
        root.removeHandler(quiet)
        sys.settrace(tracer)


def foolbox_library() -> ModuleType:
    """The library, imported late: it takes a second, and few commands attack anything."""
    with warnings.catch_warnings():
        # foolbox 3.3.4 imports a name of SciPy that was moved.
        warnings.filterwarnings("ignore", r".*scipy\.ndimage", DeprecationWarning)
        import foolbox
    module: ModuleType = foolbox
    return module
