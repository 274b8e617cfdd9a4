"""Nodes that share no disk with the driver: nothing that was trained is lost."""

import re
from pathlib import Path

import pytest
import yaml

from orchestrator.fronts.front import compute_front
from orchestrator.places import network_file
from orchestrator.reporting.export import export
from orchestrator.spec.stored import spec_objectives
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import SweepState, TrialState
from tests.private_nodes import PrivateNodes
from tests.stack.commands import FIRST_WORKERS, STACK, paretune

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
    assert all(re.fullmatch(r"ray [0-9.]+:\d+ node [0-9a-f]{56}", one) for one in places)
    assert {place.split(":")[0] for place in places} == FIRST_WORKERS
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


OWN = {
    "widths.py": "CHANNELS = 4\n",
    "my_model.py": """
from torch import nn
from widths import CHANNELS

def build():
    net = nn.Sequential(nn.Conv2d(1, CHANNELS, 3), nn.ReLU(), nn.Flatten())
    net.image_size = 8
    return net
""",
    "my_data.py": """
import numpy as np

def load():
    labels = np.arange(200) % 2
    images = np.random.default_rng(0).integers(0, 100, (200, 8, 8)) + 100 * labels[:, None, None]
    return {"x_train": images.astype(np.uint8), "y_train": labels}
""",
    "my_metric.py": """
import time
import torch

def latency(network, images, labels):
    pixels = torch.tensor(images[:8]).float() / 255
    began = time.process_time()
    with torch.inference_mode():
        network(pixels)
    return 1000 * (time.process_time() - began)
""",
    "my_parts.py": """
import torch

def extremes(values, bits):
    low, high = values.aminmax(dim=1, keepdim=True)
    return low + (high - low) * torch.linspace(0, 1, 2**bits)

def score(evidence):
    return evidence.weight.abs()

def brighter(network, pixels, labels, epsilon):
    return (pixels + epsilon).clamp(0, 1)
""",
    "my_callbacks.py": """
from pathlib import Path

class Table:
    def on_trial_end(self, trial):
        with Path(__file__).with_name("trials.csv").open("a") as file:
            file.write(f"{trial.number},{trial.state.value}\\n")
""",
}


def test_code_of_ones_own_goes_along(nodes: PrivateNodes) -> None:
    """It lies where no node but the driver's sees it, and imports what lies beside it."""
    project = nodes.state / "project"
    project.mkdir(parents=True, exist_ok=True)
    for name, text in OWN.items():
        (project / name).write_text(text)
    latency = {"direction": "minimize", "function": "my_metric:latency"}
    attacked = {"direction": "maximize", "attack": "my_parts:brighter", "epsilon": 0.1}
    given = {
        **SWEEP,
        "name": "own-code",
        "backbone": "my_model:build",
        "data": {"dataset": "my_data:load"},
        "quantization": {"quantizer": "my_parts:extremes"},
        "pruning": {"criterion": "my_parts:score", "sparsity": 0.5},
        "objectives": {"my_latency": latency, "robust_accuracy": attacked},
        "callbacks": ["my_callbacks:Table"],
        "execution": {"cache": "off"},
    }
    (project / "sweep.yaml").write_text(yaml.safe_dump(given))
    done = paretune(nodes, "run", str(project / "sweep.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr + nodes.said()
    store = open_store(state=StateFolder(nodes.state))
    trials = store.trials("own-code")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    assert (project / "trials.csv").read_text().count("complete") == 6
    losses = {
        trial.number: (trial.values["my_latency"], -trial.values["robust_accuracy"])
        for trial in trials
    }
    assert all(latency > 0 for latency, _ in losses.values())
    unbeaten = {
        number
        for number, (slow, weak) in losses.items()
        if not any(
            o_slow <= slow and o_weak <= weak and (o_slow, o_weak) != (slow, weak)
            for o_slow, o_weak in losses.values()
        )
    }
    front = compute_front(trials, spec_objectives(given), ())
    assert {member.trial for member in front} == unbeaten
    # On every node, whose working directory is another one than the driver's.
    places = {attempt.worker for n in range(6) for attempt in store.attempts("own-code", n)}
    assert {place.split(":")[0] for place in places} == FIRST_WORKERS
    store.close()
