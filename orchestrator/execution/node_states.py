"""Whether a node of the cluster is alive, from what Ray records of nodes and actors."""

import socket
import time
from contextlib import suppress
from typing import Any

import ray
from ray._private import state

_KNOCK_S = 2.0
# A node that dies with its workers may still answer when the first of them is missed.
_LOOKS, _PAUSE_S = 3, 0.5


def node_is_gone(node_id: str) -> bool:
    """Return whether a node has died, or answers no more.

    Ray's head takes half a minute to declare a node dead, so the node's own port is asked too.

    Args:
        node_id: Ray's, hexadecimal; a node that the cluster does not know is not gone.
    """
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE_S)
        node = next((each for each in ray.nodes() if each["NodeID"] == node_id), None)
        if node is None:
            return False
        if not node["Alive"] or not _answers(node):
            return True
    return False


def node_of_actor(actor_id: str | None) -> str:
    """Return the node on which an actor ran, as the cluster recorded it; empty if it did not.

    Args:
        actor_id: Ray's, hexadecimal.
    """
    found: dict[str, Any] = state.actors(actor_id) if actor_id else {}
    return str((found.get("Address") or {}).get("NodeID") or "")


def _answers(node: dict[str, Any]) -> bool:
    address = node["NodeManagerAddress"], node["NodeManagerPort"]
    with suppress(OSError), socket.create_connection(address, timeout=_KNOCK_S):
        return True
    return False
