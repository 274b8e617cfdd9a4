"""Schedulers, which stop trials early: functions of the reports at a milestone, without state."""

from collections.abc import Sequence

from orchestrator.constraints import Constraint
from orchestrator.contracts import Scheduler
from orchestrator.objectives import Objective
from orchestrator.scheduling.fifo import Fifo
from orchestrator.scheduling.milestones import even_milestones, halving_milestones
from orchestrator.scheduling.moasha import MOASHA
from orchestrator.scheduling.own_scheduler import made_by
from orchestrator.spec.run_sections import SchedulerSection
from trainers.doors import is_reference

__all__ = ["build_scheduler"]


def build_scheduler(
    section: SchedulerSection,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    epochs: int,
) -> Scheduler:
    """Build the scheduler that a spec asks for.

    ``asha`` is ``moasha`` with one objective. So is ``median``, with half of the trials going on
    and milestones at equal distances.

    Args:
        section: The scheduler section of the spec.
        objectives: Objectives of the sweep; ``asha`` and ``median`` use only `section.metric`, or
            the first that is measured at milestones.
        constraints: Constraints of the sweep; all kinds of ours use them.
        epochs: Maximum number of epochs of a trial.

    Raises:
        UsageError: Code of a user's own cannot be used.

    >>> from orchestrator.objectives import Direction
    >>> goals = [Objective("accuracy", Direction.MAXIMIZE)]
    >>> build_scheduler(SchedulerSection(kind="asha"), goals, (), epochs=8).milestones
    (1, 3)
    """
    if section.kind == "fifo":
        return Fifo()
    if is_reference(section.kind):
        given = {"objectives": objectives, "constraints": constraints, "epochs": epochs}
        return made_by(section.kind, given, section.options or {}, epochs)
    if section.kind != "moasha":
        objectives = [each for each in objectives if each.name == section.judged_by(objectives)]
    first, reduction = section.min_epochs or 1, section.reduction or 2
    if section.kind == "median":
        milestones = even_milestones(first, epochs)
    else:
        milestones = halving_milestones(first, reduction, epochs)
    return MOASHA(tuple(objectives), tuple(constraints), milestones, reduction)
