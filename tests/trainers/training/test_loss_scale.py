"""Losses are scaled for float16 as torch's GradScaler does."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tests.trainers.trainings import finished
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.recipes.config import RecipeConfig
from trainers.training.finetune import FineTuning
from trainers.training.fused import fuse_key
from trainers.training.loss_scale import FIRST, LossScale
from trainers.training.optimizers import SGD, AdamW, Group, Optimizer

CPU = torch.device("cpu")
# Losses of steps; in two of them gradients overflow.
LOSSES = (1.0, 2.0, float("inf"), 0.5, float("nan"), 1.5)


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_steps_are_those_of_torchs_scaler(kind: str) -> None:
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 9)) for _ in range(2))
    groups = [Group([ours], 0.1)]
    optimizer: Optimizer = AdamW(groups) if kind == "adamw" else SGD(groups)
    optimizer.scaling = LossScale(CPU)
    given = {"lr": 0.1, "weight_decay": 0.1}
    plain: torch.optim.Optimizer = (
        torch.optim.AdamW([theirs], **given)
        if kind == "adamw"
        else torch.optim.SGD([theirs], momentum=0.9, nesterov=True, **given)
    )
    scaler = torch.amp.GradScaler("cpu", init_scale=FIRST)
    for loss in LOSSES:
        optimizer.zero_grad()
        optimizer.scaling.scaled((ours * loss).square().sum()).backward()
        optimizer.scaling.unscale(optimizer.parameters)
        optimizer.step(0.1)
        optimizer.scaling.update()
        plain.zero_grad()
        scaler.scale((theirs * loss).square().sum()).backward()
        scaler.step(plain)
        scaler.update()
        assert optimizer.scaling.factor == scaler.get_scale()
    torch.testing.assert_close(ours, theirs)


def test_a_step_that_overflows_changes_nothing() -> None:
    parameter = nn.Parameter(torch.ones(3))
    optimizer = AdamW([Group([parameter], 0.1)])
    optimizer.scaling = LossScale(CPU)
    parameter.grad = torch.full((3,), torch.inf)
    optimizer.scaling.unscale([parameter])
    optimizer.step(0.1)
    assert parameter.tolist() == [1.0] * 3
    assert optimizer.tensors()["group0.step"] == 0
    assert parameter.grad.tolist() == [0.0] * 3


def test_the_factor_survives_in_a_checkpoint() -> None:
    parameter = nn.Parameter(torch.ones(3))
    first, second = (AdamW([Group([parameter], 0.1)]) for _ in range(2))
    first.scaling, second.scaling = LossScale(CPU), LossScale(CPU)
    parameter.grad = torch.full((3,), torch.inf)
    first.scaling.unscale([parameter])
    first.step(0.1)
    first.scaling.update()
    assert second.load(first.tensors())
    assert second.scaling.factor == first.scaling.factor == FIRST / 2
    second.scaling = None
    assert not second.load(first.tensors())


def test_a_head_in_float16_is_trained_alone(
    bands: ImageData, make_config: Callable[..., TrialConfig]
) -> None:
    config = make_config(recipe=RecipeConfig(precision="float16"))
    training = FineTuning(config, bands, device=CPU)
    assert fuse_key(training) is None
    assert finished(training).reports[-1].float_accuracy >= 0
