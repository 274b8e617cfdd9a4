"""A trial whose codes are chosen with a look at training images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trainers.artifact import load_artifact, predict_bytes
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.equalization import equalized
from trainers.quantization.plan import quantize_network
from trainers.stages.cache import StageCache
from trainers.trial.calibrated import calibrated
from trainers.trial.run import Measurement, TrialRun

Config = Callable[..., TrialConfig]
CPU = torch.device("cpu")


def run(
    config: TrialConfig, data: ImageData, folder: Path, cache: StageCache | None = None
) -> Measurement:
    trial = TrialRun(config, data, folder, cache=cache)
    while not trial.finished:
        trial.advance(to_epoch=2**31, seconds=60)
    return trial.measure()


@pytest.mark.slow
def test_the_file_has_the_size_of_one_that_was_rounded_to_nearest(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    plain = make_config(bits=3, fc_bits=3, epochs=1, dropout=0.1)
    rounded = replace(plain, rounding="gptq", step="mse")
    first, second = (run(c, bands, tmp_path / c.rounding) for c in (plain, rounded))
    assert first.values["memory_bytes"] == second.values["memory_bytes"]
    assert first.artifact.sha256 != second.artifact.sha256
    network = load_artifact(second.artifact.path)
    size = predict_bytes(network.spec, rounded.quantization, bands.classes)
    assert second.values["memory_bytes"] == size
    assert second.values["rounding_divergence"] <= second.values["nearest_divergence"]
    assert "rounding_divergence" not in first.values


@pytest.mark.slow
def test_a_sibling_shares_the_training_and_the_same_trial_its_codes(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    cache = StageCache(str(tmp_path / "cache"), 1e9)
    config = make_config(bits=3, fc_bits=3, epochs=1, tune="all", rounding="gptq")
    nearest = run(replace(config, rounding="nearest"), bands, tmp_path / "a", cache)
    first = run(config, bands, tmp_path / "b", cache)
    again = run(config, bands, tmp_path / "c", cache)
    taken = [each.values["cached_stages"] for each in (nearest, first, again)]
    assert taken == [0, 1, 2]
    assert first.artifact.sha256 == again.artifact.sha256 != nearest.artifact.sha256
    assert first.values["rounding_divergence"] == again.values["rounding_divergence"]


@pytest.mark.slow
@pytest.mark.parametrize("images", [1, 5, 1000])
def test_any_number_of_images_will_do(
    bands: ImageData, make_config: Config, tmp_path: Path, images: int
) -> None:
    config = make_config(
        bits=2, epochs=1, rounding="gptq", calibration=CalibrationConfig(images=images)
    )
    training = TrialRun(config, bands, tmp_path)
    training.advance(to_epoch=1, seconds=60)
    network = training.training.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = calibrated(network, config, bands, device=CPU, stages=None)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert 0 <= found.values["rounding_divergence"] <= found.values["nearest_divergence"]
    assert np.isfinite(found.values["nearest_divergence"])


@pytest.mark.slow
def test_what_does_not_help_is_not_kept(
    bands: ImageData, make_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(bits=3, epochs=1, rounding="gptq")
    training = TrialRun(config, bands, tmp_path)
    training.advance(to_epoch=1, seconds=60)
    told = iter([0.1, 0.2])
    monkeypatch.setattr("trainers.trial.calibrated.divergence", lambda *_: next(told))
    network = training.training.network
    found = calibrated(network, config, bands, device=CPU, stages=None)
    nearest = quantize_network(network, config.quantization)
    assert all(torch.equal(found.weights[n].codes, w.codes) for n, w in nearest.items())
    assert found.values == {"nearest_divergence": 0.1, "rounding_divergence": 0.1}
    for name, tensor in found.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


@pytest.mark.slow
@pytest.mark.parametrize(("told", "kept"), [([0.3, 0.2, 0.1], True), ([0.3, 0.1, 0.2], False)])
def test_even_ranges_are_kept_where_predictions_change_least(
    bands: ImageData,
    make_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: list[float],
    kept: bool,
) -> None:
    config = make_config(
        bits=3, epochs=1, rounding="gptq", calibration=CalibrationConfig(equalize=True)
    )
    training = TrialRun(config, bands, tmp_path)
    training.advance(to_epoch=1, seconds=60)
    network = training.training.network
    answers = iter(told)
    monkeypatch.setattr("trainers.trial.calibrated.divergence", lambda *_: next(answers))
    found = calibrated(network, config, bands, device=CPU, stages=None)
    assert found.values == {
        "nearest_divergence": 0.3,
        "rounding_divergence": min(told),
        "equalized": float(kept),
    }
    source = equalized(network) if kept else network
    levels = quantize_network(source, config.quantization)
    for name, weight in found.weights.items():
        step, expected = weight.levels.scale, levels[name].levels.scale
        assert step is not None
        assert expected is not None
        assert torch.equal(step, expected)
    images = torch.rand(4, 1, 12, 12)
    for name, tensor in found.network.state_dict().items():
        if not name.endswith("bias"):
            assert torch.equal(tensor, source.state_dict()[name])
    assert torch.isfinite(found.network(images)).all()


@pytest.mark.slow
def test_even_ranges_alone_are_judged_as_well(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    cache = StageCache(str(tmp_path / "cache"), 1e9)
    config = make_config(bits=3, epochs=1, calibration=CalibrationConfig(equalize=True))
    first, again = (run(config, bands, tmp_path / each, cache) for each in "ab")
    assert first.values["equalized"] in (0, 1)
    assert first.values["rounding_divergence"] <= first.values["nearest_divergence"]
    assert first.artifact.sha256 == again.artifact.sha256


@pytest.mark.slow
def test_codes_learned_block_by_block_are_packed_and_judged(
    bands: ImageData, make_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.quantization.rounding.blocks.STEPS", 20)
    plain = make_config(bits=3, fc_bits=3, epochs=1)
    learned = replace(plain, rounding="brecq", calibration=CalibrationConfig(images=16))
    first, second = (run(c, bands, tmp_path / c.rounding) for c in (plain, learned))
    assert first.values["memory_bytes"] == second.values["memory_bytes"]
    assert second.values["rounding_divergence"] <= second.values["nearest_divergence"]
