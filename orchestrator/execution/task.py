"""What every worker of a sweep must know, as plain values that travel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Task:
    """The images, the weights and the attacks of one sweep, and what a trial is given.

    Attributes:
        data: Arguments of `trainers.data.DataConfig`.
        backbone: A name of `trainers.backbones`.
        weights: Where its weights come from.
        attacks: Arguments of `AttackConfig` by the name of the value that the attack yields.
        cpus: CPUs a trial, and threads for torch.
        gpus: GPUs a trial; may be a fraction.
    """

    data: Mapping[str, Any]
    backbone: str
    weights: str
    attacks: Mapping[str, Mapping[str, Any]]
    cpus: int = 1
    gpus: float = 0

    @property
    def threads(self) -> int:
        """Threads for torch in one worker."""
        return self.cpus

    @property
    def preparation(self) -> tuple[Mapping[str, Any], str, str]:
        """Arguments of `orchestrator.execution.trial_runner.prepare`."""
        return self.data, self.backbone, self.weights
