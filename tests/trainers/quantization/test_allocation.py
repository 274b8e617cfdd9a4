"""Which layer gets how many bits: the best of all assignments within a budget."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.quantization.allocation import AllocationConfig, Allocator, Option

OPTIONS = st.dictionaries(
    st.integers(2, 8),
    st.builds(Option, st.integers(0, 60), st.floats(0, 10, allow_nan=False)),
    min_size=1,
    max_size=4,
)
LAYERS = st.lists(OPTIONS, min_size=1, max_size=4)


def within(layers: list[dict[int, Option]], budget: int) -> list[tuple[int, ...]]:
    every = product(*layers)
    return [
        bits
        for bits in every
        if sum(options[b].cost for options, b in zip(layers, bits, strict=True)) <= budget
    ]


@given(LAYERS, st.integers(0, 250))
def test_no_other_assignment_within_the_budget_loses_less(
    layers: list[dict[int, Option]], budget: int
) -> None:
    allocator = Allocator(layers)
    possible = within(layers, budget)
    if not possible:
        with pytest.raises(ValueError, match="the budget is"):
            allocator.best(budget)
        return
    found = allocator.best(budget)
    assert found in possible
    least = min(allocator.loss(bits) for bits in possible)
    assert allocator.loss(found) == pytest.approx(least)


@given(LAYERS)
def test_a_larger_budget_never_loses_more(layers: list[dict[int, Option]]) -> None:
    allocator = Allocator(layers)
    budgets = range(allocator.least, allocator.least + 250, 10)
    losses = [allocator.loss(allocator.best(budget)) for budget in budgets]
    assert losses == sorted(losses, reverse=True)


def test_costs_beyond_the_steps_never_break_the_budget() -> None:
    """Of millions of weights, with no common divisor, costs are rounded up."""
    counts = [1_000_003, 2_000_029, 3_000_017]
    layers = [{b: Option(b * count, count / 4**b) for b in range(2, 9)} for count in counts]
    allocator = Allocator(layers)
    for mean in (2.0, 3.3, 5.7, 8.0):
        budget = mean * sum(counts)
        found = allocator.best(budget)
        assert allocator.cost(found) <= budget
        best = min(map(allocator.loss, within(layers, int(budget))))
        assert allocator.loss(found) == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"bits": 1.5}, "from 2 to 8"),
        ({"bits": 3.0, "bytes": 100}, "one budget"),
        ({"bytes": 0}, "at least one byte"),
        ({"bits": 3.0, "images": 0}, "from 1 to"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(given_: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        AllocationConfig(**given_)  # type: ignore[arg-type]
