"""Say what a run waits for on a cluster where nothing of it has started yet."""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence

import ray
from ray._private import state
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_exists, _internal_kv_put

from orchestrator.contracts.needs import Needs, amount_in_words
from orchestrator.execution.sharing import NAMESPACE, in_words

_LOOK_S = 3.0

Amounts = Mapping[str, float]


class Waiting:
    """Says, each time that it changes, which resources are lacking until a process has begun.

    To be made before the process is asked for: what is free then and taken later may be its own.

    Args:
        needs: What the process is given.
        say: Called with a line.
        others: Names the other sweeps on the cluster.
        clock: Seconds.

    Attributes:
        key: For `begun`, which the process calls first of all.
    """

    def __init__(
        self,
        needs: Needs,
        say: Callable[[str], None],
        others: Callable[[], list[str]] = list,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._needs, self._say, self._others, self._clock = needs, say, others, clock
        self.key = f"begun:{uuid.uuid4().hex}"
        self._looked, self._said = clock(), ""
        self._is_over = not self._lacking()

    def look(self) -> None:
        """Look once in a while; cheap enough to be called several times a second."""
        if self._is_over or self._clock() - self._looked < _LOOK_S:
            return
        self._looked = self._clock()
        if _internal_kv_exists(self.key.encode(), namespace=NAMESPACE):
            self.close()
            return
        words = self._lacking()
        if not words:
            self._is_over = True
        elif words != self._said:
            self._say(f"waiting for {words}")
        self._said = words

    def close(self) -> None:
        """Look no more."""
        self._is_over = True
        _internal_kv_del(self.key.encode(), namespace=NAMESPACE)

    def _lacking(self) -> str:
        words = lacking([n["Resources"] for n in ray.nodes() if n["Alive"]], _free(), self._needs)
        users = self._others() if words.endswith("in use") else []
        return f"{words} by {in_words(users)}" if users else words


def begun(key: str) -> None:
    """Record that a process has begun whose resources a `Waiting` waits for."""
    _internal_kv_put(key.encode(), b"", namespace=NAMESPACE)


def lacking(nodes: Sequence[Amounts], free: Sequence[Amounts], needs: Needs) -> str:
    """Describe what no node has free; empty if one has room for all of it.

    Args:
        nodes: What each node has, by Ray's names.
        free: What of it is not in use.
        needs: What is to fit on one node.

    >>> lacking([{"CPU": 1.0}, {"CPU": 1.0}], [{}, {}], Needs())
    '1 CPU; 2 of 2 in use'
    >>> lacking([{"CPU": 2.0}], [{"CPU": 1.0}], Needs())
    ''
    """
    wanted = {name: amount for name, amount in needs.as_bundle().items() if amount}
    if any(all(each.get(name, 0) >= amount for name, amount in wanted.items()) for each in free):
        return ""
    words = []
    for name, amount in wanted.items():
        if not any(each.get(name, 0) >= amount for each in free):
            total = sum(node.get(name, 0) for node in nodes)
            used = total - sum(each.get(name, 0) for each in free)
            share = f"{100 * used / total:.0f} %" if name == "memory" and total else f"{used:g}"
            of = "" if name == "memory" else f" of {total:g}"
            text = f"1 {name}" if amount == 1 else amount_in_words(name, amount)
            words.append(f"{text}; {share}{of} in use")
    return ", and for ".join(words) or f"{needs} on one node"


def _free() -> list[Amounts]:
    return list(state.available_resources_per_node().values())
