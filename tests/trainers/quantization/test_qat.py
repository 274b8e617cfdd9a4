"""Training sees, bit for bit, what will be packed; its gradients are the literature's."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from tests.trainers.rounding import UNIT, gamma
from trainers.quantization import QuantizationConfig
from trainers.quantization.plan import quantize_network
from trainers.quantization.qat import LSQ, AbsMax, QuantizedTraining
from trainers.quantization.quantized import dequantize, top_code
from trainers.quantization.weights import quantize_weight

BITS = st.integers(2, 8)
SCOPES = st.sampled_from(["channel", "layer"])
MODES = pytest.mark.parametrize("qat", ["absmax", "lsq"])


@st.composite
def weights(draw: st.DrawFn, *, smallest: int = 0) -> Tensor:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=4, min_side=smallest, max_side=5))
    limit = float(np.float32(draw(st.sampled_from([1e-30, 1e-3, 1.0, 1e30]))))
    elements = st.floats(-limit, limit, width=32)
    return torch.from_numpy(draw(hnp.arrays(np.float32, shape, elements=elements)))


def large(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) / 20


def assert_same_bits(first: Tensor, second: Tensor) -> None:
    """Also the sign of a zero."""
    assert first.dtype == second.dtype == torch.float32
    assert first.shape == second.shape
    assert torch.equal(first.contiguous().view(torch.int32), second.view(torch.int32))


def packed(weight: Tensor, bits: int, scope: str, step: Tensor | None = None) -> Tensor:
    given = "absmax" if step is None else step
    return dequantize(quantize_weight(weight, bits, scope=scope, step=given))


@pytest.mark.slow
@given(weights(), BITS, SCOPES)
def test_abs_max_training_sees_the_packed_weight(weight: Tensor, bits: int, scope: str) -> None:
    rule = AbsMax(bits, scope)
    assert_same_bits(rule(weight), packed(weight, bits, scope))
    assert_same_bits(rule(weight), packed(weight, bits, scope, rule.step(weight)))


@pytest.mark.slow
@given(weights(smallest=1), BITS, SCOPES, st.floats(-4, 4, width=32))
def test_learned_steps_see_the_packed_weight(
    weight: Tensor, bits: int, scope: str, moved: float
) -> None:
    rule = LSQ(weight, bits, scope)
    with torch.no_grad():
        rule.spread += moved * rule.spread
    assert_same_bits(rule(weight).detach(), packed(weight, bits, scope, rule.step(weight)))


@pytest.mark.slow
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("scope", ["channel", "layer"])
@pytest.mark.parametrize("shape", [(96, 40, 5, 5), (3, 70_000), (70_000, 3), (300, 1000)])
def test_pieces_of_a_large_weight_are_the_packed_weight(
    bits: int, scope: str, shape: tuple[int, ...]
) -> None:
    """More weights than are worked on at once, with channels longer and shorter than that."""
    weight = large(bits, *shape)
    assert_same_bits(AbsMax(bits, scope)(weight), packed(weight, bits, scope))
    rule = LSQ(weight, bits, scope)
    assert_same_bits(rule(weight).detach(), packed(weight, bits, scope, rule.step(weight)))


@pytest.mark.parametrize("bits", range(2, 9))
def test_abs_max_is_the_fused_operator_of_torch(bits: int) -> None:
    weight, top = large(bits, 64, 32, 3, 3).requires_grad_(), top_code(bits)
    factor = large(9, 64, 32, 3, 3)
    scale = AbsMax(bits, "channel").step(weight).reshape(-1)
    zero = torch.zeros(64, dtype=torch.int32)
    fused = torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -top, top)
    (expected,) = torch.autograd.grad((fused * factor).sum(), weight)
    ours = AbsMax(bits, "channel")(weight)
    (gradient,) = torch.autograd.grad((ours * factor).sum(), weight)
    assert torch.equal(ours, fused)
    assert torch.equal(gradient, expected)


def by_the_paper(
    weight: Tensor, step: Tensor, top: int, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    """Equations 3 and 5 of Esser et al. 2020, in float64 and without the gradient's scale."""
    v, upstream = weight.double() / step.double(), gradient.double()
    inside = (v > -top) & (v < top)
    of_step = torch.where(inside, v.round() - v, v.sign() * top)
    return upstream * inside, (upstream * of_step).sum_to_size(step.shape)


def on_an_edge(weight: Tensor, step: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Where float32 may round to the code beside, and where it may clip or not."""
    v = weight.double() / step.double()
    between_codes = ((v - v.floor()) - 0.5).abs() <= 4 * UNIT * v.abs()
    return between_codes, (v.abs() - top).abs() <= 4 * UNIT * top


def rounding_of_step(weight: Tensor, step: Tensor, top: int, gradient: Tensor) -> Tensor:
    """How far float32 may be from `by_the_paper`.

    A weight on an edge may count otherwise. Each term is a code times a step less a weight, and
    torch adds them up in cascades, in which no term meets a hundred others.
    """
    v, upstream = weight.double() / step.double(), gradient.double().abs()
    clipped = v.clamp(-top, top)
    terms = torch.where(v.abs() < top, (v.round() - v).abs(), top)
    error = 4 * UNIT * (clipped.round().abs() + clipped.abs()) + gamma(100) * terms
    between_codes, at_limit = on_an_edge(weight, step, top)
    return (upstream * (error + between_codes + top * at_limit)).sum_to_size(step.shape)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("scope", ["channel", "layer"])
@pytest.mark.parametrize("shape", [(6, 5, 3, 3), (90, 1000), (2, 70_000)])
def test_the_gradients_of_learned_steps_are_those_of_the_paper(
    bits: int, scope: str, shape: tuple[int, ...]
) -> None:
    weight, factor = large(bits, *shape).requires_grad_(), large(77, *shape)
    rule = LSQ(weight, bits, scope)
    with torch.no_grad():
        rule.spread *= 0.7  # clips also where the first steps would not
        rule.spread[0] *= -1
    (rule(weight) * factor).sum().backward()
    given = (weight.detach(), rule.step(weight), top_code(bits), factor)
    of_weight, of_step = by_the_paper(*given)
    in_group = weight.numel() / rule.spread.numel()
    sign = rule.spread.detach().sign()
    assert weight.grad is not None
    assert rule.spread.grad is not None
    _, at_limit = on_an_edge(*given[:3])
    assert torch.equal(weight.grad.double()[~at_limit], of_weight[~at_limit])
    scale = sign / math.sqrt(in_group)
    apart = (rule.spread.grad.double() - scale * of_step).abs()
    assert bool((apart <= scale.abs() * rounding_of_step(*given)).all())


@pytest.mark.slow
@given(weights(smallest=1), BITS, SCOPES)
def test_the_first_step_is_that_of_the_paper(weight: Tensor, bits: int, scope: str) -> None:
    groups = weight.double().reshape(len(weight) if scope == "channel" else 1, -1)
    expected = 2 * groups.abs().mean(1) / math.sqrt(top_code(bits))
    step = LSQ(weight, bits, scope).step(weight).double().reshape(-1)
    smallest = 1e-8 / math.sqrt(top_code(bits))
    # Of a sum of positive numbers, and of three operations on it.
    rounding = gamma(weight.numel() + 3)
    torch.testing.assert_close(step, expected.clamp(min=smallest), rtol=rounding, atol=0)


def test_one_step_of_sgd_moves_the_step_as_the_paper_says() -> None:
    weight = large(1, 4, 30)
    rule, top, rate = LSQ(weight, 4, "channel"), top_code(4), 0.1
    before = rule.step(weight)
    optimizer = torch.optim.SGD([rule.spread], lr=rate)
    rule(weight).square().sum().backward()
    optimizer.step()
    _, of_step = by_the_paper(weight, before, top, 2 * packed(weight, 4, "channel", before))
    moved = before.double() - rate * of_step / math.sqrt(30 * top)
    torch.testing.assert_close(rule.step(weight).double(), moved, rtol=1e-5, atol=1e-8)


@pytest.mark.slow
@given(hnp.arrays(np.float32, (3, 1), elements=st.floats(-(2.0**99), 2.0**99, width=32)), BITS)
def test_every_finite_spread_can_be_packed(spread: np.ndarray, bits: int) -> None:
    weight = large(0, 3, 8)
    rule = LSQ(weight, bits, "channel")
    with torch.no_grad():
        rule.spread.copy_(torch.from_numpy(spread))
    assert_same_bits(rule(weight).detach(), packed(weight, bits, "channel", rule.step(weight)))


@MODES
def test_what_is_not_finite_is_not_hidden(qat: str) -> None:
    """The loss has to show it, so that training ends as diverged."""
    weight = large(0, 3, 8)
    rule = AbsMax(4, "channel") if qat == "absmax" else LSQ(weight, 4, "channel")
    for bad in (math.nan, math.inf):
        spoiled = weight.clone()
        spoiled[1, 2] = bad
        shown = rule(spoiled).isnan() | (spoiled.isinf() & (qat == "lsq"))
        assert bool(shown[1, 2])
    if isinstance(rule, LSQ):
        with torch.no_grad():
            rule.spread[1] = math.nan
        assert bool(rule(weight)[1].isnan().all())


@MODES
def test_two_bits_are_three_levels(qat: str) -> None:
    weight = large(0, 4, 500)
    rule = AbsMax(2, "channel") if qat == "absmax" else LSQ(weight, 2, "channel")
    levels = {tuple(row.unique().tolist()) for row in rule(weight).detach() / rule.step(weight)}
    assert levels == {(-1.0, 0.0, 1.0)}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, bias=False), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(6 * 16, 5)).eval()


@MODES
@pytest.mark.parametrize("scope", ["channel", "layer"])
@pytest.mark.parametrize("frozen", [0, 3, 4])
def test_a_network_gets_its_own_parameters_back(qat: str, scope: str, frozen: int) -> None:
    config = QuantizationConfig(bits=3, fc_bits=5, scope=scope)
    net, plain = network(), network()
    net[:frozen].requires_grad_(False)
    originals = list(net.parameters())
    training = QuantizedTraining(net, config, qat)
    trained = sum(1 for index in (0, 2, 4) if index >= frozen)
    assert len(training.parameters) == (trained if qat == "lsq" else 0)
    images = large(3, 2, 1, 8, 8)
    answers = net(images).detach()
    steps = training.remove()
    assert list(net.state_dict()) == list(plain.state_dict())
    assert all(a is b for a, b in zip(net.parameters(), originals, strict=True))
    assert not any(parametrize.is_parametrized(module) for module in net.modules())
    assert steps.keys() == {"0.weight", "2.weight", "4.weight"}
    quantized = quantize_network(net, config, steps=steps)
    net.load_state_dict({n: dequantize(q) for n, q in quantized.items()}, strict=False)
    assert_same_bits(net(images).detach(), answers)
    for name, before in plain.named_parameters():
        if int(name[0]) < frozen and name in steps:
            assert_same_bits(
                net.get_parameter(name).detach(), packed(before.detach(), config.bits, scope)
            )
    assert training.remove() == steps


def test_without_it_a_network_is_left_alone() -> None:
    net, plain = network(), network()
    training = QuantizedTraining(net, QuantizationConfig(bits=2, fc_bits=2), "none")
    assert training.parameters == []
    assert training.remove() == {}
    assert all(
        torch.equal(a, b) for a, b in zip(net.parameters(), plain.parameters(), strict=True)
    )


@MODES
def test_weights_that_stay_in_float_are_left_alone(qat: str) -> None:
    net = network()
    training = QuantizedTraining(net, QuantizationConfig(fc_bits=4, layer_bits={2: 3}), qat)
    parametrized = [parametrize.is_parametrized(module) for module in net]
    assert parametrized == [False, False, True, False, True]
    assert training.remove().keys() == {"2.weight", "4.weight"}


@MODES
def test_a_dead_channel_comes_to_life(qat: str) -> None:
    """A channel that is zero at the start has no step of its own."""
    layer = nn.Linear(6, 2)
    with torch.no_grad():
        layer.weight[0] = 0
    training = QuantizedTraining(layer, QuantizationConfig(fc_bits=4), qat)
    optimizer = torch.optim.Adam([*layer.parameters()], lr=0.02)
    inputs, targets = large(4, 40, 6) * 20, torch.ones(40, 2)
    for _ in range(60):
        optimizer.zero_grad()
        functional.mse_loss(layer(inputs.abs()), targets).backward()
        optimizer.step()
    assert bool((layer.weight[0] != 0).any())
    assert bool((training.remove()["weight"] > 0).all())
