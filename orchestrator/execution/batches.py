"""How many jobs a worker takes at once, so that the heads of their trials train together."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.contracts import Job
from trainers.methods.config import METHOD_NAMES
from trainers.networks.backbone_table import backbone_info
from trainers.pruning.config import PRUNING_PARAMETERS
from trainers.recipes.config import FUSABLE_NAMES, RECIPE_NAMES

if TYPE_CHECKING:
    from orchestrator.spec.sweep_spec import SweepSpec

# A few heads give most of the gain, and a batch is proposed without its own trials' results.
_MOST = 16
_ROUNDS = 4
# With a finished training nothing trains together; two suffice: one to measure, and the next.
_MOST_SHARED = 2
# Heads on more features are large: their products fill a core on their own.
_MOST_FEATURES = 4096
# Parameters that, if sampled, may give trials that do not train together.
_PREVENTING = {
    *("tune", "qat", "backbone", "depth", "width_multiplier"),
    *PRUNING_PARAMETERS,
    *METHOD_NAMES,
    *(RECIPE_NAMES - FUSABLE_NAMES),
}


@dataclass(frozen=True, slots=True)
class Batches:
    """How many jobs a worker takes at once.

    Attributes:
        most: The largest number.
        rounds: Minimum number of batches for a worker's share of the jobs that are left.
    """

    most: int = 1
    rounds: int = 1

    def size(self, *, left: int, slots: int) -> int:
        """Return the size of the next batch: at least 1, at most one worker's share of the rest.

        Args:
            left: Jobs that may still be started.
            slots: Workers that fit at once.
        """
        share = -(-left // (slots * self.rounds))
        return max(1, min(self.most, share))

    @staticmethod
    def is_full(jobs: Collection[Job], size: int) -> bool:
        """Return whether a batch has its size, or the most allowed with a finished training."""
        return len(jobs) >= size or sum(job.origin is not None for job in jobs) >= _MOST_SHARED


def batches_of(spec: "SweepSpec") -> Batches:
    """Choose the batches that `execution.fuse` asks for.

    ``auto`` takes up to 16, and at most a quarter of a worker's share of the trials that are
    left, so that the sampler sees results while it still has something to propose. It takes
    one where there is nothing to gain, or where it is not known: where more than a head is
    trained or may be, with quantization-aware training, with a recipe that is more than a
    schedule, with one of the `methods`, where pruning varies, with more than one backbone or one
    of more than 4,096 features, on GPUs, and where time is compared or counted: `train_s`, and
    the budgets of hours, which count every attempt of a batch from its start to its end; and where
    a sweep is reproducible, whose proposals would wait for whole batches.

    >>> from orchestrator.spec.files import load_sweep
    >>> usual = ["execution.reproducible=false"]
    >>> spec = load_sweep("examples/sweeps/digits.yaml", settings=usual)
    >>> batches_of(spec)
    Batches(most=16, rounds=4)
    """
    if isinstance(spec.execution.fuse, int):
        return Batches(spec.execution.fuse)
    if spec.execution.fuse == "off" or spec.execution.reproducible:
        return Batches()
    return Batches(_MOST, _ROUNDS) if _has_small_heads(spec) else Batches()


def _has_small_heads(spec: "SweepSpec") -> bool:
    config = spec.trial_config()
    budget = spec.budget
    compared = {*spec.objectives, *(limit.name for limit in spec.limits)}
    return (
        config.tune == "head"
        and config.qat == "none"
        and config.recipe.is_fusable
        and not config.methods.active
        and not _PREVENTING & spec.search_space.domains.keys()
        and backbone_info(config.architecture).n_features <= _MOST_FEATURES
        and not spec.resources.gpus
        and spec.resources.memory is None
        and budget.cpu_hours is budget.gpu_hours is None
        and "train_s" not in compared
    )
