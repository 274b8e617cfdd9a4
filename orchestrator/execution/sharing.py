"""Sweeps that run on the same cluster: their names, and how many slots each of them may use.

Each driver keeps, in Ray's own key-value store, which part of the cluster it would use. All divide
by the same rule, so that none has to ask another one: a sweep that wants less than an equal part
has it, and the others share the rest. A sweep that uses more than its part gives nothing up: it
starts no further trial until it does not.
"""

import json
import math
from collections.abc import Callable, Mapping

import ray
from ray._private import state
from ray.experimental.internal_kv import (
    _internal_kv_del,
    _internal_kv_get,
    _internal_kv_list,
    _internal_kv_put,
)

NAMESPACE = b"paretune"
"""Of what paretune keeps in Ray's key-value store."""
_PREFIX = "sweep:"


class Neighbors:
    """The sweeps on the cluster that this process is connected to, this one among them.

    Args:
        sweep: The name of this one.
        say: Called with a line when others come or go.
    """

    def __init__(self, sweep: str, say: Callable[[str], None]) -> None:
        self._sweep, self._say = sweep, say
        self._job = ray.get_runtime_context().get_job_id()
        self._told: list[str] = []
        self._kept: float | None = None
        self._want(1.0)

    def names(self) -> list[str]:
        """Return the names of the other sweeps."""
        return [name for job, (name, _) in self._found().items() if job != self._job]

    def allowed(self, fitting: int, wanted: float) -> int:
        """Return how many slots this sweep may use; see `orchestrator.execution.slots.Sharing`."""
        self._want(min(wanted / fitting, 1.0))
        found = self._found()
        wants = {job: want for job, (_, want) in found.items()}
        count = fair_slots(fitting, wants, self._job)
        others = sorted(name for job, (name, want) in found.items() if job != self._job and want)
        if others != self._told:
            self._told = others
            self._say(
                f"sharing the cluster with {in_words(others)}: {count} of {fitting} slots"
                if others
                else f"no other sweep uses the cluster now: {count} of {fitting} slots"
            )
        return count

    def leave(self) -> None:
        """Use nothing any more."""
        _internal_kv_del(self._key(self._job), namespace=NAMESPACE)

    def _want(self, part: float) -> None:
        if part != self._kept:
            self._kept = part
            content = json.dumps([self._sweep, part]).encode()
            _internal_kv_put(self._key(self._job), content, overwrite=True, namespace=NAMESPACE)

    def _found(self) -> dict[str, tuple[str, float]]:
        """Name and wanted part of each sweep whose driver is alive, by Ray's id of its job."""
        keys = [bytes(key).decode() for key in _internal_kv_list(_PREFIX, namespace=NAMESPACE)]
        jobs = {key.removeprefix(_PREFIX) for key in keys}
        if jobs - {self._job}:
            jobs &= {job["JobID"] for job in state.jobs() if not job["IsDead"]}
        found = {}
        for job in jobs | {self._job}:
            content = _internal_kv_get(self._key(job), namespace=NAMESPACE)
            if content is not None:
                found[job] = tuple(json.loads(content))
        return found

    @staticmethod
    def _key(job: str) -> bytes:
        return f"{_PREFIX}{job}".encode()


def fair_slots(fitting: int, wants: Mapping[str, float], mine: str) -> int:
    """Compute how many slots one of several sweeps may use.

    Args:
        fitting: How many of its trials fit on the cluster at once.
        wants: Which part of the cluster each sweep would use, from 0 to 1.
        mine: Its key in `wants`.

    Returns:
        At least one; slots that cannot be divided go to the sweeps whose keys are the first.

    >>> fair_slots(8, {"a": 1.0, "b": 1.0}, "b"), fair_slots(8, {"a": 0.125, "b": 1.0}, "b")
    (4, 7)
    >>> [fair_slots(5, {"a": 1.0, "b": 1.0, "c": 1.0}, name) for name in "abc"]
    [2, 2, 1]
    """
    lacking = {name: math.ceil(want * fitting - 1e-9) for name, want in sorted(wants.items())}
    mine_so_far = 0
    while fitting > 0 and (hungry := [name for name, count in lacking.items() if count > 0]):
        # One each, in turn; a sweep that has what it wants stands back.
        for name in hungry[:fitting]:
            lacking[name] -= 1
            mine_so_far += name == mine
        fitting -= len(hungry)
    return max(mine_so_far, 1)


def in_words(sweeps: list[str]) -> str:
    """Name sweeps in a sentence.

    >>> in_words(["a"]), in_words(["a", "b", "c"])
    ('sweep a', 'sweeps a, b and c')
    """
    if len(sweeps) == 1:
        return f"sweep {sweeps[0]}"
    return f"sweeps {', '.join(sweeps[:-1])} and {sweeps[-1]}"
