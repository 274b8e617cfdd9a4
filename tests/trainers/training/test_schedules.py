"""Learning rates: each is a function of its step."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.recipes.config import SCHEDULES, RecipeConfig
from trainers.training.schedules import learning_rates


def rates_of(recipe: RecipeConfig, steps: int, epochs: int, done: int = 0) -> list[float]:
    rates = learning_rates(recipe, 2.0, steps_per_epoch=steps, epochs=epochs, from_epoch=done)
    return list(rates)


@given(
    st.sampled_from(SCHEDULES),
    st.none() | st.floats(0, 0.9),
    st.integers(1, 40),
    st.integers(1, 12),
    st.data(),
)
def test_a_resumed_training_goes_on_with_the_same_rates(
    schedule: str, warmup: float | None, steps: int, epochs: int, data: st.DataObject
) -> None:
    recipe = RecipeConfig(schedule=schedule, warmup=warmup)
    whole = rates_of(recipe, steps, epochs)
    assert len(whole) == steps * epochs
    assert all(0 < rate <= 2.0 * (1 + 1e-12) for rate in whole)
    top = whole.index(max(whole))
    assert whole[: top + 1] == sorted(whole[: top + 1])
    assert whole[top:] == sorted(whole[top:], reverse=True)
    done = data.draw(st.integers(0, epochs))
    assert rates_of(recipe, steps, epochs, done) == whole[steps * done :]


def test_the_default_warms_up_and_then_follows_the_cosine() -> None:
    rates = rates_of(RecipeConfig(), 10, 4)
    assert rates[:2] == [1.0, 2.0]
    assert rates[21] == pytest.approx(1 + math.cos(math.pi / 2))
    assert 0 < rates[-1] < 0.01


@given(st.integers(1, 400))
def test_the_default_warm_up_is_a_twentieth_of_all_steps(steps: int) -> None:
    """As it was before it could be chosen: max(1, steps // 20)."""
    rates = rates_of(RecipeConfig(), steps, 1)
    assert rates.index(max(rates)) + 1 == max(1, steps // 20)


def test_steps_drop_to_a_tenth_at_half_and_at_three_quarters() -> None:
    rates = rates_of(RecipeConfig(schedule="step", warmup=0.0), 4, 2)
    assert rates == pytest.approx([2, 2, 2, 2, 0.2, 0.2, 0.02, 0.02])


def test_a_constant_schedule_only_warms_up() -> None:
    rates = rates_of(RecipeConfig(schedule="constant", warmup=0.5), 4, 1)
    assert rates == [1.0, 2.0, 2.0, 2.0]


@pytest.mark.slow
def test_one_cycle_is_that_of_torch() -> None:
    """torch puts its phases at fractions of a step: with whole ones both have the same rates."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        torch.optim.SGD([parameter], lr=1.0), max_lr=2.0, total_steps=41, pct_start=11 / 41
    )
    expected = []
    for _ in range(41):
        expected.append(theirs.get_last_lr()[0])
        theirs.optimizer.step()
        theirs.step() if len(expected) < 41 else None
    ours = rates_of(RecipeConfig(schedule="one_cycle", warmup=10 / 40), 40, 1)
    assert ours == pytest.approx(expected[:40], rel=1e-6)
