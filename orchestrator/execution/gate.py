"""Keeps a finished worker from being reused while another one is still starting.

Ray Tune (2.60) gives a freed actor to any pending trial, also to one whose own actor is on its
way, and then removes that actor. With trials shorter than the start of a worker, only one worker
ever comes up and all trials run on it, one after another. So no trial of ours *ends* before as
many workers have started as there are slots: it waits at this gate with its result in hand.

The gate is a set of keys in Ray's own key-value store, where Ray keeps its registry of trainables
too; it needs no further process.
"""

import time
from dataclasses import dataclass

from ray.experimental.internal_kv import (
    _internal_kv_del,
    _internal_kv_list,
    _internal_kv_put,
)

_NAMESPACE = b"paretune"


@dataclass(frozen=True, slots=True)
class WorkerGate:
    """Opens when `slots` workers have arrived.

    Attributes:
        run: Sets this run's keys apart from those of others on the cluster.
        slots: Workers that fit on the cluster at once.
        timeout_s: Longest wait; a cluster that shrank must not stop the sweep.
    """

    run: str
    slots: int
    timeout_s: float = 60.0

    def arrive(self, worker: str) -> None:
        """A worker is ready."""
        _internal_kv_put(self._key(worker), b"", namespace=_NAMESPACE)

    def leave(self, worker: str) -> None:
        """A worker died; harmless when it never arrived."""
        _internal_kv_del(self._key(worker), namespace=_NAMESPACE)

    def arrived(self) -> int:
        """Workers that are there."""
        return len(_internal_kv_list(self._key(""), namespace=_NAMESPACE))

    def wait(self) -> None:
        """Return when all workers have arrived, or the timeout is over."""
        deadline = time.monotonic() + self.timeout_s
        while self.arrived() < self.slots and time.monotonic() < deadline:
            time.sleep(0.02)

    def _key(self, worker: str) -> bytes:
        return f"{self.run}:{worker}".encode()
