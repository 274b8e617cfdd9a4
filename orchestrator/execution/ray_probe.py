"""Connect to a Ray cluster and print what it has; a script, run in a process of its own.

Only a real connection also checks versions, tokens and whether this machine is part of the
cluster. But Ray waits long for a server that never answers, so that a plain HTTP/2 greeting (RFC
9113, section 3.4), with which gRPC begins, goes first. An alarm ends the process whatever it waits
for: a name that is not resolved, or Ray. Importing Ray is not the cluster's fault, and not timed.
"""

import json
import logging
import os
import signal
import socket
import sys
from typing import Any

_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# A frame's length (3 bytes), type, flags and stream (4 bytes); no settings follow.
_SETTINGS = b"\4"
_EMPTY_SETTINGS = bytes(3) + _SETTINGS + bytes(5)


def main(address: str, host: str, port: int, knock_s: int, connect_s: int) -> None:
    """Print resources and labels of the cluster's nodes as JSON, or exit with a sentence.

    Args:
        address: As Ray takes it.
        host: Of the address; empty where Ray looks for one.
        port: Of the address.
        knock_s: How long to wait to be connected, and how long to be greeted.
        connect_s: How long to wait for Ray.
    """
    # Ctrl-C ends this process at once, and leaves its words to the one that started it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if host:
        signal.alarm(2 * knock_s)
        _knock(host, port, knock_s)
        signal.alarm(0)
    import ray

    _say("imported")
    signal.alarm(connect_s)
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    nodes: list[dict[str, Any]] = ray.nodes()
    signal.alarm(0)
    alive = [node for node in nodes if node["Alive"]]
    _say(json.dumps([[node["Resources"], node.get("Labels") or {}] for node in alive]))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _knock(host: str, port: int, seconds: int) -> None:
    try:
        knock = socket.create_connection((host, port), timeout=seconds)
    except (OSError, OverflowError) as error:
        raise SystemExit(f"nothing answers at {host}:{port} ({error})") from error
    with knock:
        if os.environ.get("RAY_USE_TLS", "0") != "0":
            return
        try:
            knock.sendall(_GREETING + _EMPTY_SETTINGS)
            answer = knock.recv(len(_EMPTY_SETTINGS))
        except OSError:
            answer = b""
    if answer[3:4] != _SETTINGS:
        raise SystemExit(
            f"what listens at {host}:{port} is silent, or is not the head of a cluster"
        )


if __name__ == "__main__":
    _address, _host, *_numbers = sys.argv[1:]
    main(_address, _host, *map(int, _numbers))
