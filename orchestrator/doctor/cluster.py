"""Ray: the cluster that ``RAY_ADDRESS`` names, and who may use it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from orchestrator.doctor.finding import Finding, fine, wrong
from orchestrator.redaction import redacted

_KNOCK_S = 3.0
_CONNECT_S = 60.0
_HERE = ("", "local")
_PORT = 6379  # of a head that was started without one
_REFUSED = "AuthenticationError"  # Ray's; it stands above the last line of what Ray prints
_AWAY_FIX = (
    "Start the cluster (ray start --head), or correct RAY_ADDRESS, or unset it to run on this "
    "machine."
)
_REFUSED_FIX = (
    "Set RAY_AUTH_MODE=token, and put the token of the cluster's head (ray get-auth-token) into "
    "RAY_AUTH_TOKEN or ~/.ray/auth_token."
)
# Connecting is the only question whose answer also covers versions, tokens and this machine's
# place in the cluster; in a process of its own, because a failing connection may end it.
_PROBE = """
import json, logging, sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
print(json.dumps(ray.cluster_resources()))
"""


def examine_ray(address: str) -> tuple[list[Finding], Mapping[str, float] | None]:
    """Whether the cluster can be used, and what it has.

    Args:
        address: Value of ``RAY_ADDRESS``; empty where there is none.

    Returns:
        The findings, and the cluster's resources by Ray's names; None where there is no cluster
        or it cannot be used.
    """
    token = _token(os.environ.get("RAY_AUTH_MODE", ""))
    if address in _HERE:
        detail = "RAY_ADDRESS is not set: a run starts Ray on this machine"
        return [fine("Ray", detail), token], None
    shown = redacted(address)
    problem = _knock(address) or ""
    resources: Mapping[str, float] | None = None
    if not problem:
        resources, problem = _connect(address)
    if resources is None:
        fix = _REFUSED_FIX if _REFUSED in problem else _AWAY_FIX
        return [wrong("Ray", f"{shown}: {redacted(problem)}", fix), token], None
    detail = f"{shown} has {resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"
    return [fine("Ray", detail), token], resources


def is_remote(address: str) -> bool:
    """Whether a ``RAY_ADDRESS`` names another machine."""
    host = _host_and_port(address)[0]
    return bool(host) and not is_here(host)


def is_here(host: str) -> bool:
    """Whether a host name or address is that of this machine."""
    if host in ("localhost", socket.gethostname()):
        return True
    try:
        if ip_address(host).is_loopback:
            return True
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.bind((host, 0))  # Allowed for an address of this machine alone.
    except (ValueError, OSError):
        return False
    return True


def _host_and_port(address: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` or ``ray://HOST:PORT``; no host where Ray looks for one."""
    if address in (*_HERE, "auto"):
        return "", 0
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        return parts.hostname or "", parts.port or _PORT
    except ValueError:  # A port that is no number.
        return parts.hostname or "", 0


def _knock(address: str) -> str | None:
    """Why nothing listens there. Ray itself would try for minutes."""
    host, port = _host_and_port(address)
    if not host:
        return None
    try:
        socket.create_connection((host, port), timeout=_KNOCK_S).close()
    except OSError as error:
        return f"nothing answers at {host}:{port} ({error})"
    return None


def _connect(address: str) -> tuple[Mapping[str, float] | None, str]:
    """The resources of the cluster, or why it cannot be used."""
    try:
        ended = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-P", "-c", _PROBE, address],
            capture_output=True,
            text=True,
            timeout=_CONNECT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"connecting took more than {_CONNECT_S:g} s"
    if ended.returncode != 0:
        lines = ended.stderr.strip().splitlines() or ["the connection failed"]
        return None, next((line for line in lines if _REFUSED in line), lines[-1])
    return json.loads(ended.stdout.splitlines()[-1]), ""


def _token(mode: str) -> Finding:
    name = "Ray's tokens"
    if mode.lower() == "disabled":
        return wrong(
            name,
            "RAY_AUTH_MODE is 'disabled': whoever reaches the cluster's ports can run programs "
            "on it",
            "Unset RAY_AUTH_MODE, or set it to 'token' here and on the cluster.",
        )
    return fine(name, f"RAY_AUTH_MODE is {mode or 'not set'}")
