"""Codes that keep the outputs: less error than the nearest, the best on problems small enough."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainers.quantization.rounding.codes import compensated, damped, learned, target_weights
from trainers.quantization.rounding.grid import Grid, grid_of
from trainers.quantization.weights import quantize_weight

Rule = Callable[[Tensor, Tensor, Grid, Tensor], Tensor]
RULES = [compensated, learned]


def problem(rows: int, inputs: int) -> tuple[Tensor, Tensor]:
    """Weights, and second moments of inputs that depend on each other."""
    draws = torch.Generator().manual_seed(5)
    weight = torch.randn(rows, inputs, generator=draws)
    mixed = torch.randn(4 * inputs, inputs, generator=draws) @ torch.randn(
        inputs, inputs, generator=draws
    )
    return weight, damped((mixed.T @ mixed / len(mixed)).double(), 0.01)


def chosen(rule: Rule, weight: Tensor, moments: Tensor, grid: Grid) -> Tensor:
    """The column of each weight, for a single group."""
    is_zero = (weight == 0).unsqueeze(0)
    return rule(weight.double().unsqueeze(0), moments.unsqueeze(0), grid, is_zero)


def error(weight: Tensor, moments: Tensor, values: Tensor) -> Tensor:
    away = (values - weight).double()
    return (away @ moments * away).sum(1)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scheme", ["symmetric", "affine", "kmeans", "entropy"])
def test_outputs_change_by_much_less_than_with_the_nearest_codes(rule: Rule, scheme: str) -> None:
    weight, moments = problem(6, 30)
    nearest = quantize_weight(weight, 3, scheme=scheme)
    grid = grid_of(nearest.levels, 6)
    found = grid.at(chosen(rule, weight, moments, grid))
    before = error(weight, moments, grid.at(grid.nearest(weight)))
    after = error(weight, moments, found)
    assert (after <= before * (1 + 1e-6)).all()
    # The few weights of a row are close to the levels of a codebook of its own.
    share = 0.8 if scheme in ("symmetric", "affine") else 0.99
    assert float(after.sum()) < share * float(before.sum())


@pytest.mark.parametrize("rule", RULES)
def test_it_is_close_to_the_best_of_all_codes(rule: Rule) -> None:
    weight, moments = problem(3, 6)
    grid = grid_of(quantize_weight(weight, 2).levels, 3)
    every = torch.tensor(list(itertools.product(range(3), repeat=6)))
    found = error(weight, moments, grid.at(chosen(rule, weight, moments, grid)))
    for row in range(3):
        columns = every.reshape(1, -1).expand(3, -1)
        values = grid.at(columns)[row].reshape(-1, 6)
        of_all = error(weight[row], moments, values)
        assert float((of_all < found[row] - 1e-9).double().mean()) < 0.02


@pytest.mark.parametrize("rule", RULES)
def test_independent_inputs_leave_nothing_but_the_nearest(rule: Rule) -> None:
    weight, _ = problem(4, 12)
    grid = grid_of(quantize_weight(weight, 3).levels, 4)
    moments = torch.eye(12, dtype=torch.float64)
    assert torch.equal(chosen(rule, weight, moments, grid), grid.nearest(weight))


@pytest.mark.parametrize("rule", RULES)
def test_what_was_pruned_stays_pruned(rule: Rule) -> None:
    weight, moments = problem(4, 12)
    weight[:, ::2] = 0
    grid = grid_of(quantize_weight(weight, 3, scheme="affine").levels, 4)
    values = grid.at(chosen(rule, weight, moments, grid))
    assert (values[:, ::2] == 0).all()


def test_the_target_gives_the_same_outputs_from_changed_inputs() -> None:
    weight, _ = problem(3, 5)
    draws = torch.Generator().manual_seed(1)
    before = torch.randn(400, 5, generator=draws).double()
    mixing = torch.eye(5).double() + 0.1 * torch.randn(5, 5, generator=draws).double()
    after = before @ mixing.T
    moments, cross = after.T @ after / 400, (before - after).T @ after / 400
    target = target_weights(weight.double()[None], moments[None], cross[None])[0]
    torch.testing.assert_close(after @ target.T, before @ weight.double().T)


@pytest.mark.parametrize("rule", RULES)
def test_groups_are_rounded_each_on_its_own(rule: Rule) -> None:
    weight, moments = problem(4, 8)
    second = torch.stack([moments, moments.flip(0, 1)])
    grid = grid_of(quantize_weight(weight, 3).levels, 4)
    both = rule(weight.double().view(2, 2, 8), second, grid, (weight == 0).view(2, 2, 8))
    for group, rows in enumerate((slice(0, 2), slice(2, 4))):
        part = grid_of(quantize_weight(weight[rows], 3).levels, 2)
        alone = chosen(rule, weight[rows], second[group], part)
        assert float((both[rows] == alone).double().mean()) > (
            0.99 if rule is compensated else 0.8
        )


def test_inputs_that_are_always_zero_do_not_matter() -> None:
    assert torch.isfinite(torch.linalg.inv(damped(torch.zeros(3, 3).double(), 0.01))).all()
