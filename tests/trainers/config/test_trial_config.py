"""What a trial is told: checked once, the same after a journey, importable without torch."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.config import TrialConfig, with_params
from trainers.evaluators.config import AttackConfig
from trainers.methods.config import METHOD_NAMES
from trainers.parameters import PARAMETERS, Accepts, check_parameter
from trainers.pruning.config import PRUNING_PARAMETERS
from trainers.quantization import QuantizationConfig
from trainers.quantization.calibration import CalibrationConfig

FIXED = TrialConfig(backbone="digitnet", weights="scratch", widths=(9,))


def values(accepts: Accepts) -> st.SearchStrategy[Any]:
    """What a parameter may be."""
    if accepts.flag:
        return st.booleans()
    if accepts.low is None:
        return st.sampled_from(accepts.words or accepts.also)
    low, high = accepts.low, min(accepts.high, 70_000)
    return st.integers(int(low), int(high)) if accepts.whole else st.floats(low, high)


# Of the 200 bits of single convolutions, three will do.
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        name: values(accepts)
        for name, accepts in PARAMETERS.items()
        # Not possible with every backbone, quantizer and tune: a test of their own is below.
        if name not in ("policy", "depth", "width_multiplier", *PRUNING_PARAMETERS, *METHOD_NAMES)
        and (not name.startswith("bits_") or name in ("bits_1", "bits_7", "bits_200"))
    },
)


@pytest.mark.parametrize(
    "params",
    [
        {"policy": "none"},
        {"depth": 3, "width_multiplier": 0.5},
        {"pruning_sparsity": 0.5, "pruning_schedule": "gradual", "pruning_criterion": "movement"},
        {"pruning_sparsity": 0.25, "pruning_granularity": "channel"},
        {"distillation": 0.5, "temperature": 2.0, "l2sp": 0.1},
        {"adversarial": "pgd", "adversarial_epsilon": 0.1, "expand": "all"},
    ],
    ids=str,
)
def test_a_config_of_reused_cut_pruned_or_taught_networks_survives_json(
    params: dict[str, Any],
) -> None:
    fixed = TrialConfig(backbone="vgg16", weights="imagenet", tune="all")
    config = with_params(fixed, params, seed=3)
    assert config != with_params(fixed, {}, seed=3)
    assert TrialConfig.from_mapping(json.loads(json.dumps(config.as_mapping()))) == config


@given(PARAMS, st.integers(0, 2**62))
@pytest.mark.slow
def test_a_config_survives_json(params: dict[str, Any], seed: int) -> None:
    attacks = {"robust_accuracy": AttackConfig("pgd", 8 / 255), "r2": AttackConfig("fgsm", 0.5)}
    fixed = TrialConfig(backbone="vgg16", weights="imagenet", attacks=attacks, image_size=64)
    if params.get("qat", "none") != "none" or params.get("scope") == "global":
        for name in ("step", "rounding", "allocated_bits"):
            params.pop(name, None)
    if "allocated_bits" in params:
        params = {name: v for name, v in params.items() if name.rpartition("_")[0] != "bits"}
        for name in ("bits", "fc_bits"):
            params.pop(name, None)
    names = [f"fc_width_{n}" for n in (1, 2, 3)]
    layers = params.get("fc_layers", sum(name in params for name in names))
    rule = params.get("fc_rule", "explicit" if layers else "full")
    mismatch = [rule == "explicit", rule == "fraction"] != [layers > 0, "fc_fraction" in params]
    untrainable = params.get("qat", "none") != "none" and (
        params.get("quantizer", "symmetric") != "symmetric" or params.get("scope") == "global"
    )
    mixes = params.get("mixup") or params.get("cutmix")
    untrainable |= bool(mixes) and params.get("class_weights", "none") != "none"
    if any(name not in params for name in names[:layers]) or mismatch or untrainable:
        why = r"not given|sizing rule|takes the quantizer|cannot be used with mixup"
        with pytest.raises(ValueError, match=why):
            with_params(fixed, params, seed=seed)
        return
    config = with_params(fixed, params, seed=seed)
    assert TrialConfig.from_mapping(json.loads(json.dumps(config.as_mapping()))) == config
    assert config.seed == seed
    for name, value in params.items():
        if name in config.as_mapping():
            assert getattr(config, name) == value


def test_parameters_go_over_what_is_fixed() -> None:
    config = with_params(FIXED, {"bits": 4, "tune": "all"}, seed=3)
    assert (config.bits, config.tune, config.seed, config.widths) == (4, "all", 3, (9,))
    assert (FIXED.bits, FIXED.tune, FIXED.seed) == (32, "head", 0)


@pytest.mark.parametrize(
    ("params", "widths"),
    [
        ({}, (9,)),
        ({"fc_width_1": 5}, (5,)),
        ({"fc_width_1": 5, "fc_width_2": 6}, (5, 6)),
        ({"fc_layers": 1, "fc_width_1": 5, "fc_width_2": 6}, (5,)),
        ({"fc_layers": 3, "fc_width_3": 7, "fc_width_2": 6, "fc_width_1": 5}, (5, 6, 7)),
    ],
)
def test_widths_are_those_given_in_order(params: dict[str, Any], widths: tuple[int, ...]) -> None:
    assert with_params(FIXED, params, seed=0).widths == widths


def test_bits_of_single_convolutions_go_over_what_is_fixed() -> None:
    fixed = TrialConfig(backbone="digitnet", weights="scratch", bits=4, layer_bits={1: 8, 2: 8})
    config = with_params(fixed, {"bits": 3, "bits_2": 2, "bits_10": 32}, seed=0)
    assert config.layer_bits == {1: 8, 2: 2, 10: 32}
    assert config.quantization == QuantizationConfig(bits=3, layer_bits={1: 8, 2: 2, 10: 32})
    assert fixed.layer_bits == {1: 8, 2: 8}


def test_every_word_of_a_quantization_reaches_it() -> None:
    params = {"quantizer": "entropy", "scope": "global", "rate_weight": 2.0, "fc_bits": 5}
    quantization = with_params(FIXED, params, seed=0).quantization
    assert quantization == QuantizationConfig(32, 5, "entropy", "global", rate_weight=2.0)


def test_settings_without_effect_are_not_part_of_a_config_as_earlier_versions_wrote_it() -> None:
    later = {"step", "rounding", "calibration"}
    assert not later & FIXED.as_mapping().keys()
    rounded = with_params(FIXED, {"bits": 3, "step": "mse", "rounding": "gptq"}, seed=0)
    rounded = replace(rounded, calibration=CalibrationConfig(images=7))
    assert later <= rounded.as_mapping().keys()
    assert "equalize" not in rounded.as_mapping()["calibration"]
    assert rounded.quantization.step == "mse"
    assert rounded.is_calibrated
    even = replace(rounded, calibration=CalibrationConfig(equalize=True))
    for config in (FIXED, rounded, even):
        assert TrialConfig.from_mapping(json.loads(json.dumps(config.as_mapping()))) == config


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "mse"},
        {"rounding": "gptq"},
        {"calibration": CalibrationConfig(batch_norm=True)},
        {"calibration": CalibrationConfig(equalize=True)},
    ],
)
def test_training_with_quantized_weights_decides_their_codes_itself(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="decides steps, codes and batch norms itself"):
        replace(FIXED, qat="lsq", **changes)


def test_training_with_quantized_weights_needs_symmetric_ones() -> None:
    assert with_params(FIXED, {"qat": "lsq"}, seed=0).qat == "lsq"
    with pytest.raises(ValueError, match="qat is 'lsq' with the quantizer 'affine'"):
        with_params(FIXED, {"qat": "lsq", "quantizer": "affine"}, seed=0)


@pytest.mark.parametrize(
    ("params", "lacking"),
    [
        ({"fc_layers": 2, "fc_width_1": 5}, "fc_width_2"),
        ({"fc_layers": 1}, "fc_width_1"),
        ({"fc_width_2": 5}, "fc_width_1"),
    ],
)
def test_a_width_that_is_missing_is_named(params: dict[str, Any], lacking: str) -> None:
    with pytest.raises(ValueError, match=f"{lacking} is not given"):
        with_params(FIXED, params, seed=0)


def test_without_widths_the_head_is_the_full_one() -> None:
    assert TrialConfig(backbone="digitnet", weights="scratch").head_widths(10) == (256, 128)
    assert FIXED.head_widths(10) == (9,)


PYRAMID = TrialConfig(backbone="digitnet", weights="scratch", fc_rule="pyramid")
HALF = TrialConfig(backbone="digitnet", weights="scratch", fc_rule="fraction", fc_fraction=0.5)


@pytest.mark.parametrize(
    ("fixed", "params", "widths"),
    [
        (PYRAMID, {}, (149, 39)),
        (PYRAMID, {"fc_rule": "full"}, (256, 128)),
        (PYRAMID, {"fc_width_1": 7}, (7,)),
        (PYRAMID, {"fc_rule": "explicit", "fc_width_1": 7}, (7,)),
        (FIXED, {"fc_rule": "explicit"}, (9,)),
        (FIXED, {"fc_rule": "sqrt"}, (76,)),
        (FIXED, {"fc_rule": "fraction", "fc_fraction": 0.25}, (64, 32)),
        (HALF, {}, (128, 64)),
        (HALF, {"fc_rule": "pyramid"}, (149, 39)),
        (HALF, {"fc_fraction": 0.25}, (64, 32)),
        (HALF, {"fc_rule": "fraction"}, (128, 64)),
        (HALF, {"fc_width_1": 7}, (7,)),
    ],
)
def test_what_is_sampled_of_a_head_goes_over_what_is_fixed(
    fixed: TrialConfig, params: dict[str, Any], widths: tuple[int, ...]
) -> None:
    config = with_params(fixed, params, seed=0)
    assert config.head_widths(10) == widths
    assert TrialConfig.from_mapping(json.loads(json.dumps(config.as_mapping()))) == config


@pytest.mark.parametrize(
    ("fixed", "params", "said"),
    [
        (FIXED, {"fc_rule": "pyramid", "fc_width_1": 7}, "decides the widths"),
        (FIXED, {"fc_rule": "fraction"}, "needs a fraction"),
        (FIXED, {"fc_fraction": 0.5}, "the sizing rule is 'explicit'"),
        (FIXED, {"fc_rule": "pyramid", "fc_fraction": 0.5}, "the sizing rule is 'pyramid'"),
        (HALF, {"fc_rule": "explicit"}, "needs the widths"),
    ],
)
def test_a_rule_with_what_it_does_not_take_is_refused(
    fixed: TrialConfig, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        with_params(fixed, params, seed=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bits", 1),
        ("bits", 9),
        ("bits", 4.0),
        ("bits", True),
        ("bits", "4"),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", 0),
        ("tune", "last_blocks:0"),
        ("tune", "last_blocks:"),
        ("tune", "last_blocks:1\n"),
        ("tune", "heads"),
        ("optimizer", 1),
        ("epochs", 0),
        ("dropout", 1),
        ("backbone", "alexnett"),
        ("fc_layers", 4),
        ("bits_1", 1),
        ("quantizer", "k-means"),
        ("scope", "row"),
        ("qat", True),
        ("step", "max"),
        ("rounding", "stochastic"),
        ("rate_weight", -1),
    ],
)
def test_a_value_that_no_trial_can_run_with_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is .* needs ") as caught:
        check_parameter(name, value)
    assert str(PARAMETERS[name]) in str(caught.value)


def test_a_config_checks_what_it_fixes() -> None:
    with pytest.raises(ValueError, match="fc_width_2 is 0"):
        TrialConfig(backbone="digitnet", weights="scratch", widths=(1, 0))
    with pytest.raises(ValueError, match="epochs is 0"):
        TrialConfig(backbone="digitnet", weights="scratch", epochs=0)


def test_the_bits_of_200_convolutions_are_not_listed_one_by_one() -> None:
    for name in ("bits_0", "bits_201", "bits_01", "bits_"):
        with pytest.raises(ValueError, match=r"bits_1 to bits_200\.") as caught:
            check_parameter(name, 4)
        assert "bits_17" not in str(caught.value)


def test_an_unknown_parameter_is_guessed_at() -> None:
    with pytest.raises(ValueError, match="Did you mean 'dropout'"):
        check_parameter("dropuot", 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_says_what_it_is_and_accepts(name: str) -> None:
    assert PARAMETERS[name].meaning
    assert str(PARAMETERS[name])


def test_a_config_is_read_without_torch() -> None:
    code = "import sys, trainers.config; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True)
