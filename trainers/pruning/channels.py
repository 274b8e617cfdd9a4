"""Remove channels of convolutions for good, with all that depends on them."""

from typing import Any

import torch
from torch import Tensor, nn

# Kernels work on blocks of channels: 45 take as long as 48.
_BLOCK = 8


def kept_channels(channels: int, share: float) -> int:
    """Return how many channels are left: whole blocks of 8 where there are two blocks or more.

    >>> kept_channels(64, 0.3), kept_channels(10, 0.3)
    (48, 7)
    """
    block = _BLOCK if channels >= 2 * _BLOCK else 1
    return min(channels, max(1, round((1 - share) * channels / block)) * block)


def remove_channels(
    network: nn.Module,
    sample: Tensor,
    *,
    share: float,
    fixed: nn.Module,
    criterion: str = "magnitude",
    threshold: float = 0.0,
) -> None:
    """Remove a share of the channels that convolutions hand on, those of the lowest score.

    Channels that depend on each other, as those of residual branches that are added, go together:
    their score is torch-pruning's. ``magnitude``: the mean over the layers of the L2 norm of a
    channel's weights. ``batch_norm``: the mean of `|gamma|` of its batch norms, as Liu et al. UCP
    (Chang et al.) judges by the mean of a gate over the data, and keeps in each layer what is
    above a threshold; its blocks of a stage are alike, as an equal share of equal blocks is.

    A set keeps one channel at least, and whole blocks of 8 where it has 16 or more.

    Args:
        network: Changed in place: its layers get smaller weights.
        sample: Inputs for one pass, with which dependencies are found.
        share: Of the channels of each set, in (0, 1); 0 with a threshold.
        fixed: A part whose inputs and outputs stay as many: what is handed to it is kept.
        criterion: ``magnitude`` or ``batch_norm``.
        threshold: UCP's: channels go whose score is at most this times the mean score of their
            set, instead of a share. 0 is none.

    Raises:
        ValueError: Channels are judged by batch norms, and there is none behind some of them.

    References:
        G. Fang et al. DepGraph: towards any structural pruning. CVPR 2023.
        https://arxiv.org/abs/2301.12900
        Z. Liu et al. Network slimming. ICCV 2017. https://arxiv.org/abs/1708.06519
        J. Chang et al. UCP: uniform channel pruning. 2020. https://arxiv.org/abs/2010.01251

    >>> net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 4, 1), nn.Flatten(), nn.Linear(4, 2))
    >>> remove_channels(net, torch.zeros(1, 1, 3, 3), share=0.5, fixed=net[3])
    >>> [tuple(layer.weight.shape[:2]) for layer in (net[0], net[1], net[3])]
    [(4, 1), (4, 4), (2, 4)]
    """
    # Imported here: only trainings that remove channels need it.
    import torch_pruning

    trained = [parameter.requires_grad for parameter in network.parameters()]
    network.requires_grad_()
    graph = torch_pruning.DependencyGraph().build_dependency(network, sample)
    kept_whole = set(fixed.modules())
    for group in list(graph.get_all_groups(ignored_layers=list(kept_whole))):
        if all(member.dep.target.module not in kept_whole for member in group):
            scores = _scores(group, criterion)
            _prune(graph, group, scores, below(scores, threshold) if threshold else share)
    for parameter, was in zip(network.parameters(), trained, strict=True):
        parameter.requires_grad_(was)
        parameter.grad = None


def below(scores: Tensor, threshold: float) -> float:
    """Return the share of channels whose score is at most so many times the mean score.

    >>> below(torch.tensor([1.0, 2.0, 3.0, 6.0]), 0.99)
    0.5
    """
    return float((scores <= threshold * scores.mean()).double().mean())


def _scores(group: Any, criterion: str) -> Tensor:
    """Return the score of each channel of a group that goes together, float32 (channels,)."""
    import torch_pruning

    importance = {
        "magnitude": torch_pruning.importance.MagnitudeImportance(p=2),
        "batch_norm": torch_pruning.importance.BNScaleImportance(),
    }[criterion]
    scores: Tensor | None = importance(group)
    if scores is None:
        raise ValueError(
            f"pruning_criterion is 'batch_norm', and {group[0].dep.target.name} has no batch norm "
            f"behind it to judge its channels by. Use 'magnitude', or a backbone with norms."
        )
    return scores


def _prune(graph: Any, group: Any, scores: Tensor, share: float) -> None:
    """Remove the channels of a group that have the lowest scores; the first ones in a tie."""
    first = group[0].dep
    removed = len(scores) - kept_channels(len(scores), share)
    lowest = torch.sort(scores, stable=True).indices[:removed].tolist()
    if lowest:
        graph.get_pruning_group(first.target.module, first.handler, lowest).prune()
