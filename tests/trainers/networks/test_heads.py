import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from trainers.networks.heads import build_head, head_parameters

WIDTHS = st.lists(st.integers(1, 40), max_size=3)


@given(st.integers(1, 50), WIDTHS, st.integers(1, 12))
def test_the_closed_form_counts_what_is_built(n: int, widths: list[int], classes: int) -> None:
    head = build_head(n, widths, classes, 0.2)
    assert head_parameters(n, widths, classes) == sum(p.numel() for p in head.parameters())
    assert head(torch.zeros(2, n)).shape == (2, classes)


def test_the_full_head_of_vgg_has_the_published_size() -> None:
    # torchvision's VGG-16 has 138,357,544 parameters, 14,714,688 of them in convolutions.
    assert head_parameters(25088, (4096, 4096), 1000) == 138_357_544 - 14_714_688


def test_layers_stand_in_their_order() -> None:
    kinds = [type(layer) for layer in build_head(8, (4, 2), 3, 0.5)]
    hidden = [nn.ReLU, nn.Dropout, nn.Linear]
    assert kinds == [nn.Linear, *hidden, *hidden]
    assert [type(layer) for layer in build_head(8, (), 3, 0.5)] == [nn.Linear]
    assert nn.Dropout not in [type(layer) for layer in build_head(8, (4,), 3)]


def test_weights_follow_from_the_seed_and_from_nothing_else() -> None:
    first = build_head(8, (4,), 3, seed=1)
    torch.rand(17)
    state = torch.random.get_rng_state()
    second = build_head(8, (4,), 3, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(first[0].weight, build_head(8, (4,), 3, seed=2)[0].weight)


def test_equal_layers_do_not_start_equal() -> None:
    head = build_head(6, (6, 6), 6)
    assert not torch.equal(head[0].weight, head[2].weight)


def test_on_the_meta_device_a_huge_head_takes_no_memory() -> None:
    with torch.device("meta"):
        head = build_head(10**6, (10**6, 10**6), 10)
    assert {parameter.device.type for parameter in head.parameters()} == {"meta"}


@pytest.mark.parametrize("widths", [(8, 8, 8, 8), (0,), (4, -1)])
def test_too_many_or_empty_layers_are_refused(widths: tuple[int, ...]) -> None:
    for build in (build_head, head_parameters):
        with pytest.raises(ValueError, match=r"at most 3|at least one"):
            build(8, widths, 3)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_dropout_outside_its_range_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match="dropout"):
        build_head(8, (4,), 3, dropout)
