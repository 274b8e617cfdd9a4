"""A spec as a value: what is stored of it, and what makes two sweeps the same."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.objectives import Direction, Objective
from orchestrator.spec.measure_sections import ObjectiveSection
from orchestrator.spec.stored import places_of, with_places
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.spec.trainer import space_problems
from orchestrator.state_folder import StateFolder
from search_spaces import Int, SearchSpace, load_space
from trainers.evaluators.config import AttackConfig
from trainers.methods.config import METHOD_NAMES
from trainers.networks.backbone_table import WEIGHT_WORDS
from trainers.parameters import PARAMETERS
from trainers.pruning.config import PRUNING_PARAMETERS
from trainers.quantization import QuantizationConfig
from trainers.quantization.allocation import ALLOCATED_BITS
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.layer_bits import LAYER_BITS
from trainers.quantization.packing_config import PackingConfig

GIVEN: dict[str, Any] = {
    "name": "tiny",
    "backbone": {"name": "digitnet", "weights": "scratch"},
    "data": {"name": "digits", "limit": 300},
    "space": load_space("fc_quant").as_mapping(),
    "objectives": {
        "accuracy": "maximize",
        "memory_bytes": "minimize",
        "robust_accuracy": {"direction": "maximize", "attack": "pgd", "epsilon": "8/255"},
    },
    "constraints": ["memory_bytes <= 200kB"],
}


def spec(**changes: Any) -> SweepSpec:
    return SweepSpec.model_validate({**GIVEN, **changes})


def test_a_stored_spec_is_the_spec() -> None:
    stored = json.loads(json.dumps(spec().model_dump(mode="json")))
    assert SweepSpec.model_validate(stored) == spec()
    assert SweepSpec.model_validate(stored).fingerprint() == spec().fingerprint()


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {
            "budget": {
                "trials": 99,
                "seconds": 3,
                "plateau": 2,
                "retries": 0,
                "trial_seconds": 1,
                "disk": "2GB",
            }
        },
        {"resources": {"cpus": 2, "gpus": 0.5}},
        {"tracking": {"kind": "none"}},
        {"store": "sqlite:///elsewhere.db"},
        {"seed": 0},
        {"objectives": dict(reversed(GIVEN["objectives"].items()))},
        {"space": dict(reversed(GIVEN["space"].items()))},
    ],
)
def test_what_may_change_between_two_runs_leaves_the_fingerprint(changes: dict[str, Any]) -> None:
    assert spec(**changes).fingerprint() == spec().fingerprint()


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": {"name": "digitnet", "weights": "bundled"}},
        {"data": {"name": "digits", "limit": 301}},
        {"space": load_space("smoke").as_mapping()},
        {"training": {"epochs": 11}},
        {"head": {"widths": [8]}},
        {"head": {"rule": "pyramid"}},
        {"quantization": {"bits": 8}},
        {"objectives": {"accuracy": "maximize"}},
        {"constraints": []},
        {"sampler": {"kind": "random"}},
        {"replicates": 2},
        {"seed": 1},
    ],
)
def test_what_decides_the_meaning_of_a_trial_changes_the_fingerprint(
    changes: dict[str, Any],
) -> None:
    assert spec(**changes).fingerprint() != spec().fingerprint()


def test_every_section_is_in_the_fingerprint_or_known_to_be_free() -> None:
    free = {"name", "budget", "execution", "front_measures", "reference"}
    free |= {"resources", "tracking", "store", "storage", "warm_start", "callbacks"}
    measures = {"robust_accuracy_eps2": {"epsilon": "2/255"}}
    sections = {"pruning": {"sparsity": 0.5}, "methods": {}}
    given = spec(measures=measures, reference=True, claim={}, **sections)
    assert set(given.identity()) == set(SweepSpec.model_fields) - free
    assert "measures" not in spec().identity()


def test_objectives_keep_the_order_and_the_direction_of_the_file() -> None:
    assert spec().directed == (
        Objective("accuracy", Direction.MAXIMIZE),
        Objective("memory_bytes", Direction.MINIMIZE),
        Objective("robust_accuracy", Direction.MAXIMIZE),
    )
    assert [str(limit) for limit in spec().limits] == ["memory_bytes <= 200000"]


def test_several_attacks_have_a_name_each() -> None:
    strong = {"direction": "maximize", "epsilon": 0.1, "attack": "fgsm"}
    attacks = spec(objectives={**GIVEN["objectives"], "robust_accuracy_2": strong}).attacks
    assert attacks == {
        "robust_accuracy": AttackConfig("pgd", 8 / 255),
        "robust_accuracy_2": AttackConfig("fgsm", 0.1),
    }


def test_all_trials_share_what_the_spec_fixes() -> None:
    config = spec(
        training={"epochs": 3, "tune": "last_blocks:1"},
        head={"widths": [8, 4]},
        quantization={"bits": 4, "fc_bits": 3},
        resources={"cpus": 2},
    ).trial_config()
    assert (config.epochs, config.tune, config.widths) == (3, "last_blocks:1", (8, 4))
    assert (config.bits, config.fc_bits, config.threads) == (4, 3, 2)
    assert config.attacks == spec().attacks


QUANTIZATION = {
    "bits": 4,
    "fc_bits": 3,
    "quantizer": "entropy",
    "scope": "layer",
    "rate_weight": 2.0,
    "layers": {1: 8, 3: 32},
}


def test_a_quantization_reaches_the_trials() -> None:
    config = spec(quantization=QUANTIZATION).trial_config()
    expected = QuantizationConfig(4, 3, "entropy", "layer", {1: 8, 3: 32}, 2.0)
    assert config.quantization == expected
    assert config.qat == "none"
    assert spec(quantization={"bits": 4, "qat": "lsq"}).trial_config().qat == "lsq"


def test_groups_and_the_bits_of_levels_can_be_given_and_sampled() -> None:
    asked = {"quantizer": "kmeans", "scope": "channels:16", "codebook_bits": 8}
    found = spec(quantization=asked).trial_config()
    assert (found.scope, found.codebook_bits) == ("channels:16", 8)
    assert found.quantization == QuantizationConfig(
        quantizer="kmeans", scope="channels:16", codebook_bits=8
    )
    space = {
        "quantizer": {"type": "choice", "values": ["affine", "kmeans"]},
        "scope": {"type": "choice", "values": ["channel", "channels:4", "layer"]},
        "codebook_bits": {"type": "choice", "values": [32, 8], "when": "quantizer == 'kmeans'"},
    }
    assert spec(space=space).trial_config().codebook_bits == 32
    only_even = {**space, "quantizer": {"type": "choice", "values": ["affine", "symmetric"]}}
    only_even["codebook_bits"] = {"type": "choice", "values": [32, 8]}
    with pytest.raises(ValidationError, match="the quantizer is affine or symmetric, whose"):
        spec(space=only_even)


def test_a_range_of_bits_must_not_have_gaps() -> None:
    for name in ("bits", "codebook_bits"):
        (problem,) = space_problems(SearchSpace({name: Int(8, 32)}), {})
        assert problem[0] == name
        assert problem[1].startswith(f"{name} is 9, but a trial needs")


def test_a_rounding_and_its_images_reach_the_trials() -> None:
    asked = {"rounding": "gptq", "step": "mse", "calibration": {"images": 64, "batch_norm": True}}
    config = spec(quantization={"bits": 3, **asked}).trial_config()
    assert (config.rounding, config.step) == ("gptq", "mse")
    assert config.calibration == CalibrationConfig(images=64, batch_norm=True)
    reference = spec(quantization={"bits": 3, **asked}).reference_config()
    assert reference == spec().reference_config()


def test_the_form_of_packed_networks_reaches_the_trials_and_not_the_reference() -> None:
    asked = {"bits": 3, "packing": {"merge_norms": True, "vector_bits": 16, "header": "compact"}}
    form = PackingConfig(merge_norms=True, vector_bits=16, header="compact")
    given = spec(quantization=asked)
    assert given.trial_config().packing == form
    assert given.trial_config().quantization.packing == form
    assert given.reference_config() == spec().reference_config()
    again = SweepSpec.model_validate(json.loads(given.model_dump_json(exclude_none=True)))
    assert again.trial_config() == given.trial_config()


def test_the_reference_is_not_quantized_whatever_the_trials_are() -> None:
    quantized = spec(quantization=QUANTIZATION).reference_config()
    assert quantized == spec().reference_config()
    trained = spec(quantization={"bits": 4, "qat": "lsq"}).reference_config()
    assert (trained.quantization, trained.qat) == (QuantizationConfig(), "none")


def test_a_quantization_survives_the_store() -> None:
    asked = spec(quantization=QUANTIZATION)
    stored = json.loads(json.dumps(asked.model_dump(mode="json")))
    assert SweepSpec.model_validate(stored) == asked
    assert SweepSpec.model_validate(stored).fingerprint() == asked.fingerprint()


def test_what_is_not_asked_of_a_quantization_is_not_part_of_a_sweeps_identity() -> None:
    assert spec().identity()["quantization"] == {"bits": 32, "fc_bits": 32}


@pytest.mark.parametrize(
    ("quantization", "said"),
    [
        ({"quantizer": "k-means"}, "quantizer is 'k-means', but a trial needs 'symmetric' or"),
        ({"scope": "tensor"}, "scope is 'tensor', but a trial needs 'channel' or"),
        ({"scope": "channels:1"}, "scope is 'channels:1', but a trial needs 'channel' or"),
        ({"scope": "channels:4", "qat": "lsq"}, "and the scope 'channels:4'"),
        (
            {"codebook_bits": 16, "quantizer": "kmeans"},
            "codebook_bits is 16, but a trial needs 32 or 8",
        ),
        (
            {"codebook_bits": 8, "quantizer": "affine"},
            "codebook_bits is 8, and the quantizer is affine, whose levels are evenly spaced",
        ),
        ({"rate_weight": -1.0}, "rate_weight is -1.0, but a trial needs a number from 0 to 1000"),
        ({"layers": {1: 9}}, "bits_1 is 9, but a trial needs an integer from 2 to 8 or 32"),
        ({"layers": {0: 4}}, "Unknown parameter 'bits_0'"),
        ({"layers": {"one": 4}}, "valid integer"),
        ({"layers": [8]}, "valid dictionary"),
        ({"qat": "lsq", "quantizer": "kmeans"}, "qat is 'lsq' with the quantizer 'kmeans'"),
        ({"qat": "absmax", "scope": "global"}, "and the scope 'global'"),
        ({"step": "max"}, "step is 'max', but a trial needs 'absmax' or 'mse' or 'percentile'"),
        ({"rounding": "up"}, "rounding is 'up', but a trial needs 'nearest' or"),
        (
            {"rounding": "gptq", "qat": "lsq"},
            "qat is 'lsq' with the step 'absmax' and calibration",
        ),
        ({"packing": {"vector_bits": 8}}, "packing.vector_bits is 8; it is 32 or 16"),
        ({"packing": {"header": "zip"}}, "packing.header is 'zip'; accepted are json and compact"),
        ({"calibration": {"images": 0}}, "calibration.images is 0; it is an integer from 1"),
        ({"calibration": {"damping": 0.0}}, "calibration.damping is 0.0"),
    ],
)
def test_a_quantization_that_no_trial_can_have_is_refused(
    quantization: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        spec(quantization=quantization)


def test_a_rule_for_the_head_reaches_the_trials() -> None:
    config = spec(head={"rule": "fraction", "fraction": 0.25}).trial_config()
    assert (config.fc_rule, config.fc_fraction, config.widths) == ("fraction", 0.25, None)
    assert config.head_widths(10) == (64, 32)


def test_data_are_split_by_the_seed_of_the_sweep() -> None:
    assert spec(seed=5).data_config().seed == 5
    assert spec().data_config().limit == 300


def test_a_label_names_the_images() -> None:
    assert spec().data.label == "digits"
    assert spec(data={"folder": "/somewhere/birds"}).data.label == "birds"


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        spec().seed = 3


def test_training_has_every_parameter_that_is_not_of_the_network() -> None:
    quantization = {
        *type(spec().quantization).model_fields,
        *LAYER_BITS,
        ALLOCATED_BITS,
    }
    cut = {"depth", "width_multiplier", "policy", *PRUNING_PARAMETERS, *METHOD_NAMES}
    network = {"backbone", *cut, *quantization, *(name for name in PARAMETERS if "fc_" in name)}
    assert set(type(spec().training).model_fields) == set(PARAMETERS) - network


def test_measures_are_attacks_of_every_trial_and_front_measures_of_the_front() -> None:
    given = spec(
        measures={
            "robust_accuracy_l2": {"norm": "l2", "epsilon": 0.5},
            "deepfool_perturbation": {},
        },
        front_measures={
            "robust_accuracy_strong": {"attack": "autoattack", "samples": 500},
            "masked_gradient_signs": {"attack": "bim"},
            "deepfool_perturbation_all": {"samples": 1000},
        },
    )
    assert given.attacks == {
        "robust_accuracy": AttackConfig("pgd", 8 / 255),
        "robust_accuracy_l2": AttackConfig("pgd", 0.5, "l2"),
        "deepfool_perturbation": AttackConfig("deepfool"),
    }
    assert given.front_attacks == {
        "robust_accuracy_strong": AttackConfig("autoattack", samples=500),
        "masked_gradient_signs": AttackConfig("bim"),
        "deepfool_perturbation_all": AttackConfig("deepfool", samples=1000),
    }
    assert SweepSpec.model_validate(given.model_dump(mode="json")) == given
    assert given.fingerprint() != spec().fingerprint()
    assert spec(front_measures={"robust_accuracy_x": {}}).fingerprint() == spec().fingerprint()
    assert given.trial_config().attacks == given.attacks


def test_deepfool_is_an_objective_without_further_words() -> None:
    given = spec(objectives={"deepfool_perturbation": "maximize", "memory_bytes": "minimize"})
    assert given.attacks == {"deepfool_perturbation": AttackConfig("deepfool")}
    limited = spec(
        measures={"robust_accuracy_eps2": {"epsilon": "2/255"}},
        constraints=["robust_accuracy_eps2 >= 0.5", "deepfool_perturbation >= 0.01"][:1],
    )
    assert [limit.name for limit in limited.limits] == ["robust_accuracy_eps2"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"measures": {"robust_accuracy": {}}}, "never share a name"),
        ({"front_measures": {"robust_accuracy": {"attack": "apgd"}}}, "under objectives already"),
        (
            {
                "measures": {"robust_accuracy_a": {}},
                "front_measures": {"robust_accuracy_a": {}},
            },
            "under measures already.*robust_accuracy_a_strong",
        ),
        ({"measures": {"memory_bytes": {}}}, "is measured anyway"),
        ({"measures": {"robust_acuracy": {}}}, "Unknown objective 'robust_acuracy'"),
        ({"measures": {"masked_gradient_signs": {}}}, "write it under front_measures"),
        ({"objectives": {"masked_gradient_signs": "minimize"}}, "write it under front_measures"),
        ({"objectives": {"robust_accuracy_from_reference": "maximize"}}, "under front_measures"),
        ({"front_measures": {"accuracy": {}}}, "Unknown front measure 'accuracy'"),
        ({"front_measures": {"robust_accuracy_of_reference": {}}}, "write 'reference: true'"),
        ({"front_measures": {"masked_gradient_signs": {"attack": "fgsm"}}}, "steps of bim or pgd"),
        ({"measures": {"robust_accuracy_d": {"attack": "deepfool"}}}, "deepfool yields"),
        ({"measures": {"deepfool_perturbation": {"attack": "pgd"}}}, "deepfool yields"),
        ({"measures": {"deepfool_perturbation": {"epsilon": 0.1}}}, "deepfool has no epsilon"),
        ({"measures": {"robust_accuracy_a": {"direction": "maximize"}}}, "direction"),
        ({"constraints": ["robust_accuracy_strong >= 0.5"]}, "nothing measures"),
    ],
)
def test_measures_that_cannot_be_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        spec(**changes)


def test_where_images_and_weights_lie_is_no_part_of_the_identity() -> None:
    here, there = (
        spec(
            data={"npz": f"/{place}/images.npz"},
            backbone={"name": "digitnet", "weights": f"/{place}/w.safetensors"},
        )
        for place in ("here", "there")
    )
    assert here.fingerprint() == there.fingerprint() != spec().fingerprint()
    rooted = spec(data={"name": "digits", "root": "/here"})
    assert rooted.fingerprint() == spec(data={"name": "digits"}).fingerprint()
    # What names no path is told as it always was.
    assert spec().identity()["backbone"]["weights"] in WEIGHT_WORDS


def test_what_lies_in_the_project_is_found_where_that_is_now(tmp_path: Path) -> None:
    old, new = (tmp_path / name / ".paretune" for name in ("old", "new"))
    plain = {
        "data": {"npz": str(tmp_path / "old" / "images.npz"), "root": "/elsewhere"},
        "backbone": {"name": "digitnet", "weights": "bundled"},
    }
    places = places_of(plain, StateFolder(old))
    assert places == {"data.npz": "../images.npz"}
    # Where nothing lies there, the recorded path is all that is known.
    assert with_places(plain, {"places": places}, StateFolder(new)) == plain
    assert with_places(plain, {}, StateFolder(new)) == plain
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "images.npz").touch()
    found = with_places(plain, {"places": places}, StateFolder(new))
    assert found["data"]["npz"] == str(tmp_path / "new" / "images.npz")
    assert found["data"]["root"] == "/elsewhere"


PLAIN: dict[str, Any] = {
    "name": "a",
    "backbone": {"name": "digitnet", "weights": "scratch"},
    "data": {"name": "digits"},
    "space": load_space("smoke").as_mapping(),
    "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
}
ATTACKED_TOO = {
    "accuracy": "maximize",
    "macs": {"direction": "minimize"},
    "robust_accuracy": {"direction": "maximize", "attack": "fgsm", "epsilon": 0.1},
    "deepfool_perturbation": "maximize",
}
# As version 0 stored it.
MACS = {
    "attack": "pgd",
    "epsilon": 8 / 255,
    "norm": "linf",
    "steps": 10,
    "step_size": None,
    "restarts": 1,
    "samples": 200,
    "direction": "minimize",
}


@pytest.mark.parametrize(
    ("objectives", "fingerprint"),
    [
        (PLAIN["objectives"], "881ab80a391441bc3bd99d53004b1a52c249a2200a7443ceb406218a3a659f76"),
        (ATTACKED_TOO, "515954cc2b9fe77d480307ed287574df832aa34db7532063886df8b2626a33d0"),
        (
            {**ATTACKED_TOO, "macs": MACS},
            "515954cc2b9fe77d480307ed287574df832aa34db7532063886df8b2626a33d0",
        ),
    ],
)
def test_sweeps_that_were_stored_keep_their_fingerprints(
    objectives: dict[str, Any], fingerprint: str
) -> None:
    read = SweepSpec.model_validate({**PLAIN, "objectives": objectives})
    assert read.fingerprint() == fingerprint


def test_an_objective_without_an_attack_has_none_of_its_defaults() -> None:
    read = SweepSpec.model_validate({**PLAIN, "objectives": ATTACKED_TOO})
    for dumped in (read.model_dump(mode="json"), read.identity(), read.model_dump()):
        assert dumped["objectives"]["macs"] == {"direction": "minimize"}
        assert dumped["objectives"]["robust_accuracy"]["steps"] == 10
    assert SweepSpec.model_validate(read.model_dump(mode="json")) == read


def test_a_default_of_attacks_that_changes_leaves_what_has_no_attack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Later(ObjectiveSection):
        steps: int = 20

    monkeypatch.setattr("orchestrator.spec.sweep_spec.ObjectiveSection", Later)
    stored = {**PLAIN, "objectives": {**PLAIN["objectives"], "macs": MACS}}
    assert SweepSpec.model_validate(stored).identity()["objectives"]["macs"] == {
        "direction": "minimize"
    }
