"""FGSM and PGD through foolbox, on pixels in [0, 1]."""

import warnings
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from trainers.evaluators.config import AttackConfig


def attacked(network: nn.Module, pixels: Tensor, labels: Tensor, attack: AttackConfig) -> Tensor:
    """Images perturbed so that the network's loss on the true labels grows.

    The random start of PGD comes from torch's global generator of the device: whoever wants to
    repeat an attack seeds that. Several restarts are several calls.

    Args:
        network: Float pixels in [0, 1] to logits, differentiable, in eval mode. Parameters that
            require gradients are given some.
        pixels: float32 (N, C, H, W) in [0, 1], on the device of the network; left as they are.
        labels: int64 (N,).
        attack: What to do; its `restarts` and `samples` are the caller's business.

    Returns:
        As `pixels`: in [0, 1], and within `attack.epsilon` of them up to float32 rounding.
    """
    foolbox = foolbox_library()
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device=pixels.device)
    goal = foolbox.criteria.Misclassification(labels)
    # `run` and not the call: that would evaluate the result, which the caller does anyway.
    perturbed: Tensor = _foolbox_attack(foolbox, attack).run(
        model, pixels, goal, epsilon=attack.epsilon
    )
    return perturbed.detach()


def _foolbox_attack(foolbox: ModuleType, attack: AttackConfig) -> Any:
    if attack.attack == "fgsm":
        one_step = {
            "linf": foolbox.attacks.LinfFastGradientAttack,
            "l2": foolbox.attacks.L2FastGradientAttack,
        }
        return one_step[attack.norm]()
    step_size = attack.step_size
    if step_size is None:
        step_size = 2.5 * attack.epsilon / attack.steps
    descent = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}
    return descent[attack.norm](abs_stepsize=step_size, steps=attack.steps, random_start=True)


def foolbox_library() -> ModuleType:
    """The library, imported late: it takes a second, and few commands attack anything."""
    with warnings.catch_warnings():
        # foolbox 3.3.4 imports a name of SciPy that was moved.
        warnings.filterwarnings("ignore", r".*scipy\.ndimage", DeprecationWarning)
        import foolbox
    module: ModuleType = foolbox
    return module
