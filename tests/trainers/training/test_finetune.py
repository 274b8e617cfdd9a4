"""Fine-tuning: the same seed gives the same bits, whatever comes in between."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import trainers.training.finetune as module
from tests.trainers.rounding import TRAINING_IN_FLOAT64
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.errors import DivergedError
from trainers.files.checkpoints import CheckpointError
from trainers.networks.inputs import to_unit
from trainers.networks.network import Network, assemble_network
from trainers.training import examples
from trainers.training.finetune import EpochReport, FineTuning

Config = Callable[..., TrialConfig]
CPU = torch.device("cpu")
KINDS = [
    {"tune": "head", "optimizer": "adamw", "dropout": 0.3},
    {"tune": "head", "optimizer": "sgd", "label_smoothing": 0.1},
    {"tune": "last_blocks:1", "optimizer": "adamw"},
    {"tune": "last_blocks:1", "optimizer": "sgd", "dropout": 0.3},
    {"tune": "all", "optimizer": "adamw", "widths": ()},
]
kinds = pytest.mark.parametrize(
    "kind", KINDS, ids=lambda kind: f"{kind['tune']}-{kind['optimizer']}"
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def begun(config: TrialConfig, data: ImageData) -> FineTuning:
    return FineTuning(config, data, device=CPU)


def finished(training: FineTuning) -> list[EpochReport]:
    reports = []
    while not training.finished:
        reports.append(training.run_epoch())
    return reports


def state(training: FineTuning) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in training.network.state_dict().items()}


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert different == []


def measured(reports: list[EpochReport]) -> list[tuple[int, float, float]]:
    return [(report.epoch, report.train_loss, report.float_accuracy) for report in reports]


@pytest.mark.slow
@kinds
def test_the_same_seed_gives_the_same_network(
    bands: ImageData, make_config: Config, kind: dict[str, object]
) -> None:
    first, second = (begun(make_config(**kind), bands) for _ in range(2))
    reports = finished(first)
    torch.manual_seed(99)  # whatever else happens in the process
    assert measured(finished(second)) == measured(reports)
    assert_same(state(first), state(second))
    assert [report.epoch for report in reports] == [1, 2, 3]


@pytest.mark.slow
@kinds
@pytest.mark.parametrize("stopped_after", [0, 1, 2, 3])
def test_a_training_that_was_interrupted_equals_one_that_was_not(
    bands: ImageData,
    make_config: Config,
    tmp_path: Path,
    kind: dict[str, object],
    stopped_after: int,
) -> None:
    config = make_config(**kind)
    whole = begun(config, bands)
    expected = finished(whole)
    first = begun(config, bands)
    for _ in range(stopped_after):
        first.run_epoch()
    first.save(tmp_path / "c")
    saved = state(first)
    second = begun(config, bands)
    second.load(tmp_path / "c")
    assert_same(state(second), saved)
    assert second.epoch == stopped_after
    assert second.reports == first.reports
    assert second.seconds == first.seconds
    assert measured(finished(second)) == measured(expected[stopped_after:])
    assert_same(state(second), state(whole))


@pytest.mark.slow
def test_running_statistics_are_part_of_a_checkpoint(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    """A network with batch norms, whose buffers training moves."""
    config = make_config(
        backbone="mobilenet_v3_small", image_size=32, tune="last_blocks:1", epochs=2
    )
    whole = begun(config, bands)
    whole.run_epoch()
    whole.save(tmp_path / "c")
    resumed = begun(config, bands)
    before = state(resumed)
    resumed.load(tmp_path / "c")
    moved = {
        name for name, tensor in state(resumed).items() if not torch.equal(tensor, before[name])
    }
    assert any(name.endswith("running_mean") for name in moved)
    whole.run_epoch()
    resumed.run_epoch()
    assert_same(state(resumed), state(whole))


def test_every_epoch_has_an_order_a_dropout_and_learning_rates_of_its_own(
    bands: ImageData, make_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(dropout=0.3, learning_rate=0.02)
    seeds, orders, rates = [], [], []
    original = module.train_epoch

    def watched(model: torch.nn.Module, batches: Any, recipe: Any, *, epoch: int) -> float:
        seeds.append(torch.initial_seed())
        kept = list(batches)
        orders.append(tuple(torch.cat([labels for _, labels in kept]).tolist()))
        used = []

        def noted() -> Iterator[float]:
            for rate in recipe.learning_rates:
                used.append(rate)
                yield rate

        loss = original(model, iter(kept), replace(recipe, learning_rates=noted()), epoch=epoch)
        rates.append(used[-1])
        return loss

    monkeypatch.setattr(module, "train_epoch", watched)
    for seed in (0, 1):
        finished(begun(replace(config, seed=seed), bands))
    assert len(set(seeds)) == len(set(orders)) == 6
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    schedule = module.learning_rates(
        config.recipe, 0.02, steps_per_epoch=3, epochs=3, from_epoch=0
    )
    assert rates[:3] == rates[3:] == list(schedule)[2::3]


def test_seeds_differ_in_more_than_the_start(bands: ImageData, make_config: Config) -> None:
    first, second = (begun(make_config(seed=seed), bands) for seed in (0, 1))
    assert finished(first)[0].train_loss != finished(second)[0].train_loss


def test_training_draws_nothing_from_the_generators_of_others(
    bands: ImageData, make_config: Config
) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    finished(begun(make_config(dropout=0.3), bands))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
@kinds
def test_only_what_is_tuned_changes(
    bands: ImageData, make_config: Config, kind: dict[str, object]
) -> None:
    training = begun(make_config(**kind), bands)
    before = state(training)
    finished(training)
    after = state(training)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    tuned = {name for name, p in training.network.named_parameters() if p.requires_grad}
    assert changed == tuned
    assert all(name.startswith("head.") for name in changed) == (kind["tune"] == "head")


@pytest.mark.slow
def test_training_learns(bands: ImageData, make_config: Config) -> None:
    config = make_config(tune="all", epochs=25, learning_rate=0.003)
    reports = finished(begun(config, bands))
    assert reports[-1].train_loss < 0.5 * reports[0].train_loss
    assert reports[-1].float_accuracy > 0.8


def test_features_are_computed_once_for_a_frozen_backbone(
    bands: ImageData, make_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {"images": 0}
    original = module.Network.feature_vectors

    def counting(self: module.Network, pixels: Tensor) -> Tensor:
        seen["images"] += len(pixels)
        return original(self, pixels)

    monkeypatch.setattr(module.Network, "feature_vectors", counting)
    finished(begun(make_config(tune="head"), bands))
    assert seen["images"] == 100
    finished(begun(make_config(tune="last_blocks:1"), bands))
    assert seen["images"] == 100 + 3 * 100


def in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    def assembled(*args: Any, **settings: Any) -> Network:
        return assemble_network(*args, **settings).double()

    monkeypatch.setattr(module, "assemble_network", assembled)
    monkeypatch.setattr(examples, "to_unit", lambda batch: to_unit(batch).double())


@pytest.mark.slow
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_features_from_memory_are_those_computed_anew(
    bands: ImageData, make_config: Config, monkeypatch: pytest.MonkeyPatch, dropout: float
) -> None:
    # A convolution may add in another order for another batch size.
    in_float64(monkeypatch)
    config = make_config(dropout=dropout)
    cached = begun(config, bands)
    monkeypatch.setattr(module, "FEATURE_BYTES", 0)
    anew = begun(config, bands)
    assert (cached.on_features, anew.on_features) == (True, False)
    for first, second in zip(finished(cached), finished(anew), strict=True):
        assert first.train_loss == pytest.approx(second.train_loss, rel=TRAINING_IN_FLOAT64)
        assert first.float_accuracy == pytest.approx(second.float_accuracy, abs=1 / 30)
    for name, tensor in state(cached).items():
        assert tensor.dtype == torch.float64
        expected = state(anew)[name]
        torch.testing.assert_close(tensor, expected, rtol=0, atol=TRAINING_IN_FLOAT64)


def test_a_checkpoint_of_another_trial_is_refused(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    begun(make_config(), bands).save(tmp_path / "c")
    for other in (make_config(seed=1), make_config(epochs=4), make_config(bits=4)):
        training = begun(other, bands)
        with pytest.raises(CheckpointError, match="another config") as caught:
            training.load(tmp_path / "c")
        assert str(tmp_path / "c") in str(caught.value)
        assert training.epoch == 0


def test_a_checkpoint_of_other_images_is_refused(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    begun(make_config(), bands).save(tmp_path / "c")
    labels = bands.train_labels[::-1].copy()
    fields = {name: getattr(bands, name) for name in bands.__dataclass_fields__}
    other = begun(make_config(), ImageData(**{**fields, "train_labels": labels}))
    with pytest.raises(CheckpointError, match="other images"):
        other.load(tmp_path / "c")


def test_a_checkpoint_is_taken_up_where_images_and_weights_lie_elsewhere(
    bands: ImageData, make_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first.safetensors"
    tensors = begun(make_config(), bands).backbone.features.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, first)
    second = Path(shutil.copy(first, tmp_path / "second.safetensors"))
    training = begun(make_config(weights=str(first)), bands)
    training.run_epoch()
    training.save(tmp_path / "new")
    # As earlier versions wrote it: with the path, and with the name of the images.
    config = json.dumps(training.config.as_mapping(), sort_keys=True)
    facts = {"config": config, "data": bands.fingerprint()}
    monkeypatch.setattr(training._identity, "facts", lambda: facts)
    training.save(tmp_path / "old")
    for checkpoint, path, images in (
        ("new", second, replace(bands, name="renamed")),
        ("old", first, bands),
    ):
        later = begun(make_config(weights=str(path)), images)
        later.load(tmp_path / checkpoint)
        assert later.epoch == 1
        assert_same(state(later), state(training))
    tensors = load_file(second)
    save_file({name: 2 * tensor for name, tensor in tensors.items()}, second)
    with pytest.raises(CheckpointError, match="another config"):
        begun(make_config(weights=str(second)), bands).load(tmp_path / "new")


def test_a_checkpoint_that_was_refused_changes_nothing(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    first = begun(make_config(), bands)
    first.run_epoch()
    first.save(tmp_path / "c")
    content = (tmp_path / "c").read_bytes()
    training = begun(make_config(), bands)
    before = state(training)
    for damaged in (content[:-3], content[:-3] + b"abc", b"", content[: len(content) // 2]):
        (tmp_path / "c").write_bytes(damaged)
        with pytest.raises(CheckpointError, match="cannot be read"):
            training.load(tmp_path / "c")
        assert_same(state(training), before)
        assert training.epoch == 0


def test_a_checkpoint_that_is_not_there_is_said_so(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        begun(make_config(), bands).load(tmp_path / "c")


def test_a_loss_that_explodes_is_named_with_its_epoch(
    bands: ImageData, make_config: Config
) -> None:
    config = make_config(tune="all", optimizer="sgd", learning_rate=10.0, epochs=60)
    training = begun(config, bands)
    with pytest.raises(DivergedError) as caught:
        finished(training)
    assert caught.value.epoch == training.epoch + 1


def test_a_last_step_that_explodes_is_noticed_too(
    bands: ImageData, make_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = begun(make_config(epochs=1), bands)

    def spoiled(model: torch.nn.Module, *args: object, **kwargs: object) -> float:
        next(model.parameters()).data[0] = float("nan")
        return 0.5

    monkeypatch.setattr(module, "train_epoch", spoiled)
    with pytest.raises(DivergedError, match="epoch 1"):
        training.run_epoch()


def test_the_test_images_are_never_looked_at(
    bands: ImageData, make_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    original = ImageData.subset

    def watched(self: ImageData, name: str) -> object:
        asked.append(name)
        return original(self, name)

    monkeypatch.setattr(ImageData, "subset", watched)
    finished(begun(make_config(), bands))
    assert set(asked) == {"train", "val"}


@pytest.mark.parametrize("batch_size", [1, 69, 70, 1000])
def test_every_image_counts_whatever_the_batch_size(
    bands: ImageData, make_config: Config, batch_size: int
) -> None:
    (report,) = finished(begun(make_config(batch_size=batch_size, epochs=1), bands))
    assert report.train_loss > 0
    assert 30 * report.float_accuracy == pytest.approx(round(30 * report.float_accuracy))
