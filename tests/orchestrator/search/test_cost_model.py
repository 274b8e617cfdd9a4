"""What is known before training is what the trial measures."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.contracts import Decision, Prepared
from orchestrator.objectives import Direction, Objective
from orchestrator.scheduling.moasha import MOASHA
from orchestrator.scheduling.peers import Peers
from orchestrator.search.cost_model import (
    KNOWN_NAMES,
    CostModel,
    comparable,
    known_sizes,
    sized_backbones,
)
from orchestrator.trials import Report, Trial, TrialState
from tests.orchestrator.driving import make_spec
from trainers.artifact import write_artifact
from trainers.artifact.layout import empty_network
from trainers.config import TrialConfig
from trainers.evaluators.counts import count_parameters
from trainers.networks.backbones.shapes import backbone_shapes, stored_shapes
from trainers.networks.network import assemble_network, build_backbone
from trainers.networks.shapes import network_shapes
from trainers.networks.spec import spec_of
from trainers.quantization.allocation import AllocationConfig
from trainers.quantization.config import CODEBOOK_BITS, QUANTIZERS, SCOPES

CLASSES = tuple(f"digit {number}\u00e9" for number in range(7))
BITS = st.sampled_from((2, 3, 4, 5, 6, 7, 8, 32))


def prepared(*backbones: str) -> Prepared:
    return Prepared(CLASSES, {name: backbone_shapes(name) for name in backbones})


@st.composite
def configs(draw: st.DrawFn, backbone: str, convolutions: int, blocks: int) -> TrialConfig:
    tunes = ["head", "all", *(f"last_blocks:{number}" for number in range(1, blocks + 1))]
    numbers = st.integers(1, convolutions)
    return TrialConfig(
        backbone=backbone,
        weights="scratch",
        widths=tuple(draw(st.lists(st.integers(1, 40), max_size=3))),
        tune=draw(st.sampled_from(tunes)),
        bits=draw(BITS),
        fc_bits=draw(BITS),
        quantizer=draw(st.sampled_from(QUANTIZERS)),
        scope=draw(st.sampled_from((*SCOPES, "channels:6"))),
        codebook_bits=draw(st.sampled_from(CODEBOOK_BITS)),
        layer_bits=draw(st.dictionaries(numbers, BITS, max_size=2)),
        dropout=draw(st.sampled_from((0.0, 0.5))),
    )


def measured(config: TrialConfig, folder: Path) -> Mapping[str, float]:
    """As `trainers.trial.run` measures them, of a network that was written."""
    network = assemble_network(
        build_backbone(config.backbone, "scratch"),
        config.head_widths(len(CLASSES)),
        len(CLASSES),
        dropout=config.dropout,
    )
    trained = sum(parameter.numel() for parameter in network.set_trainable(config.tune))
    written = write_artifact(
        network, folder / "artifact", quantization=config.quantization, classes=CLASSES
    )
    assert (folder / "artifact").stat().st_size == written.bytes
    return {
        "memory_bytes": written.bytes,
        "head_bytes": written.head_bytes,
        "backbone_bytes": written.backbone_bytes,
        "params": count_parameters(network),
        "head_params": count_parameters(network.head),
        "trainable_params": trained,
    }


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(configs("digitnet", 3, 3))
def test_known_sizes_are_those_of_the_written_digitnet(
    tmp_path_factory: pytest.TempPathFactory, config: TrialConfig
) -> None:
    known = known_sizes(config, prepared("digitnet"))
    assert known == measured(config, tmp_path_factory.mktemp("a"))
    assert tuple(known) == KNOWN_NAMES


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(configs("cifar_resnet20", 19, 10))
def test_known_sizes_are_those_of_the_written_cifar_resnet(
    tmp_path_factory: pytest.TempPathFactory, config: TrialConfig
) -> None:
    known = known_sizes(config, prepared("cifar_resnet20"))
    assert known == measured(config, tmp_path_factory.mktemp("a"))


@pytest.mark.parametrize("backbone", ["vgg11", "mobilenet_v3_small"])
def test_the_shapes_of_large_networks_are_those_of_the_network(backbone: str) -> None:
    config = TrialConfig(backbone=backbone, weights="scratch", widths=(8,), tune="last_blocks:2")
    spec = spec_of(backbone, (8,), len(CLASSES))
    network = empty_network(spec)
    shapes = network_shapes(backbone_shapes(backbone), spec)
    assert list(shapes.stored.items()) == list(stored_shapes(network).items())
    known = known_sizes(config, prepared(backbone))
    assert known["params"] == count_parameters(network)
    trained = sum(parameter.numel() for parameter in network.set_trainable("last_blocks:2"))
    assert known["trainable_params"] == trained


def known_of(**fixed: Any) -> CostModel:
    config = TrialConfig(backbone="digitnet", weights="scratch", widths=(8,))
    return CostModel(replace(config, **fixed), prepared("digitnet"))


def test_sampled_parameters_go_over_what_is_fixed() -> None:
    known = known_of(bits=8)
    assert known({"bits": 2})["memory_bytes"] < known({})["memory_bytes"]
    assert known({"fc_width_1": 16})["head_params"] == (576 + 1) * 16 + 17 * len(CLASSES)
    assert known({"tune": "all"})["trainable_params"] == known({})["params"]


def test_what_decides_no_size_is_not_computed_again() -> None:
    known = known_of()
    assert known({"learning_rate": 0.1, "bits": 4}) is known({"bits": 4, "dropout": 0.5})


def test_values_of_another_type_are_another_configuration() -> None:
    known = known_of()
    assert known({"fc_width_1": 1}) != {}
    assert known({"fc_width_1": True}) == {}
    assert known({"fc_width_1": 1}) != {}


def test_nothing_is_known_where_there_is_no_network_or_none_was_looked_at() -> None:
    known = known_of()
    assert known({"fc_layers": 2, "fc_width_1": 4}) == {}
    assert known({"bits_9": 4}) == {}
    assert known({"tune": "last_blocks:9"}) == {}
    assert known({"backbone": "vgg11"}) == {}
    assert CostModel(TrialConfig(backbone="digitnet", weights="scratch"), None)({}) == {}


def test_tensors_are_asked_for_only_if_a_constraint_needs_them() -> None:
    assert sized_backbones(make_spec()) == ()
    assert sized_backbones(make_spec(constraints=["accuracy >= 0.5"])) == ()
    limit = ["params <= 1e6"]
    assert sized_backbones(make_spec(constraints=limit)) == ("digitnet",)
    space = {"backbone": {"type": "choice", "values": ["digitnet", "vgg11"]}}
    assert sized_backbones(make_spec(space=space, constraints=limit)) == ("digitnet", "vgg11")


@pytest.mark.slow
def test_sizes_are_known_without_torch() -> None:
    code = "import sys, orchestrator.search.cost_model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bytes_of_a_pruned_network_are_not_known_and_an_empty_layer_is() -> None:
    model = CostModel(TrialConfig(backbone="digitnet", weights="scratch"), prepared("digitnet"))
    assert model({"pruning_sparsity": 0.0}).keys() == set(KNOWN_NAMES)
    assert model({"pruning_sparsity": 0.5}).keys() == {
        name for name in KNOWN_NAMES if not name.endswith("_bytes")
    }
    assert model({"pruning_sparsity": 0.99, "pruning_granularity": "filter"}) == {}


def test_the_bytes_of_a_budget_are_estimated_only_to_compare_trials() -> None:
    fixed = TrialConfig(backbone="digitnet", weights="scratch", widths=(8,))
    model = CostModel(fixed, prepared("digitnet"))
    budgets = (2.0, 2.4, 3.0, 3.7, 8.0)
    found = [model.estimated({"allocated_bits": bits})["memory_bytes"] for bits in budgets]
    assert found == sorted(set(found))
    everywhere = [model({"bits": bits, "fc_bits": bits})["memory_bytes"] for bits in (2, 3, 8)]
    assert [found[0], found[2], found[4]] == everywhere
    assert "memory_bytes" not in model({"allocated_bits": 3.0})
    assert model.estimated({"bits": 3, "fc_bits": 3}) == model({"bits": 3, "fc_bits": 3})
    within = replace(fixed, allocation=AllocationConfig(bytes=30_000))
    assert CostModel(within, prepared("digitnet")).estimated({})["memory_bytes"] == 30_000
    assert CostModel(fixed, None).estimated({"allocated_bits": 3.0}) == {}


def test_moasha_stops_no_network_for_what_its_budget_of_bits_makes_small() -> None:
    model = CostModel(
        TrialConfig(backbone="digitnet", weights="scratch", widths=(8,)), prepared("digitnet")
    )
    objectives = (
        Objective("accuracy", Direction.MAXIMIZE),
        Objective("memory_bytes", Direction.MINIMIZE),
    )
    scheduler = MOASHA(objectives, (), (1,), 3)
    decisions = {}
    for known in (model, comparable(model)):
        peers = Peers(3, known)
        for number, bits in enumerate((8.0, 6.0, 4.5, 3.5, 2.5)):
            params = {"allocated_bits": bits}
            trial = Trial("a", number, params, 0, TrialState.RUNNING)
            peers.observe(trial, Report(1, {"milestone_accuracy": 1 - 0.5**bits}))
        decisions[known] = scheduler.decide(4, 1, peers.of(trial, 1))
    assert list(decisions.values()) == [Decision.STOP, Decision.CONTINUE]
