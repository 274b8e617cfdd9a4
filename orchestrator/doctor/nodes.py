"""Checks of every node of a cluster, by a task on each: what a sweep would meet there."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from orchestrator.doctor.finding import Finding, fine, wrong
from orchestrator.errors import OrchestratorError
from orchestrator.execution.trial_storage import probed_storage
from orchestrator.redaction import redacted
from orchestrator.references import resolved
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.networks.backbone_table import WEIGHT_WORDS

_SCRIPT = Path(__file__).parents[1] / "execution" / "node_looks.py"
_LONGEST_S = 240
# A lease, and what is retried after it, is judged by the clocks of drivers.
_MOST_AHEAD_S = 5.0
_LEAST_FREE = 2**30


def examine_nodes(address: str, spec: SweepSpec | None) -> list[Finding]:
    """Run a task on every node, and say what differs or is missing.

    Args:
        address: Of a cluster that answers.
        spec: Also look for what this sweep needs on nodes; None for nothing.
    """
    storage = resolved(spec.storage) if spec is not None and spec.storage else ""
    asked = {"paths": _paths(spec), "storage": storage}
    command = [sys.executable, "-P", str(_SCRIPT), address, str(_LONGEST_S)]
    done = subprocess.run(  # noqa: S603 - our own words
        command, input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        late = done.returncode == -signal.SIGALRM
        lines = done.stderr.strip().splitlines() or ["it ended without a word"]
        why = f"no answer within {_LONGEST_S} s" if late else redacted(lines[-1])
        fix = "Look at the nodes' raylets: ray status, and the logs of their workers."
        return [wrong("nodes", f"a task on each did not end well: {why}", fix)]
    answer = json.loads(done.stdout.splitlines()[-1])
    findings = judged(answer["nodes"], asked["paths"])
    return [*findings, *_storage(storage, answer["storage"])]


def examine_storage_here(spec: SweepSpec | None) -> list[Finding]:
    """Write and read the storage of a sweep from this machine alone."""
    if spec is None or not spec.storage:
        return []
    try:
        probed_storage(resolved(spec.storage), ())
    except OrchestratorError as error:
        return _storage(spec.storage, str(error))
    return _storage(spec.storage, "")


def judged(nodes: Sequence[Mapping[str, Any]], paths: Sequence[str]) -> list[Finding]:
    """Judge what was found on the nodes of a cluster.

    Args:
        nodes: What `orchestrator.execution.node_looks.look` found, with ``address``, ``resources``
            and ``ahead_s``; or a ``problem``.
        paths: That workers need.

    >>> [finding.ok for finding in judged([{"address": "10.0.0.2", "problem": "away"}], [])]
    [False]
    """
    for node in nodes:
        if "problem" in node:
            detail = f"{node['address']} ran no task: {node['problem']}"
            return [wrong("nodes", detail, "Restart its raylet: ray stop, ray start.")]
    works = [node for node in nodes if node["resources"].get("CPU")]
    return [
        _versions(nodes),
        _clocks(nodes),
        _room(nodes),
        *(_visible(path, works) for path in paths),
    ]


def _versions(nodes: Sequence[Mapping[str, Any]]) -> Finding:
    here = {"Python": python_version(), "ray": version("ray"), "paretune": version("paretune")}
    differ = [
        f"{node['address']} has {name} {node['versions'][name]}"
        for node in nodes
        for name in here
        if node["versions"][name] != here[name]
    ]
    mine = ", ".join(f"{name} {number}" for name, number in here.items())
    if not differ:
        return fine("nodes", f"{len(nodes)} of {len(nodes)} ran a task; all have {mine}")
    fix = f"Install the same everywhere (this machine has {mine}), then restart the raylets."
    return wrong("nodes", "; ".join(differ), fix)


def _clocks(nodes: Sequence[Mapping[str, Any]]) -> Finding:
    off = {node["address"]: node["ahead_s"] for node in nodes}
    wrongly = [f"{where} by {s:+.0f} s" for where, s in off.items() if abs(s) > _MOST_AHEAD_S]
    if not wrongly:
        return fine("clocks", f"within {_MOST_AHEAD_S:.0f} s of this machine's")
    fix = "Set the clocks by NTP (chronyd or systemd-timesyncd): leases are judged by them."
    return wrong("clocks", f"off this machine's: {', '.join(wrongly)}", fix)


def _room(nodes: Sequence[Mapping[str, Any]]) -> Finding:
    name = "nodes' disks"
    least = min(nodes, key=lambda node: float(node["free"]))
    detail = f"{least['free'] / 2**30:.1f} GiB free for temporary files on {least['address']}"
    if least["free"] >= _LEAST_FREE:
        return fine(name, f"{detail}, the fullest")
    return wrong(name, detail, "Free some space there, or set TMPDIR for its raylet.")


def _visible(path: str, nodes: Sequence[Mapping[str, Any]]) -> Finding:
    name = f"{path} on nodes"
    blind = [node["address"] for node in nodes if path in node["absent"]]
    if not blind:
        return fine(name, f"{len(nodes)} of {len(nodes)} nodes that train see it")
    fix = "Copy it there, or mount the folder that has it at the same path."
    return wrong(name, f"not on {', '.join(blind)}", fix)


def _storage(url: str, problem: str) -> list[Finding]:
    if not url:
        return []
    if problem:
        return (
            [wrong("storage", *problem.split(". ", 1))]
            if ". " in problem
            else [wrong("storage", problem, "Correct storage in the sweep file.")]
        )
    return [fine("storage", f"{redacted(url)} was written to and read from wherever trials run")]


def _paths(spec: SweepSpec | None) -> list[str]:
    """What workers read by a path."""
    if spec is None:
        return []
    weights = spec.backbone.weights
    found = [spec.data.folder, spec.data.npz, None if weights in WEIGHT_WORDS else weights]
    return [str(Path(path).expanduser()) for path in found if path]
