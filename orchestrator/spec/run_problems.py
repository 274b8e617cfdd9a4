"""What of a sweep file contradicts itself about how the sweep is run."""

from typing import TYPE_CHECKING

from orchestrator.spec.run_sections import SCHEDULER_KINDS
from trainers.doors import is_reference

if TYPE_CHECKING:
    from orchestrator.spec.sweep_spec import SweepSpec

# Values that a clock decides.
_TIMES = {"train_s", "eval_s", "latency_ms"}
_CLOCKED = ("seconds", "cpu_hours", "gpu_hours", "trial_seconds", "disk", "plateau")


def run_problem(spec: "SweepSpec") -> str:
    """Explain why a sweep cannot be run as its file says; empty if it can.

    >>> from orchestrator.spec.files import load_sweep
    >>> run_problem(load_sweep("examples/sweeps/digits.yaml"))
    ''
    """
    hours = spec.budget.gpu_hours
    if hours is not None and not spec.resources.gpus:
        return (
            f"budget: gpu_hours is {hours:g}, and a trial has no GPU, so that none would ever "
            f"pass: set resources.gpus, or write cpu_hours."
        )
    problem = _irreproducible(spec) if spec.execution.reproducible else ""
    return problem and f"execution: reproducible is on, and {problem}."


def _irreproducible(spec: "SweepSpec") -> str:
    """Say what a clock would decide in a sweep."""
    execution = spec.execution
    if execution.kind == "ray" and execution.max_slots is None:
        return (
            "the number of slots decides which results a proposal sees: write max_slots, the "
            "most workers that train at once"
        )
    if is_reference(spec.scheduler.kind):
        return (
            f"the scheduler {spec.scheduler.kind} is code of your own, which may look at a clock: "
            f"use one of {', '.join(SCHEDULER_KINDS)}, or leave reproducible out"
        )
    if spec.scheduler.kind != "fifo" and execution.siblings is True:
        return (
            f"{spec.scheduler.kind} stops trainings at milestones, which one from the cache does "
            f"not pass, so that siblings would be trained anew: leave siblings out"
        )
    return _clocked(spec)


def _clocked(spec: "SweepSpec") -> str:
    """Say which limits or values of a sweep are times."""
    given = [key for key in _CLOCKED if getattr(spec.budget, key) is not None]
    if given:
        return (
            f"where budget.{given[0]} ends a sweep or a trial depends on when trials end: limit "
            f"it by budget.trials alone"
        )
    times = _TIMES & {*spec.objectives, *(limit.name for limit in spec.limits)}
    if times:
        return (
            f"{min(times)} is measured by a clock and never the same twice: leave it out of the "
            f"objectives and constraints"
        )
    return ""
