"""What trials of a sweep share by the stage cache."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.spec.sweep_spec import SweepSpec


def shares_trainings(spec: "SweepSpec") -> bool:
    """Return whether a trial takes an equal finished training from the cache.

    Such a trial passes no milestone, where a scheduler would have judged it. Whether the training
    is finished by then is a matter of timing, so that a reproducible sweep whose scheduler stops
    trials shares what comes before and after the training alone.

    >>> from orchestrator.spec.files import load_sweep
    >>> usual, stops = "execution.reproducible=false", "scheduler=moasha"
    >>> for settings in ([], [usual], [stops, usual], [stops]):
    ...     shares_trainings(load_sweep("examples/sweeps/digits.yaml", settings=settings))
    True
    True
    True
    False
    """
    judges = spec.execution.reproducible and spec.scheduler.kind != "fifo"
    return spec.execution.cache != "off" and not judges
