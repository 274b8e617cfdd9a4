"""What a worker does once, so that its first trial takes no longer than the next."""

import torch

from trainers.evaluators.attacks import foolbox_library


def warm_up(*, attacks: bool) -> None:
    """Import now what torch and the attacks import at their first use.

    An optimizer's first step imports torch's compiler (2.7 s in torch 2.14, whether or not
    anything is compiled); in a trial it would be taken for training time.

    Args:
        attacks: Whether trials will attack their networks.
    """
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    torch.optim.SGD([parameter], lr=0.0).step()
    if attacks:
        foolbox_library()
