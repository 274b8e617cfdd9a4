"""Distillation: a trained network's probabilities are part of the target."""

from torch import Tensor
from torch.nn import functional


def distillation_loss(
    logits: Tensor, taught: Tensor, loss: Tensor, *, share: float, temperature: float
) -> Tensor:
    """Mix a loss on labels with the distance from a teacher's softened probabilities.

    `(1 - a) loss + a T^2 KL(softmax(v / T) || softmax(z / T))`, with the student's logits `z`, the
    teacher's `v`, the share `a` and the temperature `T`. `T^2` keeps the size of the gradient, as
    section 2 of the paper advises; KL has the gradient of the paper's cross-entropy, and is 0
    where both agree.

    Args:
        logits: `z`, (N, classes).
        taught: `v`, (N, classes); gets no gradient.
        loss: Scalar.
        share: `a`, in [0, 1].
        temperature: `T`, at least 1.

    References:
        G. Hinton, O. Vinyals, J. Dean. Distilling the knowledge in a neural network. 2015.
        https://arxiv.org/abs/1503.02531

    >>> import torch
    >>> same = torch.tensor([[1.0, 2.0]])
    >>> distillation_loss(same, same, torch.tensor(3.0), share=0.25, temperature=2.0).item()
    2.25
    """
    student = functional.log_softmax(logits / temperature, 1)
    teacher = functional.log_softmax(taught.detach() / temperature, 1)
    apart = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return (1 - share) * loss + share * temperature**2 * apart


def adjoined_loss(full: Tensor, sized: Tensor, loss: Tensor, *, progress: float) -> Tensor:
    """Add the distance of the sized network from the full one, which shares its weights.

    `loss + min(4 t^2, 1) KL(softmax(full) || softmax(sized))`, with the share `t` of the training
    that is done: the labels teach the full network, and it teaches the sized one.

    Args:
        full: Logits of the full network (N, classes).
        sized: Logits of the sized network (N, classes).
        loss: Loss of the full network on labels; scalar.
        progress: `t`, in [0, 1].

    References:
        U. Nath, S. Kushagra, Y. Yang. Adjoined networks: a training paradigm with applications to
        network compression. 2020, and its code (utkarshnath/Adjoint-Network), whose `alpha` this
        is. https://arxiv.org/abs/2006.05624

    >>> import torch
    >>> same = torch.tensor([[1.0, 2.0]])
    >>> adjoined_loss(same, same, torch.tensor(3.0), progress=1.0).item()
    3.0
    """
    of_full, of_sized = functional.log_softmax(full, 1), functional.log_softmax(sized, 1)
    apart = functional.kl_div(of_sized, of_full, reduction="batchmean", log_target=True)
    return loss + min(4 * progress**2, 1.0) * apart
