"""One epoch, on models whose steps can be followed by hand."""

import itertools
import math
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from trainers.errors import DivergedError
from trainers.training.loop import (
    Batch,
    Recipe,
    correct_fraction,
    cosine_learning_rates,
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
def test_a_loss_that_is_no_number_ends_training_before_its_step(bad: float) -> None:
    model = linear()
    given = batches([3, 3])
    given[1][0][0, 0] = bad
    with pytest.raises(DivergedError, match="epoch 7") as caught:
        train_epoch(model, iter(given), recipe(model, rate=0.1), epoch=7)
    assert caught.value.epoch == 7
    assert not math.isfinite(caught.value.loss)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_correct_ones_are_counted_over_all_batches(sizes: list[int]) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    given = batches(sizes)
    right = sum(int((model(x).argmax(1) == y).sum()) for x, y in given)
    assert correct_fraction(model, iter(given)) == right / sum(sizes)


@given(
    st.floats(1e-6, 10.0),
    st.integers(1, 40),
    st.integers(1, 12),
    st.data(),
)
def test_the_schedule_is_a_function_of_the_step(
    peak: float, steps: int, epochs: int, data: st.DataObject
) -> None:
    whole = list(cosine_learning_rates(peak, steps_per_epoch=steps, epochs=epochs, from_epoch=0))
    assert len(whole) == steps * epochs
    assert all(0 < rate <= peak * (1 + 1e-12) for rate in whole)
    top = whole.index(max(whole))
    assert max(whole) == pytest.approx(peak)
    assert whole[: top + 1] == sorted(whole[: top + 1])
    assert whole[top:] == sorted(whole[top:], reverse=True)
    done = data.draw(st.integers(0, epochs))
    rest = cosine_learning_rates(peak, steps_per_epoch=steps, epochs=epochs, from_epoch=done)
    assert list(rest) == whole[steps * done :]


def test_the_schedule_warms_up_and_then_follows_the_cosine() -> None:
    rates = list(cosine_learning_rates(2.0, steps_per_epoch=10, epochs=4, from_epoch=0))
    assert rates[:2] == [1.0, 2.0]
    assert rates[21] == pytest.approx(1 + math.cos(math.pi / 2))
    assert 0 < rates[-1] < 0.01
