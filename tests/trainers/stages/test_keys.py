"""Keys of stages: everything that a stage reads, and nothing else, decides its key."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.evaluators.config import AttackConfig
from trainers.methods import MethodsConfig
from trainers.parameters import PARAMETERS
from trainers.pruning import PruningConfig
from trainers.quantization.allocation import AllocationConfig
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.packing_config import PackingConfig
from trainers.recipes.config import RecipeConfig
from trainers.stages.keys import (
    after_training,
    features_entry,
    packed_features_entry,
    rounding_entry,
    training_entry,
    training_key,
)
from trainers.training.finetune import FineTuning

QUANTIZATION = {"bits", "fc_bits", "quantizer", "scope", "layer_bits", "rate_weight", "step"}
QUANTIZATION |= {"activation_bits", "packing", "codebook_bits"}
ALTERNATIVES: dict[str, list[Any]] = {
    "backbone": ["cifar_resnet20"],
    "weights": ["bundled", "some.safetensors"],
    "depth": [1],
    "depth_cap": [1],
    "depth_start": ["fused"],
    "width_multiplier": [0.5, "match_macs"],
    "image_size": [28],
    "widths": [(3,), (4, 5)],
    "fc_rule": ["pyramid", "full"],
    "fc_fraction": [0.5],
    "tune": ["all", "last_blocks:1"],
    "epochs": [4],
    "batch_size": [16],
    "optimizer": ["sgd"],
    "learning_rate": [0.1],
    "weight_decay": [0.5],
    "dropout": [0.2],
    "label_smoothing": [0.2],
    "seed": [1],
    "qat": ["absmax", "lsq"],
    "recipe": [RecipeConfig(augment="flip"), RecipeConfig(ema=0.9), RecipeConfig(patience=3)],
    "methods": [MethodsConfig(distillation=0.5), MethodsConfig(adjoined=True)],
    "pruning": [PruningConfig(sparsity=0.5), PruningConfig(sparsity=0.5, granularity="filter")],
}
AFTERWARDS: dict[str, list[Any]] = {
    "bits": [2, 8],
    "fc_bits": [3],
    "layer_bits": [{1: 4}],
    "quantizer": ["kmeans", "affine"],
    "scope": ["layer", "global", "channels:4"],
    "rate_weight": [1.0],
    "codebook_bits": [8],
    "step": ["mse", "percentile"],
    "rounding": ["gptq", "adaround", "brecq"],
    "activation_bits": [4],
    "activation_range": ["mse"],
    "calibration": [CalibrationConfig(images=8), CalibrationConfig(equalize=True)],
    "packing": [PackingConfig(header="compact"), PackingConfig(vector_bits=16)],
    "attacks": [{"robust_accuracy": AttackConfig("fgsm")}],
    "threads": [2],
    "functions": [{"my_metric": "my_module:size"}],
    "latency": [True],
}
PLAIN = TrialConfig(backbone="digitnet", weights="scratch")
# What is fused comes from a file.
CUT = TrialConfig(backbone="digitnet", weights="bundled", depth=1)


def changed(config: TrialConfig, name: str, value: Any) -> TrialConfig:
    # A fraction stands with its rule alone.
    extra = {"fc_rule": "fraction"} if name == "fc_fraction" else {}
    return replace(config, **{name: value, **extra})


def test_every_field_of_a_config_is_tried_here() -> None:
    assert {entry.name for entry in fields(TrialConfig)} == {
        *ALTERNATIVES,
        *AFTERWARDS,
        "allocation",
        "reuse",
    }


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, them in ALTERNATIVES.items() for value in them]
)
def test_what_training_reads_decides_its_key(name: str, value: Any) -> None:
    plain = CUT if name == "depth_start" else PLAIN
    assert training_key(changed(plain, name, value)) != training_key(plain)


@given(st.fixed_dictionaries({}, optional={n: st.sampled_from(v) for n, v in AFTERWARDS.items()}))
def test_what_is_read_after_training_does_not(changes: dict[str, Any]) -> None:
    assert training_key(replace(PLAIN, **changes)) == training_key(PLAIN)


def test_a_budget_of_bits_is_read_after_training() -> None:
    assert training_key(replace(PLAIN, allocation=AllocationConfig(bits=3))) == training_key(PLAIN)
    assert "allocated_bits" in after_training("none")


def test_without_pruning_its_other_settings_decide_nothing() -> None:
    assert training_key(replace(PLAIN, pruning=PruningConfig(granularity="filter"))) == (
        training_key(PLAIN)
    )


def test_features_of_a_pruned_backbone_have_a_key_of_their_own() -> None:
    def key(**pruning: Any) -> str:
        config = replace(PLAIN, seed=pruning.pop("seed", 0), pruning=PruningConfig(**pruning))
        return features_entry(config, input_spec={}, weights="w", data="d", device="cpu")

    assert key(granularity="kernel") == key()
    assert len({key(), key(sparsity=0.5), key(sparsity=0.5, context="global")}) == 3
    assert key(sparsity=0.5, seed=1) == key(sparsity=0.5)
    assert key(sparsity=0.5, criterion="random", seed=1) != key(sparsity=0.5, criterion="random")


@pytest.mark.parametrize("name", ["bits", "fc_bits", "layer_bits", "scope"])
@pytest.mark.parametrize("qat", ["absmax", "lsq"])
def test_with_qat_bits_decide_the_training_too(qat: str, name: str) -> None:
    config = replace(PLAIN, qat=qat)
    assert training_key(replace(config, **{name: AFTERWARDS[name][0]})) != training_key(config)
    assert training_key(replace(config, rate_weight=1.0)) == training_key(config)


def test_the_parameters_after_training_are_those_that_the_key_does_not_hold() -> None:
    later = after_training("none")
    assert later <= PARAMETERS.keys()
    assert {"bits", "fc_bits", "quantizer", "scope", "rate_weight", "bits_1"} <= later
    assert not later & set(ALTERNATIVES)
    for qat in ("lsq", "absmax"):
        assert after_training(qat) == {
            *("quantizer", "rate_weight", "step", "rounding", "codebook_bits"),
            *("activation_bits", "activation_range", "allocated_bits"),
        }


def test_training_reads_nothing_that_its_key_does_not_hold(
    bands: ImageData, make_config: Callable[..., TrialConfig]
) -> None:
    read: set[str] = set()

    class Watched(TrialConfig):
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            read.add(name)
            return super().__getattribute__(name)

    config = make_config(epochs=1, tune="last_blocks:1", dropout=0.1)
    plain = {entry.name: getattr(config, entry.name) for entry in fields(config)}
    watched = Watched(**plain)
    # Where all is reused the key has no such part; tests/trainers/networks/test_reuse.py.
    read.clear()
    FineTuning(watched, bands, device=torch.device("cpu")).run_epoch()
    assert {"seed", "dropout", "learning_rate"} <= read
    # All of the quantization is handed over, whether `qat` looks at it or not.
    assert read & {entry.name for entry in fields(config)} <= {
        *ALTERNATIVES,
        *QUANTIZATION,
        "allocation",
        "rounding",
        "reuse",
    }


@pytest.mark.parametrize(
    ("qat", "changes"),
    [
        ("none", {"bits": 3, "fc_bits": 2, "quantizer": "kmeans", "scope": "layer"}),
        ("none", {"layer_bits": {1: 4}, "rate_weight": 1.0, "quantizer": "entropy"}),
        ("none", {"step": "mse", "rounding": "gptq"}),
        ("absmax", {"rate_weight": 1.0}),
    ],
)
def test_configs_with_the_same_key_are_trained_to_the_same_bits(
    bands: ImageData, make_config: Callable[..., TrialConfig], qat: str, changes: dict[str, Any]
) -> None:
    torch.set_num_threads(1)
    first = make_config(epochs=1, tune="last_blocks:1", qat=qat, bits=4)
    second = replace(first, **changes)
    assert training_key(first) == training_key(second)
    states = []
    for config in (first, second):
        training = FineTuning(config, bands, device=torch.device("cpu"))
        training.run_epoch()
        states.append(training.network.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


GIVEN: dict[str, Any] = {"weights": "w", "data": "d", "device": "cpu"}


@pytest.mark.parametrize("change", [{"weights": "x"}, {"data": "x"}, {"device": "cuda"}])
def test_weights_images_and_hardware_decide_every_stage(change: dict[str, str]) -> None:
    spec = {"input_spec": {"height": 28}}
    assert features_entry(PLAIN, **spec, **GIVEN) != features_entry(
        PLAIN, **spec, **GIVEN | change
    )
    head = {"widths": (8,)}
    assert training_entry(PLAIN, **head, **GIVEN) != training_entry(
        PLAIN, **head, **GIVEN | change
    )
    assert packed_features_entry("digitnet", **spec, **GIVEN) != packed_features_entry(
        "digitnet", **spec, **GIVEN | change
    )


def test_packed_features_are_those_of_a_backbone_its_input_and_a_stage_of_their_own() -> None:
    given = {"input_spec": {"height": 28}, **GIVEN}
    entry = packed_features_entry("digitnet", **given)
    assert entry == packed_features_entry("digitnet", **given)
    assert entry != packed_features_entry("cifar_resnet20", **given)
    assert entry != packed_features_entry("digitnet", **given | {"input_spec": {"height": 32}})
    assert entry != features_entry(PLAIN, **given)


def test_the_same_head_by_another_rule_is_the_same_training() -> None:
    explicit = replace(PLAIN, widths=(8,))
    by_rule = replace(PLAIN, fc_rule="pyramid")
    names = {training_entry(c, widths=(8,), **GIVEN) for c in (explicit, by_rule)}
    assert len(names) == 1
    assert names != {training_entry(explicit, widths=(9,), **GIVEN)}


def test_weights_of_the_same_content_are_the_same_whatever_they_are_called() -> None:
    copy = replace(PLAIN, weights="copy.safetensors")
    assert training_entry(PLAIN, widths=(), **GIVEN) == training_entry(copy, widths=(), **GIVEN)


@given(st.sampled_from(["epochs", "learning_rate", "widths", "dropout", "seed", "tune"]))
def test_features_are_those_of_the_backbone_whatever_the_head_learns(name: str) -> None:
    other = changed(PLAIN, name, ALTERNATIVES[name][0])
    spec = {"input_spec": {"height": 28}}
    assert features_entry(PLAIN, **spec, **GIVEN) == features_entry(other, **spec, **GIVEN)


def test_bits_decide_features_only_where_training_sees_them() -> None:
    def entry(**changes: Any) -> str:
        return features_entry(replace(PLAIN, **changes), input_spec={}, **GIVEN)

    assert entry(bits=4) == entry(bits=8) == entry()
    assert len({entry(bits=bits, qat="absmax") for bits in (3, 4, 32)}) == 3
    assert entry(bits=4, qat="absmax") == entry(bits=4, qat="lsq") != entry()
    assert entry(bits=4, qat="absmax", fc_bits=2) == entry(bits=4, qat="absmax")
    assert entry(bits=4, qat="lsq", scope="layer") != entry(bits=4, qat="lsq")
    assert features_entry(PLAIN, input_spec={"height": 32}, **GIVEN) != entry()


@pytest.mark.parametrize(
    "changes",
    [
        {"bits": 3},
        {"fc_bits": 3},
        {"layer_bits": {1: 4}},
        {"quantizer": "kmeans"},
        {"scope": "layer"},
        {"step": "mse"},
        {"rounding": "gptq"},
        {"calibration": CalibrationConfig(batch_norm=True)},
    ],
)
def test_all_of_a_quantization_and_the_trained_weights_decide_its_codes(
    changes: dict[str, Any],
) -> None:
    plain = rounding_entry(PLAIN, **GIVEN)
    assert rounding_entry(replace(PLAIN, **changes), **GIVEN) != plain
    assert rounding_entry(PLAIN, **GIVEN | {"weights": "x"}) != plain
    assert rounding_entry(replace(PLAIN, learning_rate=0.5, seed=3), **GIVEN) == plain
