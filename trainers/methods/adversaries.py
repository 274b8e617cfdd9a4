"""Adversarial training: each step attacks its own images first."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trainers.methods.config import MethodsConfig

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Computes the mean loss of logits (N, classes) and labels."""


def _fgsm(
    model: nn.Module, images: Tensor, labels: Tensor, criterion: Criterion, of: MethodsConfig
) -> Tensor:
    """Take one step of the whole `epsilon`: `x + epsilon sign(grad_x loss)`."""
    return _moved(model, images, images, labels, criterion, of.adversarial_epsilon, of)


def _pgd(
    model: nn.Module, images: Tensor, labels: Tensor, criterion: Criterion, of: MethodsConfig
) -> Tensor:
    """Take `steps` steps of `2.5 epsilon / steps` from a random start, each projected."""
    noise = torch.empty_like(images).uniform_(-1, 1) * of.adversarial_epsilon
    attacked = (images + noise).clamp(0, 1)
    size = 2.5 * of.adversarial_epsilon / of.adversarial_steps
    for _ in range(of.adversarial_steps):
        attacked = _moved(model, attacked, images, labels, criterion, size, of)
    return attacked


def _moved(  # noqa: PLR0913 - a step and its bounds
    model: nn.Module,
    images: Tensor,
    centre: Tensor,
    labels: Tensor,
    criterion: Criterion,
    size: float,
    of: MethodsConfig,
) -> Tensor:
    """Take a step up the loss, projected to the ball around the clean images and to [0, 1]."""
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(criterion(model(images), labels), images)
    moved = images.detach() + size * gradient.sign()
    epsilon = of.adversarial_epsilon
    return torch.clamp(moved, centre - epsilon, centre + epsilon).clamp(0, 1)


ADVERSARIES: Mapping[
    str, Callable[[nn.Module, Tensor, Tensor, Criterion, MethodsConfig], Tensor]
] = {"fgsm": _fgsm, "pgd": _pgd}
"""By the words of `adversarial`: changes images by at most epsilon in each pixel."""


def attacked(
    model: nn.Module, images: Tensor, labels: Tensor, criterion: Criterion, methods: MethodsConfig
) -> Tensor:
    """Change images so that the loss on them rises, within `adversarial_epsilon` of each pixel.

    The model is in eval mode meanwhile: no running statistic moves, nothing is dropped, and the
    attack is on the network as it would be used. Random starts come from torch's global generator.

    ``fgsm`` is one step of size epsilon (Goodfellow et al. 2015, whose equation in section 6 mixes
    it with the clean loss, share 0.5: `adversarial_share`). ``pgd`` starts at random and takes
    steps of `2.5 epsilon / steps`, with which every point of the ball can be reached: the inner
    maximum of Madry et al.'s equation 2.1, who train on attacked images alone.

    Args:
        model: Maps pixels to logits.
        images: float (N, C, H, W) in [0, 1]; not modified.
        labels: As `criterion` takes them.
        criterion: The loss that is climbed.
        methods: Attack, epsilon, steps.

    Returns:
        As `images`.

    References:
        I. Goodfellow, J. Shlens, C. Szegedy. Explaining and harnessing adversarial examples. 2015.
        https://arxiv.org/abs/1412.6572
        A. Madry et al. Towards deep learning models resistant to adversarial attacks. 2018.
        https://arxiv.org/abs/1706.06083

    >>> model = nn.Linear(1, 2)
    >>> _ = model.weight.data.copy_(torch.tensor([[1.0], [-1.0]]))
    >>> of = MethodsConfig(adversarial="fgsm", adversarial_epsilon=0.25)
    >>> loss = nn.functional.cross_entropy
    >>> attacked(model, torch.tensor([[0.5], [0.125]]), torch.tensor([0, 0]), loss, of).tolist()
    [[0.25], [0.0]]
    """
    with _evaluated(model):
        return ADVERSARIES[methods.adversarial](model, images, labels, criterion, methods)


@contextmanager
def _evaluated(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode for a while; each part then returns to its own mode."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
