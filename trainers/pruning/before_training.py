"""Pruning before the training, by what the first gradients say of each weight: SNIP and FORCE."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainers.pruning.masks import Masks

_ROUNDS = 60


@dataclass(frozen=True, slots=True)
class Connection:
    """How connections are chosen before the training.

    Attributes:
        rounds: `T`: how often gradients are computed, and masks chosen.
        returns: Whether a weight that was pruned in one round may return in a later one.
    """

    rounds: int
    returns: bool


BEFORE_TRAINING: Mapping[str, Connection] = {
    "snip": Connection(1, returns=False),
    "iter_snip": Connection(_ROUNDS, returns=False),
    "force": Connection(_ROUNDS, returns=True),
}
"""By the words of `criterion`; those of `trainers.pruning.config.BEFORE_TRAINING_CRITERIA`."""


def prune_before_training(
    masks: Masks, criterion: str, sparsity: float, gradients: Callable[[], None]
) -> None:
    """Choose masks by the saliency `|w g|` of each weight, in rounds, and apply them.

    In round `t` of `T` the gradient `g` is that of the network whose pruned weights are zero, `w`
    is the weight before any pruning, and the share `k_t = k^(t / T)` of the weights that is kept
    falls to the last one, `k` (FORCE, equation 8: `k_t = exp((t / T) log k)`). ``snip`` is one
    round, ``iter_snip`` 60 in which a pruned weight stays pruned, ``force`` 60 in which it may
    return.

    Args:
        masks: Masks of a network that was not trained yet.
        criterion: A name of `BEFORE_TRAINING`.
        sparsity: `1 - k`.
        gradients: Fills `grad` of the masked weights with the gradient of the loss on a sample.

    References:
        N. Lee, T. Ajanthan, P. Torr. SNIP: single-shot network pruning based on connection
        sensitivity. ICLR 2019, equation 4. https://arxiv.org/abs/1810.02340
        P. de Jorge et al. Progressive skeletonization: trimming more fat from a network at
        initialization. ICLR 2021, sections 3 and 4. https://arxiv.org/abs/2006.09081

    >>> from trainers.pruning.config import PruningConfig
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 1, bias=False))
    >>> _ = net[0].weight.data.copy_(torch.tensor([4.0, -3.0, 2.0, 1.0]).reshape(4, 1, 1, 1))
    >>> masks = Masks(net, PruningConfig(sparsity=0.5, criterion="snip"), seed=0)
    >>> def gradients():
    ...     net[0].weight.grad = torch.tensor([0.1, 1.0, 1.0, -9.0]).reshape(4, 1, 1, 1)
    >>> prune_before_training(masks, "snip", 0.5, gradients)
    >>> net[0].weight.flatten().tolist()
    [0.0, -3.0, 0.0, 1.0]
    """
    how = BEFORE_TRAINING[criterion]
    before = {name: weight.detach().clone() for name, weight in masks.trained.items()}
    kept = 1 - sparsity
    for number in range(1, how.rounds + 1):
        gradients()
        scores = {
            name: (before[name] * _gradient(weight)).abs()
            for name, weight in masks.trained.items()
        }
        with torch.no_grad():
            for name, weight in masks.trained.items():
                weight.copy_(before[name])
        share = math.exp(number / how.rounds * math.log(kept))
        masks.choose(scores, 1 - share, returns=how.returns)
    for weight in masks.trained.values():
        weight.grad = None


def sample_gradients(
    network: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor]],
    criterion: Callable[[Tensor, Tensor], Tensor],
    images: int,
) -> Callable[[], None]:
    """Return a function that computes the gradient of the mean loss on a sample of images.

    The network is in training mode, so that batch norms normalize by the batch, and their
    statistics are restored.

    Args:
        network: In training mode.
        batches: Inputs and labels.
        criterion: The mean loss of logits and labels.
        images: Batches are taken until they have so many images.

    >>> net = nn.Linear(1, 2, bias=False)
    >>> batch = (torch.ones(4, 1), torch.zeros(4, dtype=torch.int64))
    >>> sample_gradients(net, iter([batch]), nn.functional.cross_entropy, 4)()
    >>> net.weight.grad.shape
    torch.Size([2, 1])
    """
    sample: list[tuple[Tensor, Tensor]] = []
    while sum(len(labels) for _, labels in sample) < images:
        batch = next(batches, None)
        if batch is None:
            break
        sample.append(batch)
    total = sum(len(labels) for _, labels in sample)

    def compute() -> None:
        statistics = [(each, each.clone()) for each in network.buffers()]
        network.zero_grad(set_to_none=True)
        for inputs, labels in sample:
            loss = criterion(network(inputs), labels) * (len(labels) / total)
            loss.backward()  # type: ignore[no-untyped-call]
        for buffer, value in statistics:
            buffer.copy_(value)

    return compute


def _gradient(weight: Tensor) -> Tensor:
    return torch.zeros_like(weight) if weight.grad is None else weight.grad
