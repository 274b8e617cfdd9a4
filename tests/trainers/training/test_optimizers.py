"""Optimizers against torch's own classes, and what a worker need not import."""

import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from trainers.training.optimizers import SGD, AdamW, Group, Optimizer, joined

DECAYS = (0.1, 0.0)
RATES = (0.1, 0.03, 0.2, 0.0, 0.1)
KINDS = {"adamw": AdamW, "sgd": SGD}


def parameters() -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Two groups."""
    drawn = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (5,)], [(2, 3, 3, 3)]
    first, second = ([nn.Parameter(torch.randn(s, generator=drawn)) for s in of] for of in shapes)
    return first, second


def give_gradients(of: Sequence[nn.Parameter], step: int) -> None:
    drawn = torch.Generator().manual_seed(step)
    for parameter in of:
        parameter.grad = torch.randn(parameter.shape, generator=drawn)


def made(kind: str, groups: Sequence[list[nn.Parameter]]) -> Optimizer:
    return KINDS[kind]([Group(of, decay) for of, decay in zip(groups, DECAYS, strict=True)])


def torchs(kind: str, groups: Sequence[list[nn.Parameter]]) -> torch.optim.Optimizer:
    given = [{"params": of, "weight_decay": d} for of, d in zip(groups, DECAYS, strict=True)]
    if kind == "sgd":
        return torch.optim.SGD(given, lr=1.0, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(given, lr=1.0, fused=True)


def flat(groups: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [tensor for of in groups for tensor in of]


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_torchs_class_to_the_last_bit(kind: str) -> None:
    ours, theirs = parameters(), parameters()
    optimizer, reference = made(kind, ours), torchs(kind, theirs)
    for number, rate in enumerate(RATES):
        for groups in (ours, theirs):
            give_gradients(flat(groups), number)
        optimizer.step(rate)
        for group in reference.param_groups:
            group["lr"] = rate
        reference.step()
        assert all(map(torch.equal, flat(ours), flat(theirs)))
    assert not torch.equal(ours[0][0], parameters()[0][0])


@pytest.mark.parametrize("kind", KINDS)
def test_how_a_kernel_lies_in_memory_decides_nothing(kind: str) -> None:
    drawn = torch.Generator().manual_seed(0)
    start, slope = (torch.randn(2, 3, 3, 3, generator=drawn) for _ in range(2))
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        kernel = nn.Parameter(start.clone(memory_format=layout))
        other = nn.Parameter(torch.zeros(1))
        optimizer = made(kind, [[kernel], [other]])
        for rate in RATES:
            optimizer.zero_grad()
            # The gradient comes as `slope` lies.
            ((kernel * slope).sum() + other.sum()).backward()
            optimizer.step(rate)
        found.append(kernel.detach())
    # Which weights are computed in vectors, and which one by one, may decide a last bit.
    assert torch.allclose(*found, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_another_optimizer_goes_on_with_what_one_remembers(kind: str) -> None:
    ours, other = parameters(), parameters()
    optimizer, taken_up = made(kind, ours), made(kind, other)
    for number, rate in enumerate(RATES):
        if number == 2:
            for mine, its in zip(flat(ours), flat(other), strict=True):
                its.data.copy_(mine.data)
            kept = {name: tensor.clone() for name, tensor in optimizer.tensors().items()}
            assert taken_up.load(kept)
        give_gradients(flat(ours), number)
        optimizer.step(rate)
        if number >= 2:
            give_gradients(flat(other), number)
            taken_up.step(rate)
    assert all(map(torch.equal, flat(ours), flat(other)))


@pytest.mark.parametrize("kind", KINDS)
def test_updates_that_are_joined_do_what_each_does(kind: str) -> None:
    alone, together = ([made(kind, parameters()) for _ in range(3)] for _ in range(2))
    update = joined([each.update(0, each.groups[0].parameters) for each in together])
    for number, rate in enumerate(RATES):
        gradients = []
        for place, optimizer in enumerate(alone):
            give_gradients(
                flat([group.parameters for group in optimizer.groups]), 9 * number + place
            )
            optimizer.step(rate)
            gradients += [each.grad for each in optimizer.groups[0].parameters]
        with torch.no_grad():
            update.step([each for each in gradients if each is not None], rate)
    for one, other in zip(alone, together, strict=True):
        assert all(map(torch.equal, one.groups[0].parameters, other.groups[0].parameters))
        remembered = zip(one.tensors().items(), other.tensors().items(), strict=True)
        # Of the second group nothing was joined.
        second = ("2.", "group1.")
        assert all(torch.equal(a, b) for (n, a), (_, b) in remembered if not n.startswith(second))


def test_what_another_kind_remembers_is_refused_and_nothing_changes() -> None:
    ours, other = parameters(), parameters()
    optimizer, wrong = made("adamw", ours), made("sgd", other)
    for each, groups in ((optimizer, ours), (wrong, other)):
        give_gradients(flat(groups), 0)
        each.step(0.1)
    before = {name: tensor.clone() for name, tensor in optimizer.tensors().items()}
    assert not optimizer.load(wrong.tensors())
    after = optimizer.tensors()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", KINDS)
def test_before_the_first_step_there_is_nothing_to_remember(kind: str) -> None:
    optimizer = made(kind, parameters())
    assert not optimizer.tensors()
    assert optimizer.load({})


def test_a_step_without_a_gradient_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no gradient"):
        made("sgd", parameters()).step(0.1)


def test_gradients_are_forgotten() -> None:
    groups = parameters()
    optimizer = made("sgd", groups)
    give_gradients(flat(groups), 0)
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in flat(groups))


@pytest.mark.slow
def test_training_and_attacking_do_not_import_the_compiler() -> None:
    """It takes seconds of each worker's start."""
    code = (
        "import sys, tempfile; from pathlib import Path\n"
        "from trainers.config import TrialConfig\n"
        "from trainers.data import DataConfig, load_data\n"
        "from trainers.evaluators.config import AttackConfig\n"
        "from trainers.trial.run import TrialRun\n"
        "attack = AttackConfig(attack='pgd', epsilon=0.03, steps=1, samples=4)\n"
        "config = TrialConfig(backbone='digitnet', weights='bundled', epochs=1, bits=4,\n"
        "                     attacks={'robust_accuracy': attack})\n"
        "data = load_data(DataConfig(name='digits', limit=200))\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    run = TrialRun(config, data, Path(folder))\n"
        "    run.advance(to_epoch=1, seconds=0)\n"
        "    run.measure()\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "False"
