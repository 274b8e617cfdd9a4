"""Checks of the Ray cluster that ``RAY_ADDRESS`` names."""

import os
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from orchestrator.doctor.finding import Finding, fine, wrong
from orchestrator.execution.ray_address import HERE, ask_cluster, host_and_port
from orchestrator.execution.ray_folder import find_ray_folder
from orchestrator.execution.slots import Node
from orchestrator.redaction import redacted


def examine_ray(address: str) -> tuple[list[Finding], Sequence[Node] | None]:
    """Check whether the cluster can be used, and which nodes it has.

    Args:
        address: Value of ``RAY_ADDRESS``; empty where there is none.

    Returns:
        The findings, and the cluster's nodes; None where there is no cluster or it cannot be used.
    """
    token = _token(os.environ.get("RAY_AUTH_MODE", ""))
    if address in HERE:
        return [_start_here(), token], None
    shown, answer = redacted(address), ask_cluster(address)
    if answer.nodes is None:
        return [wrong("Ray", f"{shown}: {answer.problem}", answer.fix), token], None
    cpus, gpus = (sum(n.resources.get(kind, 0) for n in answer.nodes) for kind in ("CPU", "GPU"))
    count = len(answer.nodes)
    where = "one node" if count == 1 else f"{count} nodes"
    return [
        fine("Ray", f"{shown} has {cpus:g} CPUs and {gpus:g} GPUs on {where}"),
        token,
    ], answer.nodes


def _start_here() -> Finding:
    folder = find_ray_folder()
    if folder.problem:
        return wrong("Ray", folder.problem, folder.fix)
    detail = f"RAY_ADDRESS is not set: a run starts Ray on this machine, in {folder.path}"
    if folder.detour:
        detail += f", which is too long for its sockets: by a link in {folder.detour}"
    return fine("Ray", detail)


def is_remote(address: str) -> bool:
    """Return whether a ``RAY_ADDRESS`` names another machine.

    >>> is_remote("ray://localhost:10001"), is_remote("")
    (False, False)
    """
    host = host_and_port(address)[0]
    return bool(host) and not is_here(host)


def is_here(host: str) -> bool:
    """Return whether a host name or address is that of this machine.

    >>> is_here("localhost"), is_here("127.0.0.1")
    (True, True)
    """
    if host in ("localhost", socket.gethostname()):
        return True
    try:
        if ip_address(host).is_loopback:
            return True
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.bind((host, 0))  # Succeeds only for an address of this machine.
    except (ValueError, OSError):
        return False
    return True


def _token(mode: str) -> Finding:
    name = "Ray's tokens"
    if mode.lower() == "disabled":
        return wrong(
            name,
            "RAY_AUTH_MODE is 'disabled': any program that reaches its ports can run code on it",
            "Unset RAY_AUTH_MODE, or set it to 'token' here and on the cluster.",
        )
    return fine(name, f"RAY_AUTH_MODE is {mode or 'not set'}")
