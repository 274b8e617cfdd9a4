"""Weights of the classes in the loss."""

import torch
from torch import Tensor


def class_weights(asked: str | tuple[float, ...], labels: Tensor, classes: int) -> Tensor | None:
    """Compute the weight of each class: float (classes,); None if all weigh alike.

    ``balanced`` gives a class of `n` of all `N` images the weight `N / (classes * n)`, as
    scikit-learn's ``compute_class_weight`` does.

    >>> class_weights("balanced", torch.tensor([0, 0, 0, 1]), 2)
    tensor([0.6667, 2.0000])

    Args:
        asked: As `RecipeConfig.class_weights`.
        labels: int64 (N,), the training images' classes; each occurs. The result is on its device.
        classes: Number of classes.
    """
    if asked == "none":
        return None
    if isinstance(asked, str):
        counts = torch.bincount(labels, minlength=classes)
        return (len(labels) / (classes * counts)).to(torch.float32)
    return torch.tensor(asked, device=labels.device)
