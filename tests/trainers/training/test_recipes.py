"""Recipes: what they draw follows from seed, epoch and image alone, and survives a death."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainers.trainings import finished, same, state
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.pruning.config import PruningConfig
from trainers.recipes.config import RecipeConfig
from trainers.stages.cache import StageCache
from trainers.training.beginnings import frozen_key
from trainers.training.epochs import EpochBatches
from trainers.training.examples import pixels
from trainers.training.finetune import FineTuning
from trainers.training.fused import fuse_key, run_epoch
from trainers.trial.run import TrialRun

Config = Callable[..., TrialConfig]
CPU = torch.device("cpu")
FULL = RecipeConfig(
    augment="crop, flip, rotation:10",
    erasing=0.3,
    mixup=0.4,
    cutmix=1.0,
    ema=0.9,
    clip=1.0,
    schedule="one_cycle",
    best=True,
    layer_decay=0.7,
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def begun(config: TrialConfig, data: ImageData, **given: Any) -> FineTuning:
    return FineTuning(config, data, device=CPU, **given)


def batches(config: TrialConfig, data: ImageData, epoch: int) -> tuple[Tensor, Tensor]:
    """All images and labels of an epoch, one after the other."""
    found = EpochBatches(config, data).of(epoch, pixels(*data.subset("train"), CPU))
    images, labels = zip(*found, strict=True)
    return torch.cat(images), torch.cat(labels)


RECIPES = [
    FULL,
    RecipeConfig(augment="trivial", balanced_sampling=True, class_weights="balanced"),
    RecipeConfig(augment="randaugment", mixup=0.2, backbone_rate_factor=0.1),
    RecipeConfig(cutmix=1.0, ema=0.99, momentum=0.5, schedule="step", freeze_batch_norm=True),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: "-".join(recipe.changed()))
@pytest.mark.parametrize("tune", ["all", "last_blocks:1", "head"])
@pytest.mark.slow
def test_a_resumed_training_ends_with_the_same_weights(
    bands: ImageData, make_config: Config, tmp_path: Path, recipe: RecipeConfig, tune: str
) -> None:
    optimizer = "sgd" if recipe.momentum is not None else "adamw"
    config = make_config(recipe=recipe, tune=tune, dropout=0.2, optimizer=optimizer)
    whole = finished(begun(config, bands))
    first = begun(config, bands)
    first.run_epoch()
    first.save(tmp_path / "c")
    second = begun(config, bands)
    second.load(tmp_path / "c")
    assert same(state(second), state(first))
    torch.manual_seed(99)  # whatever else happens in the process
    assert same(state(finished(second)), state(whole))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: "-".join(recipe.changed()))
def test_batches_of_another_size_hold_the_same_images(
    bands: ImageData, make_config: Config, recipe: RecipeConfig
) -> None:
    made = [
        batches(
            make_config(recipe=recipe, tune="all", batch_size=size, optimizer="sgd"),
            bands,
            epoch=2,
        )
        for size in (7, 32, 70)
    ]
    for images, labels in made[1:]:
        assert torch.equal(images, made[0][0])
        assert torch.equal(labels, made[0][1])


def test_an_epoch_has_views_of_its_own(bands: ImageData, make_config: Config) -> None:
    config = make_config(recipe=RecipeConfig(augment="crop_flip"), tune="all", batch_size=70)
    examples = pixels(*bands.subset("train"), CPU)
    made = EpochBatches(config, bands)
    views = []
    for epoch in (1, 2, 1):
        (batch,) = made.of_view(epoch, examples, 70, slice(None))
        views.append(batch[0])
    assert torch.equal(views[0], views[2])
    assert not torch.equal(views[0], views[1])


def test_a_mixed_image_has_the_labels_of_both_by_their_shares(
    bands: ImageData, make_config: Config
) -> None:
    """Each image is mixed with its successor in the epoch's order, the last with the first."""
    config = make_config(recipe=RecipeConfig(mixup=1.0), tune="all")
    plain, labels = batches(make_config(tune="all"), bands, epoch=1)
    mixed, shares = batches(config, bands, epoch=1)
    assert shares.sum(1).tolist() == pytest.approx([1.0] * 70)
    partner = torch.roll(plain, -1, 0)
    other = torch.roll(labels, -1)
    for n in range(70):
        if labels[n] != other[n]:
            share = shares[n, labels[n]]
            assert torch.allclose(mixed[n], share * plain[n] + (1 - share) * partner[n], atol=1e-6)


def test_cutmix_shares_labels_by_the_area_that_is_replaced(
    bands: ImageData, make_config: Config
) -> None:
    config = make_config(recipe=RecipeConfig(cutmix=1.0), tune="all")
    plain, labels = batches(make_config(tune="all"), bands, epoch=1)
    mixed, shares = batches(config, bands, epoch=1)
    other = torch.roll(labels, -1)
    for n in range(70):
        if labels[n] != other[n]:
            # Noise: an own pixel hardly ever equals the other's.
            kept = (mixed[n] == plain[n]).double().mean().item()
            assert shares[n, labels[n]].item() == pytest.approx(kept, abs=0.05)


def test_balanced_sampling_draws_each_class_equally_often(make_config: Config) -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0] * 900 + [1] * 90 + [2] * 10)
    images = rng.integers(0, 255, (1000, 1, 12, 12)).astype(np.uint8)
    few = {"images": images[-30:], "labels": labels[-30:]}
    data = ImageData(
        name="uneven",
        classes=("a", "b", "c"),
        train_images=images,
        train_labels=labels,
        **{f"{subset}_{what}": array for subset in ("val", "test") for what, array in few.items()},
    )
    config = make_config(recipe=RecipeConfig(balanced_sampling=True, augment="crop"), tune="all")
    drawn, found = batches(config, data, epoch=1)
    # 1,000 draws of probability 1/3: a standard deviation of 15.
    assert all(abs(count - 333) < 75 for count in torch.bincount(found).tolist())
    rare = drawn[found == 2]
    # Ten images, drawn some 33 times each: a view of its own each time, of 9 possible shifts.
    assert len({image.numpy().tobytes() for image in rare}) > 30


def test_the_average_is_what_is_measured_and_kept(bands: ImageData, make_config: Config) -> None:
    """One step an epoch: the decay after step t is (1 + t) / (10 + t), at first 2/11."""
    plain = begun(make_config(tune="all", batch_size=70, epochs=1), bands)
    before = {name: p.detach().clone() for name, p in plain.network.named_parameters()}
    plain.run_epoch()
    averaged = begun(
        make_config(tune="all", batch_size=70, epochs=1, recipe=RecipeConfig(ema=0.99)), bands
    )
    averaged.run_epoch()
    for name, parameter in averaged.network.named_parameters():
        after = plain.network.get_parameter(name).detach()
        expected = before[name] + 9 / 11 * (after - before[name])
        assert torch.allclose(parameter.detach(), expected, atol=1e-7)


@pytest.mark.slow
def test_the_best_epoch_is_kept(bands: ImageData, make_config: Config) -> None:
    """With a rate that destroys what was learnt, the last epoch is not the best."""
    changes = {"tune": "all", "epochs": 6, "learning_rate": 0.05, "batch_size": 16}
    last = begun(make_config(**changes), bands)
    states = []
    while not last.finished:
        last.run_epoch()
        states.append(state(last))
    accuracies = [report.float_accuracy for report in last.reports]
    best = accuracies.index(max(accuracies))
    kept = finished(begun(make_config(**changes, recipe=RecipeConfig(best=True)), bands))
    assert [report.float_accuracy for report in kept.reports] == accuracies
    assert same(state(kept), states[best])
    assert best < 5, "the test shows nothing"


def test_patience_ends_a_training(bands: ImageData, make_config: Config, tmp_path: Path) -> None:
    config = make_config(epochs=50, learning_rate=1e-8, recipe=RecipeConfig(patience=2))
    training = finished(begun(config, bands))
    assert training.epoch == 3
    again = begun(config, bands)
    training.save(tmp_path / "c")
    again.load(tmp_path / "c")
    assert again.finished


def test_the_backbone_learns_at_a_rate_of_its_own(bands: ImageData, make_config: Config) -> None:
    config = make_config(tune="all", epochs=1, recipe=RecipeConfig(backbone_rate_factor=0.0))
    training = begun(config, bands)
    before = state(training)
    training.run_epoch()
    after = state(training)
    moved = {
        name.partition(".")[0] for name in after if not torch.equal(before[name], after[name])
    }
    assert moved == {"head"}


def test_a_learned_step_learns_as_fast_as_its_weights(
    bands: ImageData, make_config: Config
) -> None:
    recipe = RecipeConfig(backbone_rate_factor=0.1, layer_decay=0.5)
    config = make_config(tune="all", qat="lsq", bits=4, fc_bits=4, recipe=recipe)
    training = begun(config, bands)
    factor = {
        id(parameter): group.rate_factor
        for group in training.optimizer.groups
        for parameter in group.parameters
    }
    pairs = [
        (name, name.replace("original", "0.spread"))
        for name, _ in training.network.named_parameters()
        if name.endswith(".original")
    ]
    of = {name: factor[id(each)] for name, each in training.network.named_parameters()}
    assert all(of[weight] == of[spread] for weight, spread in pairs)
    assert len({of[spread] for _, spread in pairs}) == len(training.network.blocks) + 1


def test_layers_further_from_the_head_learn_more_slowly(
    bands: ImageData, make_config: Config
) -> None:
    training = begun(make_config(tune="all", recipe=RecipeConfig(layer_decay=0.5)), bands)
    by_parameter = {
        id(parameter): group.rate_factor
        for group in training.optimizer.groups
        for parameter in group.parameters
    }
    blocks = training.network.blocks
    for depth, block in enumerate(reversed(blocks), start=1):
        assert {by_parameter[id(p)] for p in block.parameters()} <= {0.5**depth}
    assert {by_parameter[id(p)] for p in training.network.head.parameters()} == {1.0}
    assert len(by_parameter) == len(list(training.network.parameters()))


@pytest.mark.slow
def test_frozen_batch_norms_keep_their_statistics(bands: ImageData, make_config: Config) -> None:
    moved = {}
    for freeze in (False, True):
        config = make_config(
            backbone="cifar_resnet20",
            tune="last_blocks:1",
            epochs=1,
            recipe=RecipeConfig(freeze_batch_norm=freeze),
        )
        training = begun(config, bands)
        before = state(training)
        training.run_epoch()
        after = state(training)
        moved[freeze] = any(
            name.endswith("running_mean") and not torch.equal(before[name], after[name])
            for name in after
        )
    assert moved == {False: True, True: False}


def test_a_frozen_backbone_sees_so_many_views(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    """Computed, shared with a training beside it, or from the cache: the same."""
    config = make_config(epochs=5, recipe=RecipeConfig(augment="crop_flip", views=2))
    first = begun(config, bands, cache=StageCache(str(tmp_path), 10**8))
    assert len(first.further_views) == 1
    beside = begun(config, bands, like=first)
    cached = begun(config, bands, cache=StageCache(str(tmp_path), 10**8))
    assert cached.cached_stages == 1
    states = [state(finished(training)) for training in (first, beside, cached)]
    assert same(states[0], states[1])
    assert same(states[0], states[2])
    # The first two views are those of a training with more; another augmentation has others.
    fewer = make_config(epochs=5, recipe=RecipeConfig(augment="crop_flip", views=1))
    assert begun(fewer, bands, cache=StageCache(str(tmp_path), 10**8)).cached_stages == 1
    other = make_config(epochs=5, recipe=RecipeConfig(augment="crop", views=2))
    assert begun(other, bands, cache=StageCache(str(tmp_path), 10**8)).cached_stages == 0
    assert len({frozen_key(each) for each in (config, fewer, other)}) == 3


def test_there_are_no_more_views_than_epochs(bands: ImageData, make_config: Config) -> None:
    few = begun(make_config(epochs=2, recipe=RecipeConfig(augment="crop")), bands)
    assert len(few.further_views) == 1


@pytest.mark.parametrize("qat", ["lsq", "absmax"])
@pytest.mark.parametrize("tune", ["head", "all"])
@pytest.mark.slow
def test_an_averaged_network_is_written_as_it_was_measured(
    bands: ImageData, make_config: Config, tmp_path: Path, qat: str, tune: str
) -> None:
    """With quantization-aware training too, and after a checkpoint."""
    recipe = RecipeConfig(ema=0.9, best=True, augment="crop", clip=0.5)
    config = make_config(qat=qat, bits=4, fc_bits=4, recipe=recipe, tune=tune)
    run = TrialRun(config, bands, tmp_path / "whole")
    run.advance(to_epoch=3, seconds=60)
    whole = run.measure().values
    assert whole["accuracy"] == max(report.float_accuracy for report in run.training.reports)
    first = TrialRun(config, bands, tmp_path / "resumed")
    first.advance(to_epoch=1, seconds=0)
    first.checkpoint()
    second = TrialRun(config, bands, tmp_path / "resumed")
    assert second.epoch == 1
    second.advance(to_epoch=3, seconds=60)
    resumed = second.measure().values
    assert {n: resumed[n] for n in ("nll", "memory_bytes")} == {
        n: whole[n] for n in ("nll", "memory_bytes")
    }


def test_mixed_images_have_no_kept_features(bands: ImageData, make_config: Config) -> None:
    plain = begun(make_config(), bands)
    mixing = make_config(recipe=RecipeConfig(mixup=0.2))
    assert not begun(mixing, bands).on_features
    assert frozen_key(mixing) != frozen_key(plain.config)


def test_heads_by_another_schedule_are_trained_together_and_others_alone(
    bands: ImageData, make_config: Config
) -> None:
    recipes = [RecipeConfig(schedule="step"), RecipeConfig(warmup=0.3), RecipeConfig(momentum=0.5)]
    configs = [make_config(recipe=recipe, optimizer="sgd") for recipe in recipes]
    alone, together = ([begun(config, bands) for config in configs] for _ in range(2))
    for training in alone:
        finished(training)
    while not together[0].finished:
        run_epoch(together)
    for one, other in zip(alone, together, strict=True):
        for name, tensor in state(one).items():
            assert torch.allclose(tensor, state(other)[name], atol=1e-5)
    assert not torch.equal(*(each.network.head[-1].weight for each in together[:2]))
    assert fuse_key(begun(make_config(recipe=RecipeConfig(ema=0.9)), bands)) is None


DYING = """
import os, signal, sys
from pathlib import Path
import torch
import trainers.training.finetune as module
from tests.trainers.training.test_recipes import CPU, mortal
from tests.trainers.conftest import bands, make_config
torch.set_num_threads(1)
config = mortal(make_config.__wrapped__(), sys.argv[2], Path(sys.argv[3]))
training = module.FineTuning(config, bands.__wrapped__(), device=CPU)
training.run_epoch()
training.save(Path(sys.argv[1]))
steps = []
original = training.optimizer.step
def dying(rate):
    original(rate)
    steps.append(rate)
    if len(steps) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
training.optimizer.step = dying
training.run_epoch()
"""
OWN_CRITERION = """
class Gradients:
    needs_training = True

    def __call__(self, evidence):
        return evidence.accumulated + 0.1 * (evidence.weight - evidence.initial).abs()

    def gather(self, gathered, weight, gradient):
        return 0.9 * gathered + 0.1 * gradient.abs()
"""
MORTAL = {
    "full": FULL,
    "bfloat16 in parts": replace(FULL, precision="bfloat16", parts=3),
    "float16": replace(FULL, precision="float16", parts=2),
    "step schedule": replace(FULL, schedule="step", warmup=0.2, patience=2, class_weights="none"),
    "own criterion": replace(FULL, best=False),
}


def mortal(make_config: Config, name: str, folder: Path) -> TrialConfig:
    """The config of a training that is killed."""
    given: dict[str, Any] = {"recipe": MORTAL[name], "tune": "all", "dropout": 0.2}
    if name == "own criterion":
        file = folder / "my_criterion.py"
        file.write_text(OWN_CRITERION)
        given["pruning"] = PruningConfig(
            sparsity=0.6, criterion=f"{file}:Gradients", schedule="gradual"
        )
    return make_config(**given)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORTAL)
def test_a_training_killed_in_mid_epoch_ends_with_the_same_weights(
    bands: ImageData, make_config: Config, tmp_path: Path, name: str
) -> None:
    """With augmentation, MixUp, CutMix, an average and the best epoch: bit for bit."""
    path = tmp_path / "checkpoint"
    died = subprocess.run(
        [sys.executable, "-c", DYING, str(path), name, str(tmp_path)], check=False
    )
    assert died.returncode == -signal.SIGKILL
    config = mortal(make_config, name, tmp_path)
    resumed = begun(config, bands)
    resumed.load(path)
    assert resumed.epoch == 1
    whole = finished(begun(config, bands))
    assert same(state(finished(resumed)), state(whole))
