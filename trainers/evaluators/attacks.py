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
    perturbed: Tensor = ensemble.run_standard_evaluation(pixels, labels, batch_size=len(pixels))[0]
    return perturbed.detach()


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
