"""Ray's own autoscaler: it adds nodes because a sweep asks for them, and takes idle ones away.

Its provider starts raylets on this machine, where another one would rent machines.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.ray_nodes import LONGEST_S, RayNodes
from tests.servers import free_port

MOST = 2
# What Ray's own tests start it with, and what `ray up` fills in.
_NOTHING_TO_DO = {
    "auth": {},
    "file_mounts": {},
    "file_mounts_sync_continuously": False,
    **{
        name: []
        for name in (
            "cluster_synced_files",
            "initialization_commands",
            "setup_commands",
            "head_setup_commands",
            "worker_setup_commands",
            "head_start_ray_commands",
            "worker_start_ray_commands",
        )
    },
}


def cluster_file(folder: Path, head: str) -> Path:
    """Write the configuration of a cluster that has between none and two nodes beside its head."""
    worker = {"CPU": 1, "object_store_memory": 100_000_000}
    config = {
        "cluster_name": "growing",
        "max_workers": MOST,
        "idle_timeout_minutes": 0.4,
        "upscaling_speed": 1.0,
        "provider": {
            "type": "fake_multinode",
            "gcs_address": head,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {
                "resources": worker,
                "node_config": {},
                "min_workers": 0,
                "max_workers": MOST,
            },
        },
        **_NOTHING_TO_DO,
    }
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[RayNodes]:
    """A head without slots, and an autoscaler that may add two nodes of one CPU."""
    nodes = RayNodes(tmp_path, {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"})
    nodes.port = free_port()
    try:
        nodes.start_head(0, f"--autoscaling-config={cluster_file(tmp_path, nodes.address)}")
        yield nodes
    finally:
        nodes.close()


@pytest.mark.ray
@pytest.mark.serial
def test_nodes_are_added_for_a_sweep_and_idle_ones_go_away_without_costing_a_trial(
    growing: RayNodes,
) -> None:
    assert growing.nodes() == 1
    file = growing.sweep(execution={"autoscaling": True, "max_slots": MOST})
    code, out, err = growing.done("run", str(file))
    assert code == 0, err
    assert "tiny: 4 complete, 0 stopped early, 0 failed" in out
    wait_for(1, growing)
    store = growing.store()
    failures = [
        attempt.failure for number in range(4) for attempt in store.attempts("tiny", number)
    ]
    store.close()
    assert failures == [None] * 4


def wait_for(count: int, nodes: RayNodes) -> None:
    """Wait until no more nodes are alive than this."""
    until = time.monotonic() + LONGEST_S
    while (alive := nodes.nodes()) > count:
        assert time.monotonic() < until, f"{alive} nodes are alive: {nodes.logs()}"
        time.sleep(1)
