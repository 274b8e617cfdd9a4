"""How many trials fit on a cluster at once; plain arithmetic, so that a check can ask too."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from orchestrator.errors import OrchestratorError


def slots(resources: Mapping[str, float], *, cpus: int, gpus: float) -> int:
    """Compute how many trials fit at once.

    Args:
        resources: What the cluster has, by Ray's names (``CPU``, ``GPU``).
        cpus: CPUs per trial.
        gpus: GPUs per trial; may be a fraction.

    Raises:
        OrchestratorError: Not even one fits; the message has the numbers.

    >>> slots({"CPU": 16.0, "GPU": 2.0}, cpus=2, gpus=0.4)
    4
    """
    available_cpus, available_gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    fitting = int(available_cpus // cpus)
    if gpus:
        # Ray packs fractions onto single GPUs: 0.4 fits twice on each, whatever their number.
        per_gpu = int(1 / gpus + 1e-9) if gpus < 1 else 1 / gpus
        fitting = min(fitting, int(available_gpus * per_gpu + 1e-9))
    if fitting < 1:
        raise OrchestratorError(
            f"No trial fits on the cluster: one needs {cpus} CPUs and {gpus:g} GPUs (resources "
            f"in the sweep file), and the whole cluster has {available_cpus:g} CPUs and "
            f"{available_gpus:g} GPUs. Lower the resources, or use a larger cluster."
        )
    return fitting


def slots_on(nodes: Sequence[Mapping[str, float]], *, cpus: int, gpus: float) -> int:
    """Compute how many trials fit at once on nodes, none of which shares what it has.

    Args:
        nodes: What each has, by Ray's names.
        cpus: CPUs per trial.
        gpus: GPUs per trial; may be a fraction.

    Raises:
        OrchestratorError: No node fits one, however many there are; the message has the numbers
            of the largest.

    >>> slots_on([{"CPU": 3.0}, {"CPU": 3.0}, {"CPU": 1.0}], cpus=2, gpus=0)
    2
    """
    fitting = 0
    for node in nodes:
        with suppress(OrchestratorError):
            fitting += slots(node, cpus=cpus, gpus=gpus)
    if fitting:
        return fitting
    # The one that comes closest: a trial for GPUs wants the node with most of them.
    order = ("GPU", "CPU") if gpus else ("CPU", "GPU")
    largest = max(nodes, key=lambda node: [node.get(name, 0.0) for name in order], default={})
    raise OrchestratorError(
        f"No node of the cluster fits a trial: one needs {cpus} CPUs and {gpus:g} GPUs (resources "
        f"in the sweep file), and the largest of {len(nodes)} nodes has "
        f"{largest.get('CPU', 0.0):g} CPUs and {largest.get('GPU', 0.0):g} GPUs. Lower the "
        f"resources, or add a larger node: a trial never runs on two."
    )
