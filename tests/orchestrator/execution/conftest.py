"""A sweep that takes seconds, and one Ray cluster of two CPUs for all who need one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contracts import Store
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.storage.opening import open_store
from tests.ray_nodes import PATIENT

SPACE = {
    "fc_width_1": {"type": "int", "low": 4, "high": 64},
    "bits": {"type": "choice", "values": [3, 4, 8]},
}


@pytest.fixture
def make_spec() -> Callable[..., SweepSpec]:
    """A sweep over 300 digits with a network that was not pre-trained."""

    def make(**changes: Any) -> SweepSpec:
        given: dict[str, Any] = {
            "name": "tiny",
            "backbone": {"name": "digitnet", "weights": "scratch"},
            "data": {"name": "digits", "limit": 300},
            "space": SPACE,
            "training": {"epochs": 2, "batch_size": 64},
            "objectives": {
                "accuracy": "maximize",
                "memory_bytes": "minimize",
                "robust_accuracy": {"direction": "maximize", "attack": "fgsm", "samples": 32},
            },
            "sampler": {"kind": "random"},
            "budget": {"trials": 3},
            "tracking": {"kind": "none"},
        }
        return SweepSpec.model_validate({**given, **changes})

    return make


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path))
    store = open_store()
    yield store
    store.close()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Ray on this machine with two CPUs, whatever the machine has."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in PATIENT.items():
            patch.setenv(name, value)
        # "local", or a cluster that somebody once started here would be looked for.
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
        ray.init("local", num_cpus=2, **quiet)
    yield
    ray.shutdown()
