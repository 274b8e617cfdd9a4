"""A trial whose layers get their bits under a budget, once it is trained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trainers.trial.test_calibrated import run
from trainers.artifact import load_artifact, predict_bytes, read_header
from trainers.config import TrialConfig, with_params
from trainers.data import ImageData
from trainers.quantization.allocation import AllocationConfig
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.config import QuantizationConfig
from trainers.stages.cache import StageCache
from trainers.trial.allocated import Allocations, sensitivities

Config = Callable[..., TrialConfig]


@pytest.mark.slow
@pytest.mark.parametrize("quantizer", ["affine", "kmeans"])
def test_the_file_is_within_the_budget(
    bands: ImageData, make_config: Config, tmp_path: Path, quantizer: str
) -> None:
    cache = StageCache(str(tmp_path / "cache"), 1e9)
    config = make_config(epochs=1, quantizer=quantizer, scope="layer")
    found = {}
    for budget in (30_000, 40_000):
        asked = replace(config, allocation=AllocationConfig(bytes=budget, images=8))
        found[budget] = run(asked, bands, tmp_path / str(budget), cache)
        assert found[budget].values["memory_bytes"] <= budget
        # Some layer could have been given a bit more, and not many bytes are left.
        assert found[budget].values["memory_bytes"] > 0.9 * budget
    few, many = found.values()
    assert few.values["weight_bits"] < many.values["weight_bits"]
    assert few.values["allocation_divergence"] > many.values["allocation_divergence"]
    # The training and the sensitivities of the first are those of the second.
    assert few.values["cached_stages"] == 0
    assert many.values["cached_stages"] == 2


@pytest.mark.slow
def test_the_mean_bits_are_at_most_those_asked_for(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    fixed = make_config(epochs=1, rounding="gptq", step="mse")
    config = with_params(fixed, {"allocated_bits": 3.5}, seed=0)
    found = run(config, bands, tmp_path)
    assert 3.0 < found.values["weight_bits"] <= 3.5
    planned = read_header(found.artifact.path).quantized.weights
    network = load_artifact(found.artifact.path)
    counts = {name: network.get_parameter(name).numel() for name in planned}
    mean = sum(planned[n].bits * count for n, count in counts.items()) / sum(counts.values())
    assert mean == pytest.approx(found.values["weight_bits"])
    assert len({plan.bits for plan in planned.values()}) > 1


@pytest.mark.slow
def test_a_front_never_loses_more_with_more_bits(bands: ImageData, make_config: Config) -> None:
    from trainers.training.finetune import FineTuning

    network = FineTuning(make_config(), bands, device=torch.device("cpu")).network
    config = QuantizationConfig(quantizer="affine", step="mse")
    layers = sensitivities(network, config, bands, images=4, seed=0)
    every = Allocations(network.spec, config, bands.classes, layers)
    front = every.front([2, 3, 4.5, 8])
    assert [each.mean_bits for each in front] == sorted({each.mean_bits for each in front})
    losses = [each.divergence for each in front]
    assert losses == sorted(losses, reverse=True)
    for each in front:
        given = replace(config, bits=8, layer_bits=each.layer_bits, fc_bits=each.fc_bits)
        assert each.memory_bytes == predict_bytes(network.spec, given, bands.classes)


def test_a_budget_below_two_bits_is_refused(bands: ImageData, make_config: Config) -> None:
    from trainers.training.finetune import FineTuning

    network = FineTuning(make_config(), bands, device=torch.device("cpu")).network
    layers = sensitivities(network, QuantizationConfig(), bands, images=4, seed=0)
    every = Allocations(network.spec, QuantizationConfig(), bands.classes, layers)
    with pytest.raises(ValueError, match=r"with 2 bits everywhere .* raise the budget"):
        every.within(AllocationConfig(bytes=1000))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"bits": 4}, "bits: 4 is given too"),
        ({"layer_bits": {2: 4}}, "bits_2: 4 is given too"),
        ({"scope": "global"}, "scope: channel, channels:N or layer"),
        ({"qat": "lsq"}, "qat: none"),
    ],
)
def test_what_a_budget_would_overrule_is_refused(
    make_config: Config, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        make_config(allocation=AllocationConfig(bits=3), **changes)


def test_a_config_without_a_budget_says_nothing_of_one(make_config: Config) -> None:
    assert "allocation" not in make_config().as_mapping()
    config = make_config(allocation=AllocationConfig(bytes=60_000))
    assert TrialConfig.from_mapping(config.as_mapping()) == config


@pytest.mark.slow
def test_sensitivities_with_the_rounding_are_another_stage_and_other_bits(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    cache = StageCache(str(tmp_path / "cache"), 1e9)
    plain = make_config(
        epochs=1,
        # Each layer is rounded at each number of bits.
        width_multiplier=0.25,
        rounding="gptq",
        quantizer="affine",
        step="mse",
        calibration=CalibrationConfig(images=4),
        allocation=AllocationConfig(bits=3.0, images=4),
    )
    rounded = replace(plain, allocation=AllocationConfig(bits=3.0, images=4, rounded=True))
    found = [
        run(each, bands, tmp_path / str(place), cache)
        for place, each in enumerate((plain, rounded))
    ]
    lost = [each.values["allocation_divergence"] for each in found]
    assert lost[1] < 0.8 * lost[0]
    assert "rounded" not in plain.as_mapping()["allocation"]
    assert TrialConfig.from_mapping(rounded.as_mapping()) == rounded
