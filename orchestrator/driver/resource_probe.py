"""Resources that the sweep file leaves to be measured: memory, and how many trials share a GPU."""

import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.execution.ray_address import HERE
from orchestrator.quantities import human
from orchestrator.spec.run_sections import AUTO
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.config import TrialConfig, with_params
from trainers.networks.backbone_table import backbone_info

if TYPE_CHECKING:
    from trainers.trial.probe import Peak

# For what two steps do not show: fragments, attacks, larger last batches.
_MARGIN = 1.1
# What CUDA takes for each process, beside what torch reserves.
_CONTEXT_BYTES = 600_000_000
_ROUNDED_TO = 10e6
_SAMPLED = 200


def trials_per_gpu(device_bytes: int, device_total: int) -> int:
    """Compute how many trials fit on a GPU together.

    Args:
        device_bytes: Most memory that torch reserved for one.
        device_total: Memory of the GPU.

    >>> trials_per_gpu(3_000_000_000, 80_000_000_000), trials_per_gpu(90, 80)
    (20, 0)
    """
    return int(device_total // (device_bytes * _MARGIN + _CONTEXT_BYTES))


def share_of_gpu(trials: int) -> float:
    """Compute what each of some trials gets of a GPU, in the ten-thousandths that Ray gives out.

    >>> share_of_gpu(1), share_of_gpu(3)
    (1.0, 0.3333)
    """
    return math.floor(10_000 / trials) / 10_000


@dataclass(frozen=True, slots=True)
class Probed:
    """A sweep whose resources are numbers, and how they were found.

    Attributes:
        spec: The sweep.
        notes: What was measured, as sentences.
    """

    spec: SweepSpec
    notes: tuple[str, ...] = ()


def with_probed_resources(
    spec: SweepSpec,
    address: str | None = None,
    measure: Callable[[SweepSpec], "Peak"] | None = None,
) -> Probed:
    """Measure the resources that a sweep file leaves open, by a short trial on this machine.

    Args:
        spec: The sweep.
        address: Of the Ray cluster; None for the environment's.
        measure: Runs the trial and returns what memory it took; default: it is run.

    Raises:
        UsageError: A trial does not fit on the GPU, or there is none here and the workers are
            elsewhere.
        TrainerError: The short trial failed.

    >>> from orchestrator.spec.files import load_sweep
    >>> from trainers.trial.probe import Peak
    >>> spec = load_sweep("examples/sweeps/digits.yaml", settings=["resources.gpus=auto"])
    >>> peak = Peak(900_000_000, 3_000_000_000, 80_000_000_000, "A GPU")
    >>> found = with_probed_resources(spec, measure=lambda _: peak)
    >>> found.spec.resources.gpus, found.notes
    (0.05, ('a trial takes 3.00 GB of the 80.0 GB of A GPU: 20 at once on each GPU',))
    """
    open_ones = {key for key in ("gpus", "memory") if getattr(spec.resources, key) == AUTO}
    if not open_ones:
        return Probed(spec)
    peak = (measure or _measured)(spec)
    found: dict[str, float] = {}
    notes: list[str] = []
    if "gpus" in open_ones:
        found["gpus"], note = _gpus(peak, address)
        notes.append(note)
    if "memory" in open_ones:
        found["memory"] = _ROUNDED_TO * math.ceil(peak.host_bytes * _MARGIN / _ROUNDED_TO)
        notes.append(
            f"a trial takes {human('memory_bytes', peak.host_bytes)} of memory, and "
            f"{human('memory_bytes', found['memory'])} are reserved for it"
        )
    resources = spec.resources.model_copy(update=found)
    return Probed(spec.model_copy(update={"resources": resources}), tuple(notes))


def _measured(spec: SweepSpec) -> "Peak":
    """Run a short trial of the widest configuration in a process of its own.

    Raises:
        TrainerError: It failed.
    """
    # Imported here: it loads torch.
    from trainers.trial.probe import probe

    return probe(spec.data_config(), widest(spec))


def widest(spec: SweepSpec) -> TrialConfig:
    """Find the configuration that takes the most memory: weights times images of a step.

    All configurations are looked at if there are at most two hundred, else two hundred drawn at
    random, and the full-size network where it is measured too.

    Raises:
        UsageError: None of them can be trained.

    >>> from orchestrator.spec.files import load_sweep
    >>> change = ["space={batch_size: {type: choice, values: [16, 64]}}"]
    >>> widest(load_sweep("examples/sweeps/digits.yaml", settings=change)).batch_size
    64
    """
    space, fixed = spec.search_space, spec.trial_config()
    rng = random.Random(spec.seed)  # noqa: S311 - a sample, not a secret
    is_listed = space.size is not None and space.size <= _SAMPLED
    every = space.grid() if is_listed else (space.sample(rng) for _ in range(_SAMPLED))
    configs = [spec.reference_config()] if spec.reference else []
    why = "the space has no configuration"
    for params in every:
        try:
            configs.append(with_params(fixed, params, seed=0))
        except ValueError as error:
            why = str(error)
    if not configs:
        raise UsageError(f"resources: no trial can be tried for its memory: {why}")
    return max(configs, key=_size)


def _size(config: TrialConfig) -> float:
    info = backbone_info(config.architecture)
    # Any number of classes will do: they are the same in all.
    inputs, weights = info.n_features, info.parameters
    for width in config.head_widths(10):
        weights, inputs = weights + inputs * width, width
    return weights * config.batch_size / config.recipe.parts


def _gpus(peak: "Peak", address: str | None) -> tuple[float, str]:
    if not peak.device_total:
        where = os.environ.get("RAY_ADDRESS", "") if address is None else address
        if where not in HERE:
            raise UsageError(
                f"resources: gpus is auto, which is measured on this machine, and it has no GPU; "
                f"trials run on the cluster at {where}. Write gpus as a number, or run the sweep "
                f"from a node with the cluster's GPUs."
            )
        return 0.0, "there is no GPU here (resources.gpus is auto): trials compute on CPUs"
    taken, total = (human("memory_bytes", n) for n in (peak.device_bytes, peak.device_total))
    trials = trials_per_gpu(peak.device_bytes, peak.device_total)
    text = f"a trial takes {taken} of the {total} of {peak.device}"
    if not trials:
        raise UsageError(
            f"resources: {text}, and with a margin it does not fit: raise training.parts, which "
            f"computes a batch in parts, or lower batch_size."
        )
    return share_of_gpu(trials), f"{text}: {trials} at once on each GPU"
