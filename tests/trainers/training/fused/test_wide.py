"""The gradients that are written out are those of each head, up to what rounding may do."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from tests.trainers.rounding import head_in_float64
from trainers.networks.heads import build_head
from trainers.training.fused.wide import WideHeads

WIDTHS = st.lists(st.integers(1, 40), max_size=3).map(tuple)


@pytest.mark.slow
@given(
    widths=st.lists(WIDTHS, min_size=1, max_size=5),
    features=st.sampled_from([6, 576]),
    count=st.integers(1, 70),
    dropout=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 3),
)
def test_logits_and_gradients_are_those_of_each_head(
    widths: list[tuple[int, ...]], features: int, count: int, dropout: float, seed: int
) -> None:
    heads = [
        build_head(features, each, 4, dropout, seed=number) for number, each in enumerate(widths)
    ]
    drawn = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, features, generator=drawn)
    weights = torch.randn(len(heads), 4, count, generator=drawn)
    wide = WideHeads(heads)
    generators = [torch.Generator().manual_seed(seed) if dropout else None for _ in heads]
    logits = wide.logits(inputs, generators)
    wide.backward(weights)
    for index, head in enumerate(heads):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            alone = head(inputs)
            torch.manual_seed(seed)
            ones = [torch.ones(count, width) for width in widths[index]]
            noise = [functional.dropout(each, dropout).double() for each in ones]
        expected, gradients = head_in_float64(head, inputs, weights[index].t(), noise)
        assert expected.holds(logits[index].t())
        assert expected.holds(alone)
        autograd = torch.autograd.grad((alone * weights[index].t()).sum(), [*head.parameters()])
        for bounded, ours, theirs in zip(gradients, wide.gradients[index], autograd, strict=True):
            assert bounded.holds(ours)
            assert bounded.holds(theirs)
        assert all(map(torch.equal, wide.parameters[index], head.parameters()))


def test_without_generators_nothing_is_dropped() -> None:
    head = build_head(6, (5, 4), 3, 0.9)
    inputs = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    found = WideHeads([head]).logits(inputs)[0].t()
    assert head_in_float64(head, inputs, found)[0].holds(found)


def test_a_head_whose_numbers_overflow_does_nothing_to_its_neighbours() -> None:
    heads = [build_head(6, (5,), 3, seed=number) for number in range(3)]
    with torch.no_grad():
        heads[1][0].weight[0] = torch.nan
    inputs = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    wide = WideHeads(heads)
    logits = wide.logits(inputs)
    wide.backward(functional.one_hot(torch.arange(21).reshape(3, 7) % 3, 3).mT.float())
    assert logits[1].isnan().any()
    for index in (0, 2):
        found = logits[index].t()
        assert head_in_float64(heads[index], inputs, found)[0].holds(found)
        assert all(bool(each.isfinite().all()) for each in wide.gradients[index])


def test_write_back_gives_each_head_its_own_weights() -> None:
    heads = [build_head(6, widths, 3, seed=3) for widths in ((5, 2), (4,), (), (7,))]
    wide = WideHeads(heads)
    for number, parameters in enumerate(wide.parameters):
        for parameter in parameters:
            parameter.fill_(number)
    wide.write_back()
    for number, head in enumerate(heads):
        assert all(bool((each == number).all()) for each in head.parameters())
