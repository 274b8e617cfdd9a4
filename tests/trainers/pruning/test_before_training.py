"""Pruning before the training: SNIP and FORCE, on networks small enough to follow by hand."""

import math

import pytest
import torch
from torch import nn

from trainers.pruning import PruningConfig
from trainers.pruning.before_training import (
    BEFORE_TRAINING,
    prune_before_training,
    sample_gradients,
)
from trainers.pruning.masks import Masks

WEIGHTS = (8.0, 4.0, 2.0, 1.0)


def layer() -> nn.Conv2d:
    made = nn.Conv2d(4, 1, 1, bias=False)
    made.weight.data.copy_(torch.tensor(WEIGHTS).reshape(1, 4, 1, 1))
    return made


def masks_of(network: nn.Module, criterion: str, sparsity: float) -> Masks:
    return Masks(network, PruningConfig(sparsity=sparsity, criterion=criterion), seed=0)


def test_saliency_is_what_the_loss_loses_with_a_weight_to_first_order() -> None:
    """Of a loss linear in the weights `|w g|` is exactly the change where a weight is removed."""
    network = layer()
    images = torch.tensor([0.1, 1.0, 10.0, 0.3]).reshape(1, 4, 1, 1)
    masks = masks_of(network, "snip", 0.5)

    def gradients() -> None:
        network.weight.grad = None
        network(images).sum().backward()

    prune_before_training(masks, "snip", 0.5, gradients)
    change = torch.tensor(WEIGHTS) * images.flatten()
    assert torch.equal(masks.kept["weight"].flatten(), change >= change.sort().values[2])


@pytest.mark.parametrize("criterion", ["iter_snip", "force"])
def test_the_share_that_is_kept_falls_by_the_same_factor_in_every_round(criterion: str) -> None:
    network = nn.Conv2d(10, 100, 1, bias=False)
    masks = masks_of(network, criterion, 0.99)
    kept: list[float] = []

    def gradients() -> None:
        kept.append(float((network.weight != 0).float().mean()))
        network.weight.grad = torch.ones_like(network.weight)

    prune_before_training(masks, criterion, 0.99, gradients)
    rounds = BEFORE_TRAINING[criterion].rounds
    expected = [math.exp(number / rounds * math.log(0.01)) for number in range(rounds)]
    assert kept == pytest.approx(expected, abs=1e-3)
    assert int(masks.kept["weight"].sum()) == 10


@pytest.mark.parametrize(("criterion", "returns"), [("iter_snip", False), ("force", True)])
def test_with_force_a_pruned_weight_may_return_with_its_own_value(
    criterion: str, returns: bool
) -> None:
    """The last weight has no gradient while the first is there, and a large one without it."""
    network = layer()
    masks = masks_of(network, criterion, 0.5)

    def gradients() -> None:
        is_there = bool(network.weight.detach().flatten()[0] != 0)
        given = [0.01, 1.0, 0.6, 0.0] if is_there else [0.01, 1.0, 0.6, 9.0]
        if bool(network.weight.detach().flatten()[3] == 0):
            given[0] = 0.0
        network.weight.grad = torch.tensor(given).reshape(1, 4, 1, 1)

    prune_before_training(masks, criterion, 0.5, gradients)
    found = network.weight.detach().flatten().tolist()
    assert found == ([0.0, 4.0, 0.0, 1.0] if returns else [0.0, 4.0, 2.0, 0.0])


def test_gradients_of_a_sample_are_those_of_all_its_images_at_once() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2))
    images, labels = torch.randn(7, 3), torch.tensor([0, 1, 0, 1, 1, 0, 1])
    loss = nn.functional.cross_entropy
    loss(network(images), labels).backward()
    whole = network[0].weight.grad
    batches = iter([(images[:4], labels[:4]), (images[4:], labels[4:])])
    sample_gradients(network, batches, loss, images=5)()
    assert whole is not None
    assert torch.allclose(network[0].weight.grad, whole, atol=1e-6)


def test_statistics_of_norms_are_left_as_they_were() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    before = {name: value.clone() for name, value in network.named_buffers()}
    batch = (torch.randn(6, 3), torch.zeros(6, dtype=torch.int64))
    sample_gradients(network, iter([batch]), nn.functional.cross_entropy, images=6)()
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_momentum_and_movement_are_gathered_over_the_steps() -> None:
    """By hand: two steps, m = 0.9 (0.1 |w1|) + 0.1 |w2|, and S = -(g1 w1) - (g2 w2)."""
    found = {}
    for criterion in ("weight_momentum", "accumulated_movement"):
        network = layer()
        masks = masks_of(network, criterion, 0.5)
        for gradient, moved in ((1.0, 0.0), (-2.0, 1.0)):
            network.weight.grad = torch.full_like(network.weight, gradient)
            network.weight.data.add_(moved)
            masks.after_step(0.1)  # before a one-shot pruning
        found[criterion] = masks.accumulated["weight"].flatten()
    first, second = torch.tensor(WEIGHTS), torch.tensor(WEIGHTS) + 1
    assert torch.allclose(found["weight_momentum"], 0.09 * first + 0.1 * second)
    assert torch.allclose(found["accumulated_movement"], -first + 2 * second)
