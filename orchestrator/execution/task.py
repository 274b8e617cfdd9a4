"""What every worker of a sweep must know, as plain values that can be sent to it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.contracts.needs import Needs
from orchestrator.execution.batches import Batches
from trainers.data.config import DataConfig
from trainers.evaluators.config import AttackConfig


@dataclass(frozen=True, slots=True)
class Task:
    """The images, the weights and the attacks of one sweep, and what a trial is given.

    Attributes:
        data: Which images.
        backbone: Arguments of `trainers.networks.backbones.build_backbone`.
        attacks: By the name of the value that each yields.
        front_attacks: The same for what is measured on the front alone.
        needs: What a trial is given; its CPUs are threads for torch.
        max_slots: Workers at once, at most; None is as many as fit.
        autoscaling: Whether the cluster adds nodes for `max_slots` workers.
        cache: Folder or URL of the stage cache; None is none.
        cache_bytes: What it may hold.
        shares_trainings: Whether a trial may take a finished training from it.
        batches: How many jobs a worker takes at once.
        functions: References of a user's own functions, by the name of the value.
        parts: References of a user's own quantizers, criteria and attacks.
        code: Files of a user's own code by their paths, as `trainers.doors.read_code` read them.
        sized: Backbones whose tensors the driver wants to know, by name.
        sweep: Name and fingerprint of the sweep: the same wherever its driver runs.
        storage: Where files of trials are kept for all nodes; None is the state folder.
    """

    data: DataConfig
    backbone: Mapping[str, Any]
    attacks: Mapping[str, AttackConfig]
    needs: Needs = field(default_factory=Needs)
    max_slots: int | None = None
    autoscaling: bool = False
    front_attacks: Mapping[str, AttackConfig] = field(default_factory=dict)
    cache: str | None = None
    cache_bytes: float = math.inf
    shares_trainings: bool = True
    batches: Batches = field(default_factory=Batches)
    functions: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    code: Mapping[str, bytes] = field(default_factory=dict)
    sized: tuple[str, ...] = ()
    sweep: str = ""
    storage: str | None = None
