"""Nodes that share no disk with the driver: nothing that was trained is lost."""

import re
from pathlib import Path

import pytest
import yaml

from orchestrator.places import network_file
from orchestrator.reporting.export import export
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import SweepState, TrialState
from tests.private_nodes import PrivateNodes
from tests.stack.commands import FIRST_NODES, STACK, paretune

pytestmark = STACK

SWEEP = {
    "name": "apart",
    "backbone": {"name": "digitnet", "weights": "scratch"},
    "data": {"name": "digits", "limit": 300},
    "space": {
        "fc_width_1": {"type": "int", "low": 4, "high": 64},
        "bits": {"type": "choice", "values": [3, 4, 8]},
    },
    "training": {"epochs": 2, "batch_size": 64},
    "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
    "front_measures": {"masked_gradient_signs": {"samples": 16, "steps": 2}},
    "sampler": {"kind": "random"},
    "budget": {"trials": 6},
    "tracking": {"kind": "none"},
}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(SWEEP))
    return path


def test_every_network_and_its_predictions_return_to_the_driver(
    nodes: PrivateNodes, sweep: Path, tmp_path: Path
) -> None:
    done = paretune(nodes, "run", str(sweep))
    assert done.returncode == 0, done.stdout + done.stderr + nodes.said()
    store = open_store(state=StateFolder(nodes.state))
    trials = store.trials("apart", [TrialState.COMPLETE])
    assert (store.sweep("apart").state, len(trials)) == (SweepState.COMPLETE, 6)
    for trial in trials:
        assert trial.artifact is not None
        file = network_file(trial.artifact, "it")
        assert file.is_relative_to(nodes.state)
        export("apart", trial.number, tmp_path / str(trial.number), store)
        assert len(list(file.parent.iterdir())) == 3
    # A front measure was taken, and what it found came back as well.
    measured = [trial for trial in trials if "masked_gradient_signs" in trial.values]
    assert measured
    assert all("test_accuracy" in trial.values for trial in measured)
    # Each attempt says where it ran: address, process and node.
    places = {attempt.worker for n in range(6) for attempt in store.attempts("apart", n)}
    assert all(re.fullmatch(r"ray 10\.79\.0\.[234]:\d+ node [0-9a-f]{56}", one) for one in places)
    assert {place.split(":")[0] for place in places} == {f"ray 10.79.0.{n}" for n in FIRST_NODES}
    assert not list(nodes.state.glob(".seen-*"))
    store.close()


def test_what_no_node_fits_is_refused_with_the_numbers_of_the_largest(
    nodes: PrivateNodes, sweep: Path
) -> None:
    """Two nodes of one CPU are not one of two: the sweep would wait for ever."""
    wide = ("--name", "wide", "--set", "resources.cpus=2")
    done = paretune(nodes, "run", str(sweep), *wide)
    assert done.returncode == 1
    assert "No trial fits on the cluster: one needs 2 CPUs" in done.stderr
    assert "the largest of 4 nodes has 1 CPUs" in done.stderr
    assert "wide" not in paretune(nodes, "list").stdout


def test_code_of_ones_own_goes_along(nodes: PrivateNodes) -> None:
    """It lies where no node but the driver's sees it, and imports what lies beside it."""
    project = nodes.state / "project"
    project.mkdir(parents=True, exist_ok=True)
    (project / "widths.py").write_text("CHANNELS = 4\n")
    (project / "my_model.py").write_text(
        "from torch import nn\nfrom widths import CHANNELS\n\n\ndef build():\n"
        "    net = nn.Sequential(nn.Conv2d(1, CHANNELS, 3), nn.ReLU(), nn.Flatten())\n"
        "    net.image_size = 8\n    return net\n"
    )
    (project / "my_metric.py").write_text(
        "def bias(network, images, labels):\n    return float(network.head[-1].bias.abs().sum())\n"
    )
    own = {"direction": "minimize", "function": "my_metric:bias"}
    given = {"name": "own-code", "backbone": "my_model:build", "budget": {"trials": 3}}
    changed = {**SWEEP, **given, "objectives": {**SWEEP["objectives"], "my_bias": own}}
    changed["execution"] = {"cache": "off"}
    (project / "sweep.yaml").write_text(yaml.safe_dump(changed))
    done = paretune(nodes, "run", str(project / "sweep.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr + nodes.said()
    store = open_store(state=StateFolder(nodes.state))
    trials = store.trials("own-code")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert all(trial.values["my_bias"] > 0 for trial in trials)
    store.close()
