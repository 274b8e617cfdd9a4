"""Keeps a finished worker from being reused while another one is still starting.

Ray Tune (2.60) gives a freed actor to any pending trial, also to one whose own actor is on its
way, and then removes that actor. With trials shorter than the start of a worker, only one worker
ever comes up and all trials run on it, one after another. Therefore no trial *ends* before as
many workers have started as there are slots: it waits at this barrier with its result.

The barrier is a set of keys in Ray's own key-value store, where Ray keeps its registry of
trainables too; it needs no further process. The driver uses the same keys to tell a worker that
one of its trials is over: Tune has no channel from a driver to a running actor.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from ray.experimental.internal_kv import (
    _internal_kv_del,
    _internal_kv_exists,
    _internal_kv_get,
    _internal_kv_list,
    _internal_kv_put,
)

_NAMESPACE = b"paretune"
_WORKER = "worker:"
_OPEN = "open"
_STOPPED = "stopped:"


@dataclass(frozen=True, slots=True)
class StartBarrier:
    """Opens when `slots` workers have arrived, or when no further one is to be expected.

    Attributes:
        run: Sets this run's keys apart from those of others on the cluster.
        slots: Workers that fit on the cluster at once.
        timeout_s: Longest wait, after which the barrier stays open: a cluster that shrank must
            neither stop a sweep nor hold up each of its trials.
    """

    run: str
    slots: int
    timeout_s: float = 60.0

    def arrive(self, worker: str, trial: int) -> None:
        """Record that a worker that Tune has seen start is at a trial; may be repeated."""
        self._put(f"{_WORKER}{worker}", str(trial))

    def leave(self, trial: int) -> None:
        """Record that the worker of a trial died; does nothing if it never arrived."""
        for key in self._workers():
            if _internal_kv_get(key, namespace=_NAMESPACE) == str(trial).encode():
                _internal_kv_del(key, namespace=_NAMESPACE)

    def stop(self, trial: int) -> None:
        """Tell the worker that runs this trial among others that the trial is over."""
        self._put(f"{_STOPPED}{trial}")

    def stopped(self, trials: Iterable[int]) -> list[int]:
        """Return which of these trials are over."""
        return [
            trial
            for trial in trials
            if _internal_kv_exists(self._key(f"{_STOPPED}{trial}"), namespace=_NAMESPACE)
        ]

    def open(self) -> None:
        """Open the barrier: no further worker is awaited."""
        self._put(_OPEN)

    def close(self) -> None:
        """Delete the keys of this run, which is over."""
        _internal_kv_del(self._key(""), del_by_prefix=True, namespace=_NAMESPACE)

    def wait(self) -> None:
        """Wait until the barrier is open."""
        deadline = time.monotonic() + self.timeout_s
        while not self._is_open():
            if time.monotonic() >= deadline:
                self.open()
            time.sleep(0.02)

    def _is_open(self) -> bool:
        if _internal_kv_exists(self._key(_OPEN), namespace=_NAMESPACE):
            return True
        return len(self._workers()) >= self.slots

    def _workers(self) -> list[bytes]:
        keys: list[bytes] = _internal_kv_list(self._key(_WORKER), namespace=_NAMESPACE)
        return keys

    def _put(self, key: str, value: str = "") -> None:
        _internal_kv_put(self._key(key), value.encode(), namespace=_NAMESPACE)

    def _key(self, key: str) -> bytes:
        return f"{self.run}:{key}".encode()
