"""How many trials fit on a cluster at once; plain arithmetic, so that `check` can use it too."""

from collections.abc import Mapping

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
