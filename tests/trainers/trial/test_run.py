"""A whole trial: from its config to values that its artifact gives again."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trainers.artifact import decompress_artifact, load_artifact, predict_bytes
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.errors import ArtifactError, DivergedError
from trainers.evaluators.accuracy import accuracy
from trainers.evaluators.config import AttackConfig
from trainers.files.predictions import read_predictions
from trainers.files.trial_folder import (
    ARTIFACT_NAME,
    CHECKPOINT_NAME,
    PREDICTIONS_NAME,
    STORAGE_NAME,
)
from trainers.trial.failures import failure_kind
from trainers.trial.run import Measurement, TrialRun, evaluate_artifact

Config = Callable[..., TrialConfig]
ATTACKS = {"robust_accuracy": AttackConfig("pgd", 0.05, steps=2, samples=15)}
TIMES = {"train_s", "eval_s"}


def run(config: TrialConfig, data: ImageData, folder: Path) -> Measurement:
    trial = TrialRun(config, data, folder)
    while not trial.finished:
        trial.advance(to_epoch=2**31, seconds=60)
    return trial.measure()


def facts(measurement: Measurement) -> dict[str, float]:
    return {name: value for name, value in measurement.values.items() if name not in TIMES}


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 5, 32])
@pytest.mark.parametrize("tune", ["head", "last_blocks:1"])
def test_the_values_are_those_of_the_file(
    bands: ImageData, make_config: Config, tmp_path: Path, bits: int, tune: str
) -> None:
    config = make_config(bits=bits, fc_bits=4, tune=tune, attacks=ATTACKS)
    measured = run(config, bands, tmp_path)
    path = tmp_path / ARTIFACT_NAME
    network = load_artifact(path)
    values = measured.values
    storage = tmp_path / STORAGE_NAME
    assert values["storage_bytes"] == storage.stat().st_size < values["memory_bytes"]
    decompress_artifact(storage, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    (tmp_path / "again").unlink()
    assert values["memory_bytes"] == path.stat().st_size == measured.artifact.bytes
    assert values["memory_bytes"] == predict_bytes(
        network.spec, config.quantization, bands.classes
    )
    assert values["head_bytes"] + values["backbone_bytes"] < values["memory_bytes"]
    assert values["accuracy"] == accuracy(network, bands.val_images, bands.val_labels)
    again = evaluate_artifact(path, bands, ATTACKS, subset="val", threads=1)
    classes = ("balanced_accuracy", "macro_f1", "nll", "ece")
    assert again == {name: values[name] for name in ("accuracy", "robust_accuracy", *classes)}
    assert values["params"] == sum(p.numel() for p in network.parameters())
    assert values["head_params"] == 577 * 8 + 9 * 3
    assert (values["trainable_params"] == values["head_params"]) == (tune == "head")
    assert all(np.isfinite(value) for value in values.values())
    assert {file.name for file in tmp_path.iterdir()} == {
        ARTIFACT_NAME,
        CHECKPOINT_NAME,
        PREDICTIONS_NAME,
        STORAGE_NAME,
    }
    answers = read_predictions(tmp_path / PREDICTIONS_NAME)
    assert answers.correct.mean() == values["accuracy"]
    assert answers.labels.tolist() == bands.val_labels.tolist()
    attacked = answers.attacked["robust_accuracy"]
    assert attacked.robust.mean() == values["robust_accuracy"]
    assert len(attacked.chosen) == 15
    assert not (attacked.robust & ~answers.correct[attacked.chosen]).any()


@pytest.mark.slow
def test_the_same_trial_writes_the_same_bytes(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    config = make_config(bits=4, dropout=0.2, attacks=ATTACKS)
    first, second = (run(config, bands, tmp_path / name) for name in ("a", "b"))
    assert facts(first) == facts(second)
    assert first.artifact.sha256 == second.artifact.sha256
    other = run(make_config(bits=4, dropout=0.2, seed=1), bands, tmp_path / "c")
    assert other.artifact.sha256 != first.artifact.sha256


@pytest.mark.slow
@pytest.mark.parametrize("epochs_done", [1, 2, 3])
def test_a_trial_goes_on_from_its_checkpoint(
    bands: ImageData, make_config: Config, tmp_path: Path, epochs_done: int
) -> None:
    config = make_config(optimizer="sgd", dropout=0.2, attacks=ATTACKS)
    expected = run(config, bands, tmp_path / "whole")
    first = TrialRun(config, bands, tmp_path / "cut")
    told = first.advance(to_epoch=epochs_done, seconds=60)
    first.checkpoint()
    second = TrialRun(config, bands, tmp_path / "cut")
    assert second.epoch == epochs_done
    assert second.finished == (epochs_done == 3)
    reports = second.advance(to_epoch=99, seconds=60)
    # The driver may never have heard of what was done before: it is told again.
    assert reports[:epochs_done] == told
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert second.advance(to_epoch=99, seconds=60) == []
    measured = second.measure()
    assert facts(measured) == facts(expected)
    assert measured.artifact.sha256 == expected.artifact.sha256
    # Kept until somebody has stored the values: an interruption now costs no training.
    assert TrialRun(config, bands, tmp_path / "cut").finished


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "changed", "another trial's"])
def test_a_checkpoint_that_cannot_be_used_is_named_and_the_trial_starts_again(
    bands: ImageData,
    make_config: Config,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    first = TrialRun(make_config(), bands, tmp_path)
    first.advance(to_epoch=2, seconds=60)
    first.checkpoint()
    path = tmp_path / CHECKPOINT_NAME
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage != "another trial's":
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    config = make_config(seed=7) if damage == "another trial's" else make_config()
    with caplog.at_level(logging.WARNING):
        second = TrialRun(config, bands, tmp_path)
    assert second.epoch == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(path) in caplog.text
    expected = run(config, bands, tmp_path / "whole")
    second.advance(to_epoch=99, seconds=60)
    assert second.measure().artifact.sha256 == expected.artifact.sha256


def test_epochs_come_in_slices(bands: ImageData, make_config: Config, tmp_path: Path) -> None:
    trial = TrialRun(make_config(epochs=5), bands, tmp_path)
    assert [report.epoch for report in trial.advance(to_epoch=99, seconds=0)] == [1]
    assert [report.epoch for report in trial.advance(to_epoch=3, seconds=60)] == [2, 3]
    assert trial.advance(to_epoch=3, seconds=60) == []
    assert [report.epoch for report in trial.advance(to_epoch=99, seconds=60)] == [4, 5]
    assert trial.finished
    assert trial.advance(to_epoch=99, seconds=60) == []


def test_a_checkpoint_is_written_when_it_is_worth_its_time(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    eager = TrialRun(make_config(), bands, tmp_path / "eager")
    eager.checkpoint_every_s = 0
    eager.advance(to_epoch=1, seconds=60)
    assert (tmp_path / "eager" / CHECKPOINT_NAME).exists()
    lazy = TrialRun(make_config(), bands, tmp_path / "lazy")
    lazy.checkpoint_every_s = 1e9
    lazy.advance(to_epoch=2, seconds=60)
    assert list((tmp_path / "lazy").iterdir()) == []


def test_a_trial_never_looks_at_the_test_images(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    class Sealed(ImageData):
        def __getattribute__(self, name: str) -> object:
            if name.startswith("test_"):
                raise AssertionError(name)
            return super().__getattribute__(name)

        def fingerprint(self) -> str:
            return bands.fingerprint()  # a checkpoint says whose it is; that selects nothing

        def content(self) -> str:
            return bands.content()

    fields = {name: getattr(bands, name) for name in bands.__dataclass_fields__}
    expected = run(make_config(attacks=ATTACKS), bands, tmp_path / "open")
    sealed = run(make_config(attacks=ATTACKS), Sealed(**fields), tmp_path / "sealed")
    assert facts(sealed) == facts(expected)


def test_the_test_images_are_measured_when_they_are_asked_for(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    run(make_config(), bands, tmp_path)
    path = tmp_path / ARTIFACT_NAME
    values = evaluate_artifact(path, bands, ATTACKS, subset="test", threads=1)
    network = load_artifact(path)
    assert values["accuracy"] == accuracy(network, bands.test_images, bands.test_labels)
    assert 0 <= values["robust_accuracy"] <= 1


def test_images_and_config_stay_as_they_were(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    before = bands.fingerprint()
    config = make_config(tune="last_blocks:1", attacks=ATTACKS)
    text = json.dumps(config.as_mapping())
    run(config, bands, tmp_path)
    fields = {name: getattr(bands, name) for name in bands.__dataclass_fields__}
    assert ImageData(**fields).fingerprint() == before
    assert json.dumps(config.as_mapping()) == text


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_a_trial_uses_the_threads_that_it_was_given(
    bands: ImageData, make_config: Config, tmp_path: Path, threads: int
) -> None:
    try:
        run(make_config(threads=threads, epochs=1), bands, tmp_path)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)


def test_a_trial_that_diverges_says_in_which_epoch(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    config = make_config(tune="all", optimizer="sgd", learning_rate=10.0, epochs=60)
    trial = TrialRun(config, bands, tmp_path)
    with pytest.raises(DivergedError) as caught:
        trial.advance(to_epoch=99, seconds=600)
    assert 1 <= caught.value.epoch == trial.epoch + 1
    assert not (tmp_path / ARTIFACT_NAME).exists()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DivergedError(3, float("nan")), "diverged"),
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), "out_of_memory"),
        (RuntimeError("shapes do not match"), "error"),
        (ArtifactError("broken"), "error"),
        (KeyError("x"), "error"),
    ],
)
def test_what_a_trial_raised_is_sorted(error: Exception, kind: str) -> None:
    assert failure_kind(error) == kind
