"""Checks whether this machine can run sweeps, and says what to do if it cannot.

Each check tries what a run would do, and leaves nothing: a write to the store is taken back, a
file in the storage is removed. Packages under test are imported in a process of their own, and a
Ray cluster is contacted only if one is named.
"""

import os
from concurrent.futures import ThreadPoolExecutor

from orchestrator.doctor.cluster import examine_ray
from orchestrator.doctor.finding import Finding, wrong
from orchestrator.doctor.installation import (
    examine_parts,
    examine_torch,
    examine_versions,
    probe_torch,
)
from orchestrator.doctor.machine import examine_machine
from orchestrator.doctor.needs import examine_needs, weights_to_try
from orchestrator.doctor.nodes import examine_nodes, examine_storage_here
from orchestrator.doctor.services import (
    examine_store,
    examine_store_of_many,
    examine_tracking,
)
from orchestrator.errors import UsageError
from orchestrator.execution.ray_address import HERE
from orchestrator.execution.slots import Node
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder

__all__ = ["Finding", "doctor"]


def doctor(
    spec: SweepSpec | None = None, *, store: str | None = None, address: str | None = None
) -> list[Finding]:
    """Check everything that a sweep relies on.

    Args:
        spec: Also check what this sweep needs: its store, its tracker, its slots, its weights and
            its images. None checks the defaults.
        store: URL of another store than the sweep's.
        address: Of a Ray cluster; default: ``RAY_ADDRESS``.

    Returns:
        One finding for each check, also for those that passed. Each of the others has a fix.
    """
    state = StateFolder.find()
    address = address or os.environ.get("RAY_ADDRESS", "")
    store_url, variable = state.store_address(store or (spec.store if spec else None))
    tracked = spec is None or spec.tracking.kind == "mlflow"
    with ThreadPoolExecutor(2) as pool:
        # Both take seconds, and neither needs the other.
        torch_asked = pool.submit(probe_torch, *(weights_to_try(spec) if spec else (None,)))
        ray_asked = pool.submit(examine_ray, address)
        findings = [*examine_versions(), *examine_parts()]
        findings += examine_machine(state.root)
        findings += examine_store(store_url, variable)
        findings += [_tracking(spec, state, address)] if tracked else []
        torch = torch_asked.result()
        ray_findings, nodes = ray_asked.result()
    findings += [examine_torch(torch), *ray_findings]
    if nodes is None:
        findings += examine_storage_here(spec)
    else:
        findings += [*examine_nodes(address, spec), *examine_store_of_many(store_url, len(nodes))]
    if spec is not None:
        here = Node({"CPU": float(len(os.sched_getaffinity(0))), "GPU": float(torch.gpus)})
        findings += examine_needs(spec, [here] if address in HERE else nodes, torch)
    return findings


def _tracking(spec: SweepSpec | None, state: StateFolder, address: str) -> Finding:
    try:
        uri, _ = state.tracking_address(spec.tracking.uri if spec else None)
    except UsageError as error:
        return wrong("MLflow", *str(error).split(": ", 1))
    return examine_tracking(uri, address)
