"""Commands on the stack, and when its tests run."""

import os
import subprocess
import sys

import pytest

from tests.private_nodes import PrivateNodes, address_of

FIRST_NODES = (2, 3, 4)
"""Numbers of the nodes that the stack begins with."""
FIRST_WORKERS = {f"ray {address_of(number)}" for number in FIRST_NODES}
"""The beginnings of what attempts on them record as their worker."""
STACK = [
    pytest.mark.ray,
    pytest.mark.serial,
    pytest.mark.skipif(
        "PARETUNE_TEST_STACK" not in os.environ,
        reason="makes network namespaces, as root, for minutes: PARETUNE_TEST_STACK=1 asks for it",
    ),
]
_PROGRAM = "from orchestrator.cli.app import main; main()"


def begun(nodes: PrivateNodes, *words: str, **variables: str) -> "subprocess.Popen[str]":
    """Start `paretune` beside the head, which is its cluster."""
    own = {"PARETUNE_HOME": str(nodes.state), "RAY_ADDRESS": nodes.address}
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=nodes.environment | own | variables,
    )


def ended(
    process: "subprocess.Popen[str]", seconds: float = 900
) -> "subprocess.CompletedProcess[str]":
    """Wait for a command's end."""
    out, err = process.communicate(timeout=seconds)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def paretune(
    nodes: PrivateNodes, *words: str, seconds: float = 900, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run `paretune` to its end."""
    return ended(begun(nodes, *words, **variables), seconds)
