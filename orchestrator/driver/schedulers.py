"""The scheduler of a run: one of ours, or code of a user's own."""

from orchestrator.contracts import Prepared, Scheduler
from orchestrator.scheduling import build_scheduler
from orchestrator.spec.code_content import with_code
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.doors import is_reference


def scheduler_of(spec: SweepSpec) -> Scheduler:
    """Build the scheduler of a sweep.

    Raises:
        UsageError: Code of a user's own cannot be used; the message says which promise is broken.

    >>> from orchestrator.spec.files import load_sweep
    >>> scheduler_of(load_sweep("examples/sweeps/digits.yaml")).milestones
    ()
    """
    return build_scheduler(spec.scheduler, spec.directed, spec.limits, spec.most_epochs)


def check_scheduler(spec: SweepSpec) -> None:
    """Refuse a scheduler that cannot decide; code of a user's own decides once.

    Raises:
        UsageError: As `scheduler_of`.

    >>> from orchestrator.spec.files import load_sweep
    >>> check_scheduler(load_sweep("examples/sweeps/digits.yaml"))
    """
    if is_reference(spec.scheduler.kind):
        scheduler_of(spec)


def with_scheduler_code(spec: SweepSpec, prepared: Prepared | None) -> Prepared | None:
    """Add the digest of a scheduler of a user's own to what identifies a sweep.

    >>> with_scheduler_code(None, None) is None
    True
    """
    if prepared is None or not prepared.content or not is_reference(spec.scheduler.kind):
        return prepared
    kind = spec.scheduler.kind
    return with_code(prepared, "scheduler", lambda of: of(kind), where="scheduler: ")
