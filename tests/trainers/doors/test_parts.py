"""Quantizers, criteria and attacks of a user's own are named by content and found again."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from trainers.artifact import load_artifact, write_artifact
from trainers.config import TrialConfig
from trainers.doors import DoorError, load_part, part_name
from trainers.errors import ArtifactError
from trainers.evaluators.config import AttackConfig
from trainers.networks.network import build_network
from trainers.pruning.config import PruningConfig
from trainers.quantization.config import QuantizationConfig
from trainers.quantization.weights import quantize_weight
from trainers.stages.keys import rounding_entry, training_key

CODE = """
import torch

def ends(values, bits):
    return torch.stack(values.aminmax(dim=1), dim=1)

def upper(values, bits):
    levels = ends(values, bits)
    return levels, levels[:, 1:]

def score(evidence):
    return evidence.weight.abs()

def nothing(network, pixels, labels):
    return pixels
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    file = tmp_path / "parts.py"
    file.write_text(CODE)
    return file


@pytest.fixture
def config(code: Path) -> TrialConfig:
    return TrialConfig(
        backbone="digitnet",
        weights="scratch",
        bits=4,
        quantizer=f"{code}:ends",
        pruning=PruningConfig(sparsity=0.5, criterion=f"{code}:score"),
        attacks={"robust_accuracy": AttackConfig(f"{code}:nothing")},
    )


def test_a_config_names_code_by_its_content_and_is_read_back(config: TrialConfig) -> None:
    mapping = config.as_mapping()
    assert mapping["quantizer"].startswith("parts:ends#")
    assert mapping["pruning"]["criterion"].startswith("parts:score#")
    assert mapping["attacks"]["robust_accuracy"]["attack"].startswith("parts:nothing#")
    assert TrialConfig.from_mapping(mapping).as_mapping() == mapping


def test_a_training_depends_on_the_criterion_and_not_on_the_quantizer(
    config: TrialConfig, code: Path
) -> None:
    facts = {"weights": "w", "data": "d", "device": "cpu"}
    before = training_key(config), rounding_entry(config, **facts)
    assert training_key(replace(config, quantizer="kmeans")) == before[0]
    code.write_text(CODE + "\n# another content\n")
    pruning = PruningConfig(sparsity=0.5, criterion=f"{code}:score")
    assert training_key(replace(config, pruning=pruning)) != before[0]
    assert rounding_entry(config, **facts) != before[1]


def test_code_of_another_content_is_never_run(code: Path) -> None:
    # Of a content that no other test has imported in this process.
    code.write_text(CODE + "\n# a first content\n")
    name = part_name("quantizers", f"{code}:ends")
    code.write_text(CODE + "\n# another content\n")
    with pytest.raises(DoorError, match="was changed"):
        load_part("quantizers", name)
    assert part_name("quantizers", f"{code}:ends") != name


def test_thresholds_of_ones_own_decide_the_rounding(code: Path) -> None:
    weight = torch.tensor([[-1.0, 0.4, 0.9, 1.0]])
    nearest, upwards = (
        quantize_weight(weight, 2, scheme=f"{code}:{name}").codes.tolist()
        for name in ("ends", "upper")
    )
    assert (nearest, upwards) == ([[-2, -1, -1, -1]], [[-2, -2, -2, -1]])


@pytest.mark.parametrize("scope", ["channel", "layer", "global"])
@pytest.mark.parametrize("vector_bits", [16, 32])
def test_a_packed_network_needs_no_code(
    code: Path, tmp_path: Path, scope: str, vector_bits: int
) -> None:
    config = QuantizationConfig(bits=3, fc_bits=4, quantizer=f"{code}:ends", scope=scope)
    config = replace(config, packing=replace(config.packing, vector_bits=vector_bits))
    network = build_network("digitnet", weights="scratch", widths=(4,), classes=2)
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    code.unlink()
    loaded = load_artifact(tmp_path / "m")
    assert len(loaded.state_dict()) == len(network.state_dict())
    first = next(module for module in loaded.modules() if isinstance(module, torch.nn.Conv2d))
    assert all(len(kernel.unique()) <= 2 for kernel in first.weight) or scope != "channel"


def test_a_scheme_without_a_digest_is_refused(code: Path, tmp_path: Path) -> None:
    config = QuantizationConfig(bits=3, quantizer=f"{code}:ends")
    network = build_network("digitnet", weights="scratch", widths=(4,), classes=2)
    write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    name = config.quantizer.encode()
    bad = name.replace(b"#", b"_")
    (tmp_path / "m").write_bytes((tmp_path / "m").read_bytes().replace(name, bad))
    with pytest.raises(ArtifactError, match="unknown scheme 'parts:ends_"):
        load_artifact(tmp_path / "m")


def test_settings_of_an_attack_of_ones_own_are_all_kept(code: Path) -> None:
    attack = AttackConfig(f"{code}:nothing", 0.1, "l2", 3, 0.05, 2, 10, 40)
    assert AttackConfig(**asdict(attack)) == attack
