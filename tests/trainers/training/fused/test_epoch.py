"""Heads together are what they are alone."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainers.rounding import TRAINING_IN_FLOAT64
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.errors import DivergedError
from trainers.training.finetune import EpochReport, FineTuning
from trainers.training.fused import fusable, run_epoch
from trainers.trial.run import TrialRun

Config = Callable[..., TrialConfig]
CPU = torch.device("cpu")
# Few distinct values, so that ties between heads come up; 70 images end in a smaller batch.
HEADS = st.fixed_dictionaries(
    {
        "widths": st.lists(st.integers(1, 40), max_size=3).map(tuple),
        "learning_rate": st.sampled_from([1e-4, 1e-3, 1e-2]),
        "weight_decay": st.sampled_from([0.0, 1e-4, 0.3]),
        "dropout": st.sampled_from([0.0, 0.0, 0.2, 0.5]),
        "label_smoothing": st.sampled_from([0.0, 0.0, 0.1]),
        "optimizer": st.sampled_from(["adamw", "sgd"]),
        "seed": st.integers(0, 1),
        "epochs": st.integers(2, 4),
        "batch_size": st.sampled_from([32, 70]),
    }
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def base(bands: ImageData, make_config: Config) -> FineTuning:
    """The training whose backbone and features all others share."""
    return FineTuning(make_config(weights="bundled"), bands, device=CPU)


def begun(
    base: FineTuning,
    data: ImageData,
    *heads: dict[str, Any],
    dtype: torch.dtype = torch.float64,
) -> list[FineTuning]:
    """In float64 unless it is said otherwise: see `TRAINING_IN_FLOAT64`."""
    trainings = [
        FineTuning(replace(base.config, **head), data, device=CPU, like=base) for head in heads
    ]
    for training in trainings:
        training.network.head.to(dtype)
        train, val = training.train, training.val
        training.train = train.replaced(torch.as_tensor(train.inputs).to(dtype))
        training.val = val.replaced(torch.as_tensor(val.inputs).to(dtype))
    return trainings


def assert_same(first: FineTuning, second: FineTuning) -> None:
    """Up to rounding: the order of a product's terms is the library's affair."""
    ours, theirs = (training.network.head.state_dict() for training in (first, second))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TRAINING_IN_FLOAT64)
    measured = [
        [(report.train_loss, report.float_accuracy) for report in training.reports]
        for training in (first, second)
    ]
    assert len(measured[0]) == len(measured[1])
    for (loss, accuracy), (other_loss, other_accuracy) in zip(*measured, strict=True):
        assert loss == pytest.approx(other_loss, rel=TRAINING_IN_FLOAT64)
        # One image more or less may be a tie.
        assert accuracy == pytest.approx(other_accuracy, abs=1 / first.val.count + 1e-9)


@pytest.mark.slow
@settings(max_examples=25)
@given(heads=st.lists(HEADS, min_size=1, max_size=6))
def test_heads_together_are_what_they_are_alone(
    base: FineTuning, bands: ImageData, heads: list[dict[str, Any]]
) -> None:
    together, alone = begun(base, bands, *heads), begun(base, bands, *heads)
    for _ in range(2):
        reports = run_epoch(together)
        assert reports == [training.reports[-1] for training in together]
        for training in alone:
            training.run_epoch()
    for one, other in zip(together, alone, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_in_float32_the_losses_are_those_of_float64(
    base: FineTuning, bands: ImageData, optimizer: str
) -> None:
    """A weight whose gradient is next to zero goes anywhere, but the loss does not follow it.

    It changes by the gradient times the step, which is the gradient's rounding (at most 1e-5 in
    heads of this size) times the learning rate (1e-3): for less than 10,000 weights and six steps
    by less than 1e-3.
    """
    widths = [(8,), (16,), (5, 4), (12, 7, 9)]
    heads = [
        {"widths": each, "optimizer": optimizer, "learning_rate": 1e-3, "dropout": dropout}
        for each in widths
        for dropout in (0.0, 0.5)
    ]
    single, double = (
        begun(base, bands, *heads, dtype=dtype) for dtype in (torch.float32, torch.float64)
    )
    for _ in range(2):
        run_epoch(single)
        run_epoch(double)
    for one, other in zip(single, double, strict=True):
        assert one.network.head[0].weight.dtype == torch.float32
        losses = [[report.train_loss for report in each.reports] for each in (one, other)]
        assert losses[0] == pytest.approx(losses[1], rel=0, abs=1e-3)


def test_a_trial_whose_head_trains_alone_learns_the_same_to_the_last_bit(
    base: FineTuning, bands: ImageData, tmp_path: Path
) -> None:
    """With whom a head trains is a matter of timing, and must not decide what is found."""
    heads: list[dict[str, Any]] = [
        {"widths": (7, 5), "dropout": 0.2},
        {"widths": (48,), "optimizer": "sgd"},
        {"widths": (40, 64)},
    ]
    together = begun(base, bands, *heads, dtype=torch.float32)
    for _ in range(2):
        run_epoch(together)
    for number, training in enumerate(together):
        run = TrialRun(training.config, bands, tmp_path / str(number))
        reports = run.advance(to_epoch=2, seconds=60)
        ours, theirs = (each.network.head.state_dict() for each in (training, run.training))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        losses = [[report.train_loss for report in of] for of in (training.reports, reports)]
        assert losses[0] == losses[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"widths": (7, 5)},
        {"learning_rate": 1e-2},
        {"weight_decay": 0.3},
        {"dropout": 0.5},
        {"label_smoothing": 0.1},
        {"optimizer": "sgd"},
        {"epochs": 4},
    ],
    ids=lambda change: next(iter(change)),
)
def test_heads_that_differ_in_one_thing_alone_do_differ(
    base: FineTuning, bands: ImageData, change: dict[str, Any]
) -> None:
    heads = ({"widths": (8,), "epochs": 2}, {"widths": (8,), "epochs": 2} | change)
    together, alone = begun(base, bands, *heads), begun(base, bands, *heads)
    for _ in range(2):
        run_epoch(together)
        for training in alone:
            training.run_epoch()
    for one, other in zip(together, alone, strict=True):
        assert_same(one, other)


def test_each_head_ends_after_its_own_epochs(base: FineTuning, bands: ImageData) -> None:
    heads = [{"epochs": 1}, {"epochs": 3}, {"epochs": 2}]
    together, alone = begun(base, bands, *heads), begun(base, bands, *heads)
    while running := [training for training in together if not training.finished]:
        run_epoch(running)
    for one, other in zip(together, alone, strict=True):
        while not other.finished:
            other.run_epoch()
        assert_same(one, other)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_head_goes_on_alone_from_a_checkpoint_that_was_begun_together(
    base: FineTuning, bands: ImageData, tmp_path: Path, optimizer: str
) -> None:
    heads = [
        {"widths": (8,), "optimizer": optimizer, "dropout": 0.2},
        {"widths": (5, 4), "optimizer": optimizer},
    ]
    together, alone, resumed = (begun(base, bands, *heads) for _ in range(3))
    run_epoch(together)
    for training, other in zip(together, resumed, strict=True):
        training.save(tmp_path / "checkpoint")
        other.load(tmp_path / "checkpoint")
        other.run_epoch()
    for training in alone:
        training.run_epoch()
        training.run_epoch()
    for one, other in zip(resumed, alone, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_heads_begun_alone_go_on_together(
    base: FineTuning, bands: ImageData, tmp_path: Path, optimizer: str
) -> None:
    """One of them from a checkpoint, and at another epoch than the others."""
    heads = [{"widths": (8,), "optimizer": optimizer}] * 3
    together, alone = begun(base, bands, *heads), begun(base, bands, *heads)
    for _ in range(2):
        together[0].run_epoch()
    together[0].save(tmp_path / "checkpoint")
    (together[0],) = begun(base, bands, heads[0])
    together[0].load(tmp_path / "checkpoint")
    together[1].run_epoch()
    run_epoch(together)
    for epochs, one, other in zip((3, 2, 1), together, alone, strict=True):
        for _ in range(epochs):
            other.run_epoch()
        assert_same(one, other)


def test_a_head_that_leaves_does_nothing_to_the_others(base: FineTuning, bands: ImageData) -> None:
    heads = [{"widths": (width,)} for width in (4, 8, 12)]
    together, alone = begun(base, bands, *heads), begun(base, bands, *heads)
    run_epoch(together)
    run_epoch([together[0], together[2]])
    for index, epochs in enumerate((2, 1, 2)):
        for _ in range(epochs):
            alone[index].run_epoch()
        assert_same(together[index], alone[index])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_head_that_diverges_fails_alone(
    base: FineTuning, bands: ImageData, optimizer: str
) -> None:
    good = {"widths": (8,), "optimizer": optimizer}
    together, alone = begun(base, bands, good, good, good), begun(base, bands, good)
    with torch.no_grad():
        together[1].network.head[0].weight[0, 0] = math.inf
    first, failed, last = run_epoch(together)
    alone[0].run_epoch()
    assert isinstance(failed, DivergedError)
    assert failed.epoch == 1
    assert not math.isfinite(failed.loss)
    assert together[1].reports == []
    assert isinstance(first, EpochReport)
    assert isinstance(last, EpochReport)
    assert_same(together[0], alone[0])
    assert_same(together[2], alone[0])


def test_weights_that_the_last_step_made_infinite_are_a_divergence(
    base: FineTuning, bands: ImageData
) -> None:
    """No loss follows that would show it."""
    heads = [{"widths": (), "batch_size": 70}] * 2
    together = begun(base, bands, *heads, dtype=torch.float32)
    with torch.no_grad():
        # Its feature is zero wherever it is multiplied, and decay takes it over the edge.
        together[0].network.head[0].bias[0] = -torch.finfo(torch.float32).max
    together[0].optimizer.groups[0].weight_decay = -1e6
    failed, went_on = run_epoch(together)
    assert isinstance(failed, DivergedError)
    assert math.isnan(failed.loss)
    assert isinstance(went_on, EpochReport)


def test_the_time_is_shared_out_by_the_weights_of_the_heads(
    base: FineTuning, bands: ImageData
) -> None:
    small, large = run_epoch(begun(base, bands, {"widths": (4,)}, {"widths": (8,)}))
    assert isinstance(small, EpochReport)
    assert isinstance(large, EpochReport)
    weights = [576 * width + width + 3 * width + 3 for width in (4, 8)]
    assert large.seconds / small.seconds == pytest.approx(weights[1] / weights[0])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"cpu": True, "cuda": True}),
        ({"dropout": 0.2}, {"cpu": True, "cuda": False}),
        ({"tune": "all"}, {"cpu": False, "cuda": False}),
        ({"qat": "lsq", "bits": 4}, {"cpu": False, "cuda": False}),
    ],
)
def test_what_can_be_one_of_many(
    make_config: Config, changes: dict[str, Any], expected: dict[str, bool]
) -> None:
    config = make_config(**changes)
    assert {name: fusable(config, device=torch.device(name)) for name in expected} == expected
