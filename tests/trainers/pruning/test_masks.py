"""Masks hold what was asked for: the lowest scores of the right groups, and never less later."""

from typing import Any

import pytest
import torch
from torch import nn

from trainers.pruning import PruningConfig
from trainers.pruning.masks import Masks, zero_share

CPU = torch.device("cpu")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(4, 6), nn.Linear(6, 3)
    ).requires_grad_(requires_grad=False)


def masks(net: nn.Module, **settings: Any) -> Masks:
    return Masks(net, PruningConfig(**{"sparsity": 0.5, **settings}), seed=0)


def test_the_smallest_weights_of_a_frozen_layer_go_at_once() -> None:
    net = network()
    before = net[0].weight.detach().clone()
    kept = masks(net).kept["0.weight"]
    assert int(kept.sum()) == before.numel() // 2
    assert before[kept].abs().min() >= before[~kept].abs().max()
    assert torch.equal(net[0].weight, before * kept)
    assert zero_share(net) == pytest.approx(36 / (72 + 24 + 18))


@pytest.mark.parametrize(("granularity", "axes"), [("kernel", (2, 3)), ("filter", (1, 2, 3))])
def test_groups_go_as_a_whole(granularity: str, axes: tuple[int, ...]) -> None:
    net = network()
    means = net[0].weight.detach().abs().mean(axes)
    kept = masks(net, granularity=granularity).kept["0.weight"]
    whole = kept.flatten(len(means.shape)).float().mean(-1)
    assert set(whole.flatten().tolist()) == {0.0, 1.0}
    assert means[whole == 1].min() >= means[whole == 0].max()
    assert int((whole == 0).sum()) == means.numel() // 2


def test_a_global_context_spares_the_layer_of_large_weights() -> None:
    net = network()
    with torch.no_grad():
        net[0].weight.mul_(1000)
        net[3].weight.mul_(1e-6)
    kept = masks(net, context="global", layers="all").kept
    assert sum(int((~mask).sum()) for mask in kept.values()) == (72 + 24 + 18) // 2
    assert kept["0.weight"].float().mean() > 0.7
    assert int(kept["3.weight"].sum()) == 1


def test_a_global_context_empties_no_layer_where_few_are_frozen() -> None:
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 64, 3))
    for frozen in net[:2]:
        frozen.requires_grad_(requires_grad=False)
    found = masks(net, context="global", granularity="filter", sparsity=0.95)
    found.after_step(1.0)
    assert [int(kept.flatten(1).any(1).sum()) for kept in found.kept.values()] == [1, 1, 3]


def test_units_of_the_last_layer_are_never_pruned() -> None:
    assert masks(network(), granularity="filter", layers="all").kept.keys() == {
        "0.weight",
        "2.weight",
    }


def test_trained_weights_follow_the_schedule_and_never_return() -> None:
    net = network().requires_grad_()
    found = masks(net, schedule="gradual", criterion="movement", sparsity=0.9)
    before = found.kept["0.weight"].clone()
    assert before.all()
    for step in range(1, 11):
        with torch.no_grad():
            net[0].weight.add_(torch.randn_like(net[0].weight))
        found.after_step(step / 10)
        kept = found.kept["0.weight"]
        assert not (kept & ~before).any()
        assert not net[0].weight[~kept].any()
        before = kept.clone()
    assert int(before.sum()) == 72 - round(0.9 * 72)


def test_the_gradient_criterion_judges_by_the_gradient() -> None:
    net = network().requires_grad_()
    found = masks(net, criterion="gradient")
    net[0].weight.grad = torch.zeros_like(net[0].weight)
    net[0].weight.grad[:2] = 1.0
    found.after_step(1.0)
    assert torch.equal(found.kept["0.weight"].flatten(1).all(1), torch.tensor([1, 1, 0, 0]) == 1)


def test_random_masks_depend_on_the_seed_alone() -> None:
    config = PruningConfig(sparsity=0.5, criterion="random")
    drawn = [Masks(network(), config, seed=seed).kept["0.weight"] for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
