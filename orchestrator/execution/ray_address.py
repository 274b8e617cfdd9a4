"""Whether a Ray cluster is at an address, found out in seconds and by a process of its own.

Ray itself tries for ten minutes, in a call that Ctrl-C does not end, and a connection that fails
may end its process. Ray is not imported here.
"""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.execution.machine_load import patience
from orchestrator.execution.slots import Node
from orchestrator.redaction import redacted

HERE = ("", "local")
_PORT = 6379  # of a head that was started without one
_KNOCK_S = 5  # each: to connect, and to be greeted
_CONNECT_S = 12
_IMPORT_S = 120
_TOO_LONG = "it took more than"
_REFUSED = "AuthenticationError"  # Ray's; printed above the last line of Ray's output
_AWAY_FIX = (
    "Start the cluster (ray start --head), or correct the address (--address or RAY_ADDRESS), or "
    "leave it away to run on this machine."
)
REFUSED_FIX = (
    "Set RAY_AUTH_MODE=token, and put the token of the cluster's head (ray get-auth-token) into "
    "RAY_AUTH_TOKEN or ~/.ray/auth_token."
)
"""What to do where a cluster wants a token."""
_CLIENT_FIX = (
    "Give the address of the cluster's head itself, HOST:PORT without ray://, or install Ray's "
    "client: pip install 'ray[client]'."
)
_OTHER = "the cluster runs"
# Ray's lines on versions that differ: those of the cluster, then those of this process.
_SIDES = re.compile(r"was started with:((?:\s+(?:Ray|Python): \S+)+)")
_PAIR = re.compile(r"(Ray|Python): (\S+)")
_PROBE = Path(__file__).with_name("ray_probe.py")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of an address.

    Attributes:
        nodes: The nodes of the cluster; None if it cannot be used.
        problem: Why it cannot be used, without a password.
        fix: What to do about it, as a sentence.
    """

    nodes: Sequence[Node] | None
    problem: str = ""
    fix: str = ""


def ask_cluster(address: str) -> Answer:
    """Connect to a cluster in a process of its own, and ask what it has.

    A silent address, or one without a cluster, is refused within ten seconds, however busy this
    machine is.

    Args:
        address: As for ``RAY_ADDRESS``; not one of `HERE`.
    """
    host, port = host_and_port(address)
    connect_s = round(_CONNECT_S * patience())
    # -P: a folder of the working directory must not stand in for a package.
    command = [sys.executable, "-P", str(_PROBE), address, host]
    command += [str(number) for number in (port, _KNOCK_S, connect_s)]
    try:
        ended = subprocess.run(  # noqa: S603 - our own words
            command,
            capture_output=True,
            text=True,
            timeout=_IMPORT_S + connect_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(None, f"importing Ray took more than {_IMPORT_S} s", _AWAY_FIX)
    if ended.returncode == 0:
        return Answer([Node(*node) for node in json.loads(ended.stdout.splitlines()[-1])])
    if ended.returncode != -signal.SIGALRM:
        problem = _problem(ended.stderr)
    elif ended.stdout:
        problem = f"{_TOO_LONG} {connect_s} s to connect"
    else:
        problem = f"{host} was not found within {2 * _KNOCK_S} s"
    return Answer(None, redacted(problem), _fix(problem))


def _problem(said: str) -> str:
    versions = [
        " and ".join(" ".join(pair) for pair in _PAIR.findall(each))
        for each in _SIDES.findall(said)
    ]
    if len(versions) == 2:
        return f"{_OTHER} {versions[0]}, and this process {versions[1]}"
    lines = said.strip().splitlines() or ["the connection failed"]
    return next((line for line in lines if _REFUSED in line), lines[-1]).rstrip(".")


def _fix(problem: str) -> str:
    if problem.startswith(_OTHER):
        return (
            "Use an environment with the cluster's versions here, or install these on every node."
        )
    if _REFUSED in problem:
        return REFUSED_FIX
    if _TOO_LONG in problem:
        # Ray asks a head that wants a token for twenty seconds before it says so.
        return f"{_AWAY_FIX} If the cluster wants a token: {REFUSED_FIX}"
    return _CLIENT_FIX if "ray[client]" in problem else _AWAY_FIX


def host_and_port(address: str) -> tuple[str, int]:
    """Split ``HOST:PORT`` or ``ray://HOST:PORT``; the host is empty if Ray looks for one.

    >>> host_and_port("ray://head:10001"), host_and_port("head"), host_and_port("auto")
    (('head', 10001), ('head', 6379), ('', 0))
    """
    if address in (*HERE, "auto"):
        return "", 0
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        return parts.hostname or "", parts.port or _PORT
    except ValueError:  # A port that is no number.
        return parts.hostname or "", 0
