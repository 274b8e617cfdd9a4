"""Proposals that depend on the seed and on results, and not on when the results came in."""

from collections.abc import Iterable
from dataclasses import replace

from orchestrator.constraints import KnownConstraints
from orchestrator.contracts import Sampler
from orchestrator.errors import UsageError
from orchestrator.search.proposals import Proposal, Proposals
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import Trial, TrialState

# With as many as there are slots, every slot would wait for the slowest trial of each round.
_PER_SLOT = 2


def lag_of(spec: SweepSpec) -> int:
    """Return how many of the latest trials a proposal does not see the results of, plus one.

    One slot waits for nothing: each proposal sees all results. More slots have twice their
    number. Where a worker takes several trials at once (`fuse`), those count like as many slots;
    with one worker a batch sees all that came before it.

    >>> from orchestrator.spec.files import load_sweep
    >>> settings = ["execution={reproducible: true, max_slots: 4}"]
    >>> lag_of(load_sweep("examples/sweeps/digits.yaml", settings=settings))
    8
    >>> lag_of(load_sweep("examples/sweeps/digits.yaml", settings=[*settings, "execution.fuse=3"]))
    24
    """
    slots = spec.execution.max_slots or 1
    together = spec.execution.fuse if isinstance(spec.execution.fuse, int) else 1
    return together if slots == 1 else _PER_SLOT * slots * together


class InOrderProposals:
    """Gives the proposals of `Proposals`, each of which sees the results of the same trials.

    The trial with number n is proposed once those up to n - lag are over. Their results are
    passed on in the order of their numbers; later trials count as running, even if they are over.
    Until then `next` returns None.

    A driver that takes up a sweep repeats its proposals from the first one, with the stored
    results, so that it goes on exactly as the one before would have done.

    Args:
        spec: The sweep.
        sampler: Has observed nothing but what was measured before the sweep.
        stored: All trials of earlier runs.
        known_constraints: As for `Proposals`.

    Raises:
        UsageError: A stored trial is not the one that this run would propose.
    """

    def __init__(
        self,
        spec: SweepSpec,
        sampler: Sampler,
        stored: Iterable[Trial],
        known_constraints: KnownConstraints | None = None,
    ) -> None:
        self._inner = Proposals(spec, sampler, (), known_constraints)
        self._lag = lag_of(spec)
        self._over: dict[int, Trial] = {}
        self._passed_on = self._count = 0
        trials = sorted(stored, key=lambda trial: trial.number)
        self._over.update((trial.number, trial) for trial in trials if trial.state.is_final)
        for trial in trials:
            if not trial.is_reference and not _is_of(self.next(), trial):
                raise UsageError(_mismatch(trial))
            self.observe(replace(trial, state=TrialState.WAITING, values={}, failure=None))

    def observe(self, trial: Trial) -> None:
        """Take a trial into account when it is stored, and its result when it is due."""
        if trial.number >= self._count:
            self._count = trial.number + 1
            self._inner.observe(trial)
        elif trial.state.is_final and trial.number >= self._passed_on:
            self._over[trial.number] = trial

    def next(self) -> Proposal | str | None:
        """Return the next proposal, why there is none, or None if a result is waited for."""
        while self._passed_on <= self._count - self._lag:
            trial = self._over.pop(self._passed_on, None)
            if trial is None:
                return None
            self._inner.observe(trial)
            self._passed_on += 1
        return self._inner.next()

    @property
    def exhausted(self) -> bool:
        """Whether the search is over because there is no other configuration."""
        return self._inner.exhausted


def _is_of(proposal: Proposal | str | None, trial: Trial) -> bool:
    """Return whether a stored trial came from a proposal."""
    if not isinstance(proposal, Proposal):
        return False
    suggestion = proposal.suggestion
    return (
        dict(suggestion.params) == dict(trial.params)
        and proposal.replicate == trial.replicate
        and suggestion.sampler_attrs.get("origin") == trial.origin
    )


def _mismatch(trial: Trial) -> str:
    return (
        f"Trial {trial.number} of {trial.sweep!r} is not the one that this run would have "
        f"proposed, so that the sweep cannot go on as execution.reproducible promises: it was "
        f"begun without it, with another max_slots, fuse, sampler or version, or other siblings. "
        f"Leave reproducible out to go on from what is stored, or begin the sweep under another "
        f"name."
    )
