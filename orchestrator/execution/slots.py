"""How many trials fit on a cluster at once; plain arithmetic, so that `check` can use it too."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.contracts import Load
from orchestrator.contracts.needs import Needs, amount_in_words
from orchestrator.errors import OrchestratorError

AUTOSCALING = "execution: {autoscaling: true, max_slots: N}"
"""How a sweep file says that the cluster adds nodes."""
# How long an answer of the cluster is good for.
_FRESH_S = 2.0


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of a cluster: its resources by Ray's names, and its labels."""

    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)


def slots(nodes: Sequence[Node], needs: Needs) -> int:
    """Compute how many trials fit at once; each runs on a single node.

    Args:
        nodes: The nodes of the cluster.
        needs: What one trial is given.

    Raises:
        OrchestratorError: No node has room for one; the message has the numbers of the largest.

    >>> slots([Node({"CPU": 16.0, "GPU": 2.0}), Node({"CPU": 1.0})], Needs(cpus=2, gpus=0.4))
    4
    """
    fitting = sum(_on(node, needs) for node in nodes)
    if fitting < 1:
        raise OrchestratorError(
            f"No trial fits on the cluster: one needs {needs} (resources in the sweep file) on a "
            f"single node, and {_largest(nodes, needs)}. Lower the resources, or use larger "
            f"nodes. If the cluster adds nodes when they are asked for: {AUTOSCALING}."
        )
    return fitting


def _on(node: Node, needs: Needs) -> int:
    if any(node.labels.get(name) != value for name, value in needs.labels.items()):
        return 0
    return min(
        _times(node.resources.get(name, 0.0), amount, shared=name == "GPU")
        for name, amount in needs.as_bundle().items()
        if amount
    )


def _times(available: float, amount: float, *, shared: bool) -> int:
    if shared and amount < 1:
        # Ray packs fractions onto single GPUs: 0.4 fits twice on each, whatever their number.
        return int(available) * int(1 / amount + 1e-9)
    return int(available / amount + 1e-9)


def _largest(nodes: Sequence[Node], needs: Needs) -> str:
    if not nodes:
        return "there is no node"
    wanted = needs.as_bundle()
    largest = max(nodes, key=lambda node: [node.resources.get(name, 0.0) for name in wanted])
    has = [amount_in_words(name, largest.resources.get(name, 0.0)) for name in wanted]
    labels = [
        f"the label {name}={largest.labels[name]}" if name in largest.labels else f"no {name}"
        for name in needs.labels
    ]
    words = [*has, *labels]
    which = "the only node has" if len(nodes) == 1 else f"the largest of {len(nodes)} nodes has"
    return f"{which} {', '.join(words[:-1])} and {words[-1]}"


class Sharing(Protocol):
    """Divides the slots of a cluster among the sweeps that run on it."""

    def allowed(self, fitting: int, wanted: float) -> int:
        """Return how many slots this sweep may use of those that fit; at least one.

        Args:
            fitting: How many trials of it fit on the cluster at once.
            wanted: How many it would run at once.
        """
        ...


class LiveSlots:
    """The number of trials that fit at once on a cluster whose nodes come and go.

    Args:
        nodes: Asks the cluster for its nodes.
        needs: What one trial is given.
        most: Upper bound; None is as many as fit.
        grows: Whether the cluster adds nodes for `most` trials, so that so many always fit.
        clock: Seconds.

    Attributes:
        busy: How many workers have trials, as the caller that gives them out says.
        wanted: How many trials could run at once, as the same caller says.
        sharing: Leaves room for other sweeps; None leaves none.

    Raises:
        OrchestratorError: No node has room for one trial.
    """

    def __init__(
        self,
        nodes: Callable[[], Sequence[Node]],
        needs: Needs,
        most: int | None = None,
        *,
        grows: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nodes, self._needs, self._clock = nodes, needs, clock
        self._most = math.inf if most is None else most
        self._grows = grows and most is not None
        self.busy, self.wanted = 0, math.inf
        self.sharing: Sharing | None = None
        self._count = self._counted()
        self._asked = clock()

    @property
    def load(self) -> Load:
        """How much is in use, as it was last known; sends no request."""
        return Load(self.busy, self._count)

    @property
    def count(self) -> int:
        """How many fit now; at least one, for a node that went may come back."""
        if self._clock() - self._asked >= _FRESH_S:
            try:
                self._count = self._counted()
            except OrchestratorError:
                self._count = 1
            self._asked = self._clock()
        return self._count

    def _counted(self) -> int:
        if self._grows:
            return int(self._most)
        fitting = slots(self._nodes(), self._needs)
        if self.sharing is None:
            return int(min(fitting, self._most))
        allowed = self.sharing.allowed(fitting, min(self.wanted, self._most))
        return int(min(allowed, self._most))
