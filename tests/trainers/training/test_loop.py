"""One epoch, on models whose steps can be followed by hand."""

import itertools
import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from trainers.errors import DivergedError
from trainers.training.loop import (
    CHECKED_STEPS,
    Batch,
    Recipe,
    correct_fraction,
    train_epoch,
)
from trainers.training.optimizers import SGD, Group


def batches(sizes: list[int]) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(n, 4, generator=generator), torch.arange(n) % 3) for n in sizes]


def linear() -> nn.Linear:
    model = nn.Linear(4, 3)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


def recipe(model: nn.Module, rate: float = 0.0, smoothing: float = 0.0) -> Recipe:
    optimizer = SGD([Group(list(model.parameters()), 0.0)])
    return Recipe(optimizer, itertools.repeat(rate), smoothing, nullcontext)


def test_the_loss_is_the_mean_over_images_not_over_batches() -> None:
    given, model = batches([5, 1]), linear()
    nn.init.ones_(model.weight[:1])
    loss = train_epoch(model, iter(given), recipe(model), epoch=1)
    inputs, labels = (torch.cat(parts) for parts in zip(*given, strict=True))
    assert loss == pytest.approx(functional.cross_entropy(model(inputs), labels).item())


def test_a_step_takes_the_learning_rate_of_its_number() -> None:
    taken = []

    class Noted(SGD):
        def step(self, rate: float) -> None:
            taken.append(rate)
            super().step(rate)

    model, rates = linear(), [0.5, 0.25, 0.125]
    optimizer = Noted([Group(list(model.parameters()), 0.0)])
    given = Recipe(optimizer, iter(rates), 0, nullcontext)
    train_epoch(model, iter(batches([2, 2, 2])), given, epoch=1)
    assert taken == rates


def test_label_smoothing_is_in_the_loss() -> None:
    given, model = batches([6]), linear()
    nn.init.ones_(model.weight[:1])
    loss = train_epoch(model, iter(given), recipe(model, smoothing=0.5), epoch=1)
    inputs, labels = given[0]
    expected = functional.cross_entropy(model(inputs), labels, label_smoothing=0.5)
    assert loss == pytest.approx(expected.item())


def test_training_learns() -> None:
    model = linear()
    data = batches([30])
    losses = [train_epoch(model, iter(data), recipe(model, rate=0.5), epoch=n) for n in range(9)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] == pytest.approx(math.log(3))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("steps", [3, 4 * CHECKED_STEPS])
def test_a_loss_that_is_no_number_ends_training_within_so_many_steps(
    bad: float, steps: int
) -> None:
    model = linear()
    given = batches([3] * steps)
    given[1][0][0, 0] = bad
    left = iter(given)
    with pytest.raises(DivergedError, match="epoch 7") as caught:
        train_epoch(model, left, recipe(model, rate=0.1), epoch=7)
    assert caught.value.epoch == 7
    assert not math.isfinite(caught.value.loss)
    assert steps - len(list(left)) <= CHECKED_STEPS + 1


@pytest.mark.parametrize("parts", [2, 3, 9])
@pytest.mark.parametrize("weights", [None, torch.tensor([2.0, 1.0, 0.5])])
def test_a_step_in_parts_is_the_step(parts: int, weights: torch.Tensor | None) -> None:
    models, losses = [linear(), linear()], []
    for model, number in zip(models, (1, parts), strict=True):
        given = replace(recipe(model, rate=0.5), parts=number, class_weights=weights)
        losses.append(train_epoch(model, iter(batches([7, 1, 4])), given, epoch=1))
    torch.testing.assert_close(models[1].weight, models[0].weight)
    assert losses[1] == pytest.approx(losses[0])


def test_no_part_has_a_single_image() -> None:
    seen = []

    class Counting(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            seen.append(len(inputs))
            return super().forward(inputs)

    model = Counting(4, 3)
    train_epoch(model, iter(batches([7, 3, 1])), replace(recipe(model), parts=5), epoch=1)
    assert seen == [3, 2, 2, 3, 1]


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4))
@pytest.mark.slow
def test_correct_ones_are_counted_over_all_batches(sizes: list[int]) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    given = batches(sizes)
    right = sum(int((model(x).argmax(1) == y).sum()) for x, y in given)
    assert correct_fraction(model, iter(given)) == right / sum(sizes)


def test_gradients_are_clipped_to_their_common_norm() -> None:
    model, (inputs, labels) = linear(), batches([6])[0]
    functional.cross_entropy(model(inputs), labels).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    norm = torch.cat([each.reshape(-1) for each in gradients if each is not None]).norm().item()
    optimizer = SGD([Group(list(model.parameters()), 0.0)], momentum=0.0)
    given = Recipe(optimizer, iter([1.0]), 0.0, nullcontext, clip=norm / 2)
    train_epoch(model, iter([(inputs, labels)]), given, epoch=1)
    moved = torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()]).norm()
    assert moved.item() == pytest.approx(norm / 2, rel=1e-4)


def test_a_class_of_twice_the_weight_counts_twice() -> None:
    """The mean is over weights: two images of losses a and b have (2 a + b) / 3."""
    model = linear()
    nn.init.ones_(model.weight[:1])
    inputs, labels = torch.eye(4)[:2] * torch.tensor([[1.0], [2.0]]), torch.tensor([0, 1])
    given = recipe(model)
    weighted = replace(given, class_weights=torch.tensor([2.0, 1.0, 1.0]))
    one, two = (
        functional.cross_entropy(model(inputs[i : i + 1]), labels[i : i + 1]).item()
        for i in (0, 1)
    )
    loss = train_epoch(model, iter([(inputs, labels)]), weighted, epoch=1)
    assert loss == pytest.approx((2 * one + two) / 3)


def test_shares_of_classes_are_labels_too() -> None:
    model, (inputs, labels) = linear(), batches([6])[0]
    nn.init.ones_(model.weight[:1])
    shares = functional.one_hot(labels, 3).float()
    plain = train_epoch(model, iter([(inputs, labels)]), recipe(model), epoch=1)
    assert train_epoch(model, iter([(inputs, shares)]), recipe(model), epoch=1) == plain
