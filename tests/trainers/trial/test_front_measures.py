"""What survivors are measured by, on real artifacts."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainers.artifact import load_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.evaluators.config import AttackConfig
from trainers.evaluators.robustness import robust_accuracy
from trainers.files.predictions import read_predictions
from trainers.files.trial_folder import ARTIFACT_NAME, PREDICTIONS_NAME
from trainers.trial.front_measures import measure_survivor
from trainers.trial.run import TrialRun, attack_seed

QUICK = AttackConfig("bim", 0.05, steps=2, samples=12)


def trained(config: TrialConfig, data: ImageData, folder: Path) -> Path:
    run = TrialRun(config, data, folder)
    run.advance(to_epoch=99, seconds=60)
    run.measure()
    return folder / ARTIFACT_NAME


@pytest.fixture
def networks(
    bands: ImageData, make_config: Callable[..., TrialConfig], tmp_path: Path
) -> tuple[Path, Path]:
    attacks = {"robust_accuracy": AttackConfig("fgsm", 0.05, samples=15)}
    small = make_config(epochs=1, bits=4, attacks=attacks)
    full = make_config(epochs=1, seed=1, attacks=attacks)
    return trained(small, bands, tmp_path / "small"), trained(full, bands, tmp_path / "full")


@pytest.mark.slow
def test_every_value_is_that_of_its_name(bands: ImageData, networks: tuple[Path, Path]) -> None:
    small, full = networks
    measures = {
        "robust_accuracy_strong": QUICK,
        "robust_accuracy_from_reference": QUICK,
        "robust_accuracy_of_reference": QUICK,
        "deepfool_perturbation": AttackConfig("deepfool", samples=5),
        "masked_gradient_signs": QUICK,
    }
    before = read_predictions(small.with_name(PREDICTIONS_NAME))
    values = measure_survivor(small, bands, measures, reference=full, threads=1)
    assert values.keys() == measures.keys()
    assert values["deepfool_perturbation"] > 0
    after = read_predictions(small.with_name(PREDICTIONS_NAME))
    assert after.attacked.keys() == {"robust_accuracy", *list(measures)[:3]}
    assert after.predicted.tolist() == before.predicted.tolist()
    for name in list(measures)[:3]:
        assert after.attacked[name].robust.mean() == values[name]
    assert len(after.signs["masked_gradient_signs"]) == values["masked_gradient_signs"]
    alone = robust_accuracy(
        load_artifact(small),
        *bands.subset("val"),
        QUICK,
        seed=attack_seed("robust_accuracy_strong"),
    )
    assert values["robust_accuracy_strong"] == alone.robust_accuracy
    again = measure_survivor(small, bands, measures, reference=full, threads=1)
    assert again == values


def test_which_network_is_attacked_and_which_is_asked(
    bands: ImageData, networks: tuple[Path, Path]
) -> None:
    small, full = networks
    names = ["robust_accuracy_from_reference", "robust_accuracy_of_reference"]
    measures = dict.fromkeys(names, QUICK)
    measure_survivor(small, bands, measures, reference=full, threads=1)
    attacked = read_predictions(small.with_name(PREDICTIONS_NAME)).attacked
    for name, asked in zip(names, networks, strict=True):
        # Whoever is asked must be right without any attack.
        correct = read_predictions(asked.with_name(PREDICTIONS_NAME)).correct
        assert not (attacked[name].robust & ~correct[attacked[name].chosen]).any()


def test_a_name_that_needs_a_reference_says_so(
    bands: ImageData, networks: tuple[Path, Path]
) -> None:
    measures = {"robust_accuracy_of_reference": QUICK}
    with pytest.raises(ValueError, match="needs a reference"):
        measure_survivor(networks[0], bands, measures, reference=None, threads=1)


def test_values_are_measured_where_the_answers_are_gone(
    bands: ImageData, networks: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = networks[0].with_name(PREDICTIONS_NAME)
    path.unlink()
    with caplog.at_level(logging.WARNING):
        values = measure_survivor(
            networks[0], bands, {"robust_accuracy_eps2": QUICK}, reference=None, threads=1
        )
    assert np.isfinite(values["robust_accuracy_eps2"])
    assert "is not kept" in caplog.text
    assert not path.exists()
