"""Adversarial images through foolbox and pyautoattack, on pixels in [0, 1]."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.doors import DoorError, call_part, load_part
from trainers.evaluators.config import AttackConfig
from trainers.networks.inputs import to_unit

# The targeted DLR loss uses the fourth largest logit.
_DLR_CLASSES = 4
_AUTOATTACK_TARGETS = 9
# What an attack of a user's own may take by name, and what sums of many pixels may be off by.
_SETTINGS = ("epsilon", "norm", "steps", "step_size", "queries")
_ROUNDING = 1e-4


def attacked(
    network: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    attack: AttackConfig,
    *,
    only: Tensor | None = None,
    drawing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Tensor:
    """Perturb images so that the network's prediction is no longer the true label.

    An attack of a user's own is called as ``attack(network, pixels, labels)``, with those of
    ``epsilon``, ``norm``, ``steps``, ``step_size`` and ``queries`` that it has parameters for.

    All randomness comes from torch's global generators: seed them to repeat an attack. For
    several restarts, call this function several times.

    Args:
        network: Maps float pixels in [0, 1] to logits; differentiable, in eval mode. Parameters
            that require gradients get some.
        pixels: float32 (N, C, H, W) in [0, 1], on the device of the network; not modified.
        labels: int64 (N,). DeepFool also moves away from these.
        attack: The attack; the caller handles its `restarts` and `samples`.
        only: bool (N,), the images whose outcome counts; None for all. FGSM, BIM and PGD leave the
            others as they are, and the random starts are the same whatever it says; the other
            attacks leave it unread.
        drawing: Entered around everything that draws from the global generators: of PGD the random
            start alone, of other attacks the whole.

    Returns:
        As `pixels`: in [0, 1], and within `attack.epsilon` of them up to float32 rounding.
        AutoAttack and its parts return an image unchanged if they do not succeed on it.

    Raises:
        DoorError: An attack of a user's own cannot be used, or returns anything else.
    """
    if attack.is_own:
        with drawing():
            return _by_own(network, pixels, labels, attack)
    with _as_it_was():
        if attack.attack in ("apgd", "autoattack", "square"):
            with drawing():
                return _by_autoattack(network, pixels, labels, attack)
        foolbox = foolbox_library()
        model = foolbox.PyTorchModel(network, bounds=(0, 1), device=pixels.device)
        method = _foolbox_attack(foolbox, attack)
        if attack.attack == "deepfool":
            goal = foolbox.criteria.Misclassification(labels)
            perturbed: Tensor = method.run(model, pixels, goal)
            return perturbed.detach()
        which = torch.ones_like(labels, dtype=torch.bool) if only is None else only
        if method.random_start:
            _draw_start(method, pixels, which, attack.epsilon, drawing)
        return _descended(method, model, pixels, labels, which, attack.epsilon)


def _draw_start(
    method: Any,
    pixels: Tensor,
    which: Tensor,
    epsilon: float,
    drawing: Callable[[], AbstractContextManager[None]],
) -> None:
    """Have an attack of foolbox start from what is drawn now."""
    from eagerpy import astensor

    # Drawn for all images, so that no network's mistakes change another image's start.
    with drawing():
        starts = method.get_random_start(astensor(pixels), epsilon).raw
    method.get_random_start = lambda *_: astensor(starts if which.all() else starts[which])


def _descended(
    method: Any, model: Any, pixels: Tensor, labels: Tensor, which: Tensor, epsilon: float
) -> Tensor:
    """Run an attack of foolbox that follows the gradient on some of the images."""
    from foolbox.criteria import Misclassification

    if which.all():
        # `run` rather than a call, which would evaluate the result, as the caller does anyway.
        found: Tensor = method.run(model, pixels, Misclassification(labels), epsilon=epsilon)
        return found.detach()
    perturbed = pixels.clone()
    if which.any():
        goal = Misclassification(labels[which])
        perturbed[which] = method.run(model, pixels[which], goal, epsilon=epsilon).detach()
    return perturbed


def _by_own(network: nn.Module, pixels: Tensor, labels: Tensor, attack: AttackConfig) -> Tensor:
    name = attack.attack
    function = load_part("attacks", name)
    settings = {key: getattr(attack, key) for key in _SETTINGS}
    found = call_part(name, function, network, pixels.clone(), labels.clone(), **settings)
    where = f"{name} was called with images of the shape {tuple(pixels.shape)}, and returned"
    if not isinstance(found, Tensor) or found.shape != pixels.shape:
        shown = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise DoorError(f"{where} {shown}; images of the same shape are needed.")
    if found.is_complex():
        raise DoorError(f"{where} images of {found.dtype}; real numbers are needed.")
    found = found.detach().to(pixels)
    if not found.isfinite().all():
        raise DoorError(f"{where} NaN or infinity; pixels in [0, 1] are needed.")
    if found.min() < -_ROUNDING or found.max() > 1 + _ROUNDING:
        raise DoorError(
            f"{where} pixels from {float(found.min()):.4g} to {float(found.max()):.4g}; clamp "
            f"them to [0, 1]."
        )
    moved = _farthest(found, pixels, attack)
    if moved > attack.epsilon * (1 + _ROUNDING) + _ROUNDING:
        raise DoorError(
            f"{where} images that moved by up to {moved:.4g} in {attack.norm}; epsilon is "
            f"{attack.epsilon:.4g}."
        )
    return found.clamp(0, 1)


def _farthest(found: Tensor, pixels: Tensor, attack: AttackConfig) -> float:
    """Return the largest perturbation of an image, in the norm of the attack."""
    order = {"linf": torch.inf, "l2": 2.0}[attack.norm]
    return float((found - pixels).flatten(1).norm(order, dim=1).max())


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
        # It seeds the generators itself; every batch needs a seed of its own.
        seed=int(torch.randint(2**31, ())),
        device=pixels.device,
    )
    # The settings of its version "standard", which does not allow a choice of parts.
    targets = min(_AUTOATTACK_TARGETS, classes - 1)
    ensemble.apgd.n_restarts = ensemble.fab.n_restarts = 1
    ensemble.apgd_targeted.n_target_classes = ensemble.fab.n_target_classes = targets
    if attack.attack == "square":
        ensemble.square.n_queries = attack.queries
    if attack.norm == "l2":
        _take_any_size(ensemble.square)
    perturbed: Tensor = ensemble.run_standard_evaluation(pixels, labels, batch_size=len(pixels))[0]
    return perturbed.detach()


def _take_any_size(square: Any) -> None:
    """Make the Square attack in L2 accept images of any size.

    It starts from tiles of a fifth of the height, which at many sizes exceed the image, and then
    pyautoattack (0.2.0) fails. Such an image gets a black margin to the right and below, which is
    cut off before the network. Perturbation of the margin has no effect but counts in the norm,
    so that the attack soon moves it into the image.
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
    """Compute the smallest size that holds an image and whole tiles of the Square attack in L2.

    >>> square_size(28, 28)
    (28, 28)
    """

    def holds_tiles(side: int) -> bool:
        return first + side // tile * tile <= side

    # At a multiple of five all tiles fit.
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
    """Undo side effects of the two libraries on the process.

    foolbox (3.3.4) logs through the root logger, which installs a handler if there is none;
    pyautoattack (0.2.0) removes the trace function that coverage and debuggers use.
    """
    root, quiet, tracer = logging.getLogger(), logging.NullHandler(), sys.gettrace()
    root.addHandler(quiet)
    try:
        yield
    finally:
        root.removeHandler(quiet)
        sys.settrace(tracer)


def foolbox_library() -> ModuleType:
    """Import foolbox on demand: it takes a second, and few commands need it."""
    with warnings.catch_warnings():
        # foolbox 3.3.4 imports a name of SciPy that was moved.
        warnings.filterwarnings("ignore", r".*scipy\.ndimage", DeprecationWarning)
        import foolbox
    module: ModuleType = foolbox
    return module


def try_attack(network: nn.Module, images: Any, labels: Any, attack: AttackConfig) -> float:
    """Attack a few images once.

    Args:
        network: Maps float pixels in [0, 1] to logits, in eval mode.
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        attack: The attack.

    Returns:
        The largest perturbation, in the norm of the attack.

    Raises:
        DoorError: As `attacked`.

    >>> import numpy as np
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    >>> images, labels = np.full((2, 1, 2, 2), 128, np.uint8), np.array([0, 1])
    >>> round(try_attack(network, images, labels, AttackConfig("fgsm", 0.1)), 6)
    0.1
    """
    pixels = to_unit(torch.tensor(images))
    found = attacked(network, pixels, torch.tensor(labels), attack)
    return _farthest(found, pixels, attack)
