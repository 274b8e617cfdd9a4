"""Promises of the verdict, over thousands of random histories."""

import random
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.constraints import Constraint, total_violation
from orchestrator.contracts import Decision
from orchestrator.objectives import Direction, Objective
from orchestrator.scheduling.moasha import MOASHA

OBJECTIVES = (
    Objective("accuracy", Direction.MAXIMIZE),
    Objective("memory_bytes", Direction.MINIMIZE),
    Objective("robust_accuracy", Direction.MAXIMIZE),
)
LIMITS = (Constraint("memory_bytes", "<=", 6), Constraint("macs", "<=", 2))
many = settings(max_examples=1_000)
some = settings(max_examples=300)
reductions = st.integers(2, 4)


@dataclass(frozen=True)
class History:
    """Values at one milestone; the trial that has just reported is one of the peers."""

    trial: int
    peers: Mapping[int, Mapping[str, float]]
    objectives: tuple[Objective, ...]

    @property
    def row(self) -> Mapping[str, float]:
        return self.peers[self.trial]

    def verdict(self, reduction: int, *limits: Constraint) -> Decision:
        scheduler = MOASHA(self.objectives, limits, (1,), reduction)
        return scheduler.decide(self.trial, 1, self.peers)


def _history(seed: int) -> History:
    """Few distinct numbers, so that ties and duplicates are in most; integers scale exactly."""
    draw = random.Random(seed)
    objectives = OBJECTIVES[: draw.randint(1, 3)]
    names = ["accuracy", "memory_bytes", "robust_accuracy", "macs"]
    top = draw.choice([2, 9, 50])
    numbers = draw.sample(range(100), draw.randint(1, 14))
    peers = {n: {name: float(draw.randint(0, top)) for name in names} for n in numbers}
    return History(numbers[0], peers, objectives)


# By a seed and not piece by piece, which takes Hypothesis ten times as long as the verdict.
histories = st.integers(0, 2**32).map(_history)


def dominates(a, b, objectives) -> bool:
    pairs = [(each.loss(a[each.name]), each.loss(b[each.name])) for each in objectives]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def exact_violation(row) -> Fraction:
    """Without the rounding that makes equal sums differ; each limit is an upper one."""
    shares = (Fraction(row[each.name]) / Fraction(each.bound) - 1 for each in LIMITS)
    return sum((max(share, Fraction()) for share in shares), Fraction())


@pytest.mark.slow
@many
@given(histories, reductions)
def test_a_trial_that_dominates_all_peers_is_never_stopped(history, reduction) -> None:
    rows = history.peers.values()
    best = {each: min(each.loss(row[each.name]) for row in rows) for each in history.objectives}
    entrant = {each.name: each.loss(loss - 1) for each, loss in best.items()}
    assert all(dominates(entrant, row, history.objectives) for row in rows)
    found = replace(history, trial=100, peers={**history.peers, 100: entrant})
    assert found.verdict(reduction) is Decision.CONTINUE


@pytest.mark.slow
@many
@given(histories, reductions)
def test_a_dominated_trial_goes_on_within_the_quota_alone_and_others_always(
    history, reduction
) -> None:
    rows, objectives = history.peers.values(), history.objectives
    above = sum(dominates(row, history.row, objectives) for row in rows)
    verdict = history.verdict(reduction)
    if not above or len(rows) < reduction:
        assert verdict is Decision.CONTINUE
    elif above * reduction >= len(rows):
        assert verdict is Decision.STOP


@pytest.mark.slow
@many
@given(histories, reductions, st.integers(0, 100))
def test_neither_order_nor_numbers_of_the_peers_count(history, reduction, seed) -> None:
    order = list(history.peers)
    random.Random(seed).shuffle(order)
    renamed = {1000 - number: history.peers[number] for number in order}
    other = replace(history, trial=1000 - history.trial, peers=renamed)
    assert other.verdict(reduction, *LIMITS) is history.verdict(reduction, *LIMITS)


@pytest.mark.slow
@many
@given(histories, reductions, st.integers(0, 100))
def test_scaling_shifting_and_turning_an_objective_changes_nothing(
    history, reduction, seed
) -> None:
    draw, turned = random.Random(seed), []
    moved = {number: {} for number in history.peers}
    for each in history.objectives:
        flip, scale, shift = draw.choice([-1, 1]), draw.choice([1, 3, 10**6]), draw.randint(-9, 9)
        other = next(way for way in Direction if way is not each.direction)
        turned.append(Objective(each.name, other if flip < 0 else each.direction))
        for number, row in history.peers.items():
            moved[number][each.name] = flip * scale * row[each.name] + shift
    other = History(history.trial, moved, tuple(turned))
    assert other.verdict(reduction) is history.verdict(reduction)


@pytest.mark.slow
@many
@given(histories, reductions)
def test_a_trial_that_violates_more_than_a_full_quota_is_stopped(history, reduction) -> None:
    violations = {n: exact_violation(row) for n, row in history.peers.items()}
    mine, count = violations[history.trial], len(violations)
    verdict = history.verdict(reduction, *LIMITS)
    if sum(other < mine for other in violations.values()) * reduction >= count >= reduction:
        assert verdict is Decision.STOP


def test_equal_violations_are_equal_however_their_sums_are_rounded() -> None:
    # As doubles, 20/6 + 4/2 is more than 2/6 + 10/2.
    mine = {"accuracy": 9.0, "memory_bytes": 26.0, "macs": 6.0}
    other = {"accuracy": 1.0, "memory_bytes": 8.0, "macs": 12.0}
    assert total_violation(LIMITS, mine) > total_violation(LIMITS, other)
    assert exact_violation(mine) == exact_violation(other)
    found = History(0, {0: mine, 1: other}, OBJECTIVES[:1])
    assert found.verdict(2, *LIMITS) is Decision.CONTINUE


@pytest.mark.slow
@some
@given(st.lists(st.integers(0, 9).map(float), min_size=2, max_size=15))
def test_with_one_objective_and_two_it_is_the_median_rule(values) -> None:
    peers = {number: {"accuracy": value} for number, value in enumerate(values)}
    verdict = History(0, peers, OBJECTIVES[:1]).verdict(2)
    assert (verdict is Decision.STOP) == (values[0] < statistics.median(values))


@pytest.mark.slow
@some
@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=15, unique=True), reductions)
def test_with_one_objective_exactly_a_quota_goes_on(values, reduction) -> None:
    peers = {number: {"accuracy": float(value)} for number, value in enumerate(values)}
    verdict = History(0, peers, OBJECTIVES[:1]).verdict(reduction)
    place = sorted(values, reverse=True).index(values[0])
    quota = len(values) if len(values) < reduction else -(-len(values) // reduction)
    assert (verdict is Decision.CONTINUE) == (place < quota)
